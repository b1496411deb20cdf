"""Folders that sweeps, compilers and Ray write to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from raydistill.commands.checks.findings import Problem, Section


def why_unwritable(folder: Path) -> str | None:
    """Why no file can be made in a folder, or the folder not be made; None if it can.

    A folder that does not exist is not made: its nearest parent that does is tried.
    """
    parent = existing_parent(folder)
    if parent is None:
        return "no folder above it exists"
    try:
        with tempfile.TemporaryFile(dir=parent):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__


def existing_parent(folder: Path) -> Path | None:
    """The folder itself if something of that name exists, or its nearest parent that does."""
    for place in (folder, *folder.parents):
        try:
            if place.exists():
                return place
        except (OSError, ValueError):  # a name too long, no permission to look, a zero byte
            continue
    return None


def local_folder(storage_path: str) -> Path | None:
    """The folder of a storage path, absolute where that can be; None for a URI of a bucket."""
    if "://" in storage_path:
        return None
    try:
        return Path(storage_path).expanduser().absolute()
    except (OSError, RuntimeError):  # no working folder any more, or ~ of an unknown user
        return Path(storage_path)


def check_folders(storage_path: str) -> Section:
    """Whether HOME, the temporary folder and the storage path can be written."""
    facts: dict[str, str] = {}
    problems: list[Problem] = []

    def look(name: str, folder: Path, remedy: str, *, essential: bool) -> None:
        reason = why_unwritable(folder)
        facts[name] = f"{folder}, {'can be written' if reason is None else f'NOT: {reason}'}"
        if reason is not None:
            what = f"{name}: {str(folder)!r} cannot be written ({reason})"
            problems.append(Problem(what, remedy, essential))

    try:
        home = Path.home()
    except RuntimeError as error:
        facts["HOME"] = f"NOT: {error}"
        problems.append(Problem(f"HOME: {error}", "set HOME to a folder that you can write"))
    else:
        look(
            "HOME",
            home,
            "set HOME to a folder that you can write; until then caches are made anew and Ray's "
            "dashboard cannot be opened",
            essential=False,
        )
    try:
        facts["temporary files"] = tempfile.gettempdir()
    except OSError as error:
        facts["temporary files"] = "NOT: no folder can be written"
        problems.append(Problem(f"TMPDIR: {error}", "set TMPDIR to a folder that you can write",
                                essential=True))  # fmt: skip
    folder = local_folder(storage_path)
    if folder is None:
        facts["storage path"] = f"{storage_path}, a URI: a sweep tries it before any work"
    else:
        look(
            "storage path",
            folder,
            "give --storage-path with a folder that you own",
            essential=True,
        )
    for variable in ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR"):
        if os.environ.get(variable):
            look(variable, Path(os.environ[variable]), f"mend or unset {variable}", essential=False)
    return Section("folders", facts, tuple(problems))
