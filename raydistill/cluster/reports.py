"""How often trials report to Tune: its one controller takes half a millisecond for each report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune.integration.ray_train import TuneReportCallback

from raydistill.cluster.design.study import SEARCHED_METRIC

REPORT_SECONDS = 1.0
"""Between two reports of a trial that bring no evaluation."""


class ReportClock:
    """Which reports of a trial are due: evaluations, checkpoints, others at most once a second.

    Args:
        clock: in seconds, only ever forwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last, self._saved = clock, -float("inf"), 0

    def is_due(self, evaluated: bool, saved: int) -> bool:
        """Whether a report is to be made now.

        Args:
            evaluated: whether it brings an evaluation, which the study must hear of.
            saved: updates in the trial's checkpoint, by which it is known to get further.
        """
        now = self._clock()
        if not evaluated and saved <= self._saved and now - self._last < REPORT_SECONDS:
            return False
        self._last, self._saved = now, saved
        return True


class DueReports(TuneReportCallback):  # type: ignore[misc]
    """Hands reports of a nested trial's workers on to Tune, as often as `ReportClock` says.

    Workers report together, at updates that all of them share, and the clocks of each would
    disagree; in the controller of the trial's run, where this is called, there is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reports = ReportClock()

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        """Called by Train when all workers have reported; the first one's metrics count."""
        if self._reports.is_due(SEARCHED_METRIC in metrics[0], metrics[0].get("saved", 0)):
            super().after_report(run_context, metrics, checkpoint)
