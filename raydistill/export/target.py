"""The folder of an export: there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raydistill.export.errors import ExportError

CONFIG = "config.json"
README = "README.md"
MARKS = {CONFIG, README, "example.py", "expected.npz"}
"""Files that every export has: by these one is told from a folder that must not be replaced."""


@contextmanager
def new_folder(location: str | os.PathLike[str], overwrite: bool) -> Iterator[Path]:
    """A folder beside the target to write to; renamed to it at the end, removed on any error.

    Args:
        location: the target, a local path that does not exist or is an empty folder.
        overwrite: replace an earlier export there.

    Raises:
        ExportError: the target is taken, is no local path, or cannot be written.
    """
    text = os.fspath(location)
    if "://" in text:
        raise ExportError(f"out: {text!r} is no local folder; give one, and copy it from there")
    target = Path(text).expanduser().absolute()
    _check_free(target, overwrite)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise ExportError(
            f"out: {str(target)!r} cannot be written ({error.strerror or error}); give a folder "
            "that you own"
        ) from error
    try:
        yield partial
        _put(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_free(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ExportError(f"out: {str(target)!r} is a file; give a folder")
    names = {path.name for path in target.iterdir()}
    if not names:
        return
    if not overwrite:
        raise ExportError(f"out: {str(target)!r} is not empty; give another folder, or --force")
    if not names >= MARKS:
        raise ExportError(
            f"out: {str(target)!r} holds something other than an export, which is not replaced; "
            "give another folder"
        )


def _put(partial: Path, target: Path) -> None:
    """Rename; an earlier export is moved aside first, and back if the rename fails."""
    if not target.exists() or not any(target.iterdir()):
        partial.replace(target)
        return
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
    target.replace(aside)
    try:
        partial.replace(target)
    except OSError:
        aside.replace(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
