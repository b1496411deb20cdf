"""A cluster file as it was read: its text, its YAML documents, and which kind of file it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import yaml

from raydistill.cluster.cluster_file.problems import Config, Problem

SLURM_DIRECTIVE = "#SBATCH"


class Kind(Enum):
    """Who reads the file."""

    RAY_UP = "ray up"
    RAYJOB = "KubeRay"
    SLURM = "Slurm"


@dataclass(frozen=True)
class Document:
    """A cluster file.

    Attributes:
        file: where it is.
        kind: who reads it; seen from its content, not from its name.
        text: of the whole file.
        parts: its YAML documents, in order; none of a shell script.
    """

    file: Path
    kind: Kind
    text: str
    parts: tuple[Config, ...] = ()

    @property
    def config(self) -> Config:
        """The first YAML document: the only one of a file for `ray up`."""
        return self.parts[0]


class UnreadableError(Exception):
    """A file cannot be read as a cluster file.

    Attributes:
        problem: what is wrong with it.
    """

    def __init__(self, file: Path, remedy: str) -> None:
        self.problem = Problem("file", str(file), remedy)
        super().__init__(str(self.problem))


def read(file: Path) -> Document:
    """Read a cluster file of any kind.

    Raises:
        UnreadableError: it is none.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableError(file, f"cannot be read ({error.strerror}): name another") from None
    except UnicodeDecodeError as error:
        raise UnreadableError(file, f"is not YAML ({error}): mend it there") from None
    if text.startswith("#!"):
        if SLURM_DIRECTIVE not in text:
            start = "start from the project's cluster/slurm.sh"
            raise UnreadableError(file, f"is a script without {SLURM_DIRECTIVE} lines: {start}")
        return Document(file, Kind.SLURM, text)
    try:
        found = [part for part in yaml.safe_load_all(text) if part is not None]
    except yaml.YAMLError as error:
        raise UnreadableError(file, f"is not YAML ({error}): mend it there") from None
    parts = tuple(part for part in found if isinstance(part, dict) and part)
    if not parts or len(parts) < len(found):
        empty = all(part == {} for part in found)
        reason = "is empty" if empty else "is not a mapping of keys"
        raise UnreadableError(file, f"{reason}: start from the project's cluster.yaml")
    kubernetes = all("apiVersion" in part for part in parts)
    if not kubernetes and len(parts) > 1:
        raise UnreadableError(file, "has several documents, of which `ray up` reads none: keep one")
    return Document(file, Kind.RAYJOB if kubernetes else Kind.RAY_UP, text, parts)
