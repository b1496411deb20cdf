"""A student that breaks the machine it is built on, so many times, as its folder says."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from raydistill.students.base import Student
from tests.own_models import OwnStudentConfig

HOWS = ("disk", "import", "exit")


class SabotagedConfig(OwnStudentConfig):
    """Like its base, but in Ray's workers its folder decides whether it can be built."""

    kind: str = "tests.cluster.saboteur:SabotagedConfig"
    folder: str = Field(description="holds a file for each time, named by what happens")

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> Student:
        if Path("/proc/self/cmdline").read_bytes().startswith(b"ray::"):
            strike(Path(self.folder))
        return super().build(event_shape, centre=centre, spread=spread)


def arm(folder: Path, how: str, times: int) -> None:
    """Let the next `times` builds fail."""
    folder.mkdir(exist_ok=True)
    for number in range(times):
        (folder / f"{how}_{number}").touch()


def strike(folder: Path) -> None:
    """Fail as the next file in the folder says, and take it away."""
    for path in sorted(folder.iterdir()):
        try:
            path.unlink()
        except FileNotFoundError:
            continue  # another process was faster
        if path.name.startswith("disk"):
            raise OSError(28, "No space left on device")
        if path.name.startswith("import"):
            raise ImportError("libabsent.so.1: cannot open shared object file")
        os._exit(1)
