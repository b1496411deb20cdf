"""How often a trial or task is tried again, and when a sweep stops since nothing in it works.

The counts are the driver's, not a file's beside the trial: a process that dies before any code of
ours runs, or that cannot write, is counted as well, and counting needs no bucket. A new driver
starts from zero, which is what resuming a sweep asks for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune

from raydistill.cluster.errors import SweepStoppedError, cause_line, same_cause
from raydistill.training.job import TrainingStoppedError

ATTEMPTS = 5
"""Attempts in a row that get no further than the one before, after which a trial is given up."""

SAME_FAILURES = 5
"""Failures in a row for the same reason that stop a sweep, if two trials have failed twice."""

FIRST_PAUSE, PAUSE_GROWTH, LONGEST_PAUSE = 1.0, 4.0, 60.0
"""Seconds: what is short of breath, such as a bucket that refuses requests, is given time."""

PAUSE = "pause"
"""Key of a trial's configuration in Tune: seconds that its next attempt waits first."""


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row.

    Example:
        >>> from raydistill.cluster.retry_rule import pause_after
        >>> [pause_after(failures) for failures in range(5)]
        [0.0, 1.0, 4.0, 16.0, 60.0]
    """
    if failures < 1:
        return 0.0
    return min(FIRST_PAUSE * PAUSE_GROWTH ** (failures - 1), LONGEST_PAUSE)


class FailureStreak:
    """Failures in a row for the same reason, with nothing that worked in between."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Something worked."""
        self._cause, self._failures = "", Counter[str]()

    def add(self, trial: str, cause: str) -> None:
        """A trial failed."""
        if not same_cause(cause, self._cause):
            self.clear()
        self._cause = cause
        self._failures[trial] += 1

    @property
    def verdict(self) -> str | None:
        """Why nothing works, if that is how it looks.

        One bad trial among others is not enough, nor are many that a node takes along at once.
        """
        count = self._failures.total()
        again = sum(failures > 1 for failures in self._failures.values())
        if count < SAME_FAILURES or again < 2:
            return None
        return f"{count} attempts in a row, of {len(self._failures)} trials: {self._cause}"


class RetryRule(tune.Callback):  # type: ignore[misc]
    """Counts a trial's failures since it last got further; Tune gives it up by that count.

    Tune itself counts all failures that a trial ever had: a long one on spot nodes has many.

    Args:
        say: called with a line on every attempt that failed.

    Attributes:
        causes: of the trials given up, by name.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._saved: dict[str, int] = {}
        self._furthest: dict[str, int] = {}
        self._worked: set[str] = set()
        self._streak = FailureStreak()
        self.causes: dict[str, str] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Called by Tune at each report: whatever gets further starts the counts again."""
        name = trial.config["trial"]
        if result.get("saved", 0) > self._saved.get(name, 0):
            self._saved[name] = result["saved"]
            _set_failures(trial, 0)
        updates = result.get("updates", 0)
        if result.get("status") != "running" or updates > self._furthest.get(name, 0):
            self._furthest[name] = max(updates, self._furthest.get(name, 0))
            self._worked.add(name)
            self._streak.clear()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when an attempt has failed and the trial is to be tried again."""
        name, cause = trial.config["trial"], _last_cause(trial)
        failures = trial.run_metadata.num_failures
        if TrainingStoppedError.__name__ in cause:
            _set_failures(trial, max(0, failures - 1))  # its node goes: that is no failure
            trial.config[PAUSE] = 0.0
            self._say(f"{name} is handed to another node: {cause.partition(': ')[2]}")
            return
        self._remember(name, cause)
        trial.config[PAUSE] = pause_after(failures)
        self._say(
            f"{name} is tried again from update {self._saved.get(name, 0)} "
            f"(failure {failures} without getting further): {cause}"
        )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial is given up."""
        name, cause = trial.config["trial"], _last_cause(trial)
        self._remember(name, cause)
        self.causes[name] = f"{cause} ({ATTEMPTS} attempts in a row got no further)"

    def _remember(self, name: str, cause: str) -> None:
        """A failure counts against the sweep if its attempt did nothing that was new."""
        if name in self._worked:
            self._worked.discard(name)
            self._streak.clear()
        else:
            self._streak.add(name, cause)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune after every event.

        Raises:
            SweepStoppedError: nothing works.
        """
        verdict = self._streak.verdict
        if verdict is not None:
            raise SweepStoppedError(verdict)

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks into its snapshot, which nothing reads here."""
        return {}


def _set_failures(trial: Any, count: int) -> None:
    trial.run_metadata.num_failures = count
    trial.run_metadata.invalidate_cache()


def _last_cause(trial: Any) -> str:
    """Why a trial's latest attempt failed, from the file where Tune has just written it."""
    try:
        return cause_line(Path(trial.error_file).read_text(encoding="utf-8"))
    except (OSError, TypeError, UnicodeDecodeError):
        return "no reason is known"
