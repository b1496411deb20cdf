"""Wall and CPU time of this process, between one look and the next."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Lap:
    """Time since the last look.

    Attributes:
        wall_seconds: as the world counts.
        cpu_seconds: of all threads of this process together.
    """

    wall_seconds: float
    cpu_seconds: float


class Stopwatch:
    """Runs from the moment that it is made.

    Example:
        >>> from raydistill.training.stopwatch import Stopwatch
        >>> watch = Stopwatch()
        >>> lap = watch.lap()
        >>> lap.wall_seconds >= 0.0, lap.cpu_seconds >= 0.0
        (True, True)
    """

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def lap(self) -> Lap:
        """The time since the last lap, or since the start; the next lap begins."""
        wall, cpu = time.perf_counter(), time.process_time()
        lap = Lap(wall - self._wall, cpu - self._cpu)
        self._wall, self._cpu = wall, cpu
        return lap
