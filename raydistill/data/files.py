"""Which files a data set is read from, so that another machine can be given the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataFile:
    """A file of a data set.

    Attributes:
        name: its path, with slashes, inside a folder that can be given as data.root.
        path: where it is on this machine.
        named_only: whether nothing but its name matters: it is listed as not used.
    """

    name: str
    path: Path
    named_only: bool = False


def files_of(folder: Path, paths: list[Path]) -> tuple[DataFile, ...]:
    """Files inside a folder under the names that they have there."""
    return tuple(DataFile(path.relative_to(folder).as_posix(), path) for path in paths)
