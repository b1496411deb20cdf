"""The command as a shell starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

ASCII = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


@dataclass(frozen=True)
class Finished:
    """What a process left behind."""

    code: int
    output: str
    errors: str


def shell(*words: str, cwd: str | os.PathLike[str] | None = None, **environment: str) -> Finished:
    """`python -m raydistill` in a process of its own."""
    finished = subprocess.run(
        [sys.executable, "-m", "raydistill", *words],
        capture_output=True,
        cwd=cwd,
        env=os.environ | environment,
        check=False,
        timeout=300,
    )
    return Finished(finished.returncode, finished.stdout.decode(), finished.stderr.decode())
