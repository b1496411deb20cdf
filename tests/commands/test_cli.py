"""The command `raydistill`, as a shell sees it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import raydistill
from raydistill.cli import COMMANDS, main
from tests.commands.processes import shell

HEAVY = ("torch", "ray", "numba", "matplotlib", "scipy", "pandas", "pyarrow")
HELP = """
import sys
from raydistill.cli import main
try:
    main(["--help"])
finally:
    loaded = {name.split(".")[0] for name in sys.modules} & set(sys.argv[1:])
    print(sorted(loaded), file=sys.stderr)
"""


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", HELP, *HEAVY], capture_output=True, text=True, check=False
    )
    assert finished.stderr == "[]\n"
    for name in COMMANDS:
        assert f"• {name} " in finished.stdout
    assert "exit status" in finished.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"raydistill {name}" in capsys.readouterr().out


def test_the_module_and_the_installed_command_are_one() -> None:
    assert shell("--version").output == f"raydistill {raydistill.__version__}\n"
    project = Path(raydistill.__file__).parents[1] / "pyproject.toml"
    module, name = tomllib.loads(project.read_text())["project"]["scripts"]["raydistill"].split(":")
    assert getattr(import_module(module), name) is main


@pytest.mark.parametrize("words", [(), ("walk",), ("run",), ("run", "x", "--speed", "9")], ids=str)
def test_a_wrong_command_line_is_refused(words: tuple[str, ...]) -> None:
    finished = shell(*words)
    assert finished.code == 2
    assert finished.output == ""
    assert "Traceback" not in finished.errors
