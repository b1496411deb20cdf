"""`make` hands paths and names to the scripts as they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRINT_ARGUMENTS = f"""#!{sys.executable}
import json, sys
print(json.dumps(sys.argv[1:]))
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_paths_and_names_with_shell_characters_reach_the_scripts(tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(PRINT_ARGUMENTS)
    python.chmod(0o755)
    (tmp_path / ".ready").touch()  # newer than what the environment is made of
    storage, name = "/tmp/a b/$x'y\"`z`", "it's $HOME"
    made = subprocess.run(
        ["make", "-s", f"VENV={tmp_path}", f"STORAGE={storage}", f"NAME={name}",
         "dashboard", "report", "smoke"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert [json.loads(line) for line in made.stdout.splitlines()] == [
        ["-m", "raydistill", "dashboard", storage, "--name", name],
        ["analysis/report.py", storage],
        ["sweeps/noise_injection.py", "--preset", "smoke", "--storage-path", storage],
        ["analysis/report.py", storage, "--latest"],
    ]
