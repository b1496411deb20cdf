"""The commands that a sweep prints for its user to copy: they run as they stand when pasted."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import raydistill
from raydistill.console import shell_command
from raydistill.record import Record
from raydistill.store.storage import Storage
from raydistill.trials.card import SAMPLE_OPTIONS


def resume_command(script: str, folder: Storage, name: str) -> str:
    """Continues an interrupted sweep.

    Args:
        script: name of the question, and of its file in `sweeps/`.
        folder: of the sweep.
        name: under which it is resumed.
    """
    return shell_command(
        *_script("sweeps", f"{script}.py"),
        "--storage-path", _above(folder), "--name", name, "--resume",
    )  # fmt: skip


def report_command(folder: Storage) -> str:
    """Writes the HTML report of a sweep."""
    return shell_command(*_raydistill("report"), _above(folder), "--name", folder.name)


def dashboards_command(folder: Storage) -> str:
    """Opens TensorBoard and optuna-dashboard on a sweep."""
    return shell_command(*_raydistill("dashboard"), _above(folder), "--name", folder.name)


def watch_command(folder: Storage) -> str:
    """Shows a sweep while it runs, from anywhere."""
    return shell_command(*_raydistill("watch"), _above(folder), "--name", folder.name)


def sample_command(folder: Storage, record: Record) -> str:
    """Samples the student of a trial."""
    options = SAMPLE_OPTIONS[record.config.get("task", "image")]
    return shell_command(*_raydistill("sample"), folder.child(record.trial).uri, *options)


def _raydistill(subcommand: str) -> tuple[str, ...]:
    """The project's own command, as this environment has it."""
    command = _beside_python("raydistill")
    if shutil.which(command):
        return command, subcommand
    return _beside_python("python"), "-m", "raydistill", subcommand  # a checkout, not installed


def _above(folder: Storage) -> str:
    """The storage path of a sweep's folder."""
    return (folder.parent or folder).uri


def _script(folder: str, name: str) -> tuple[str, str]:
    """Python and a script of the checkout, from wherever the user is."""
    checkout = Path(raydistill.__file__).resolve().parents[1]
    return _beside_python("python"), _from_here(checkout / folder / name)


def _beside_python(program: str) -> str:
    """A program of this Python's environment: by name if the shell finds that one, or by path."""
    own = Path(sys.executable).parent
    found = shutil.which(program)
    return program if found and Path(found).parent == own else _from_here(own / program)


def _from_here(path: Path) -> str:
    """A path relative to the working folder if it lies below it, otherwise absolute."""
    here = Path.cwd()
    return os.fspath(path.relative_to(here) if path.is_relative_to(here) else path)
