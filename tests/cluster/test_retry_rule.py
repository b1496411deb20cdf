"""What counts as a failure, when a trial is given up, and when a sweep stops."""

from __future__ import annotations

from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.train import ControllerError, WorkerGroupError
from ray.tune.experiment import Trial

from raydistill.cluster.errors import (
    AttemptError,
    SweepStoppedError,
    cause_line,
    cause_of_loss,
    failures_told,
    original_error,
    same_cause,
)
from raydistill.cluster.retry_rule import ATTEMPTS, FailureStreak, RetryRule
from raydistill.config.errors import ConfigError
from raydistill.training.job import TrainingDivergedError, TrainingStoppedError

DISK = "OSError: [Errno 28] No space left on device (storage.py:104)"


def wrapped(error: Exception) -> RayTaskError:
    """As Ray hands on what a task has raised."""
    return RayTaskError("task", f"Traceback\n{type(error).__name__}: {error}", error)


def test_the_cause_is_found_in_ray_s_wrappers() -> None:
    told = AttemptError(DISK)
    dead = ActorDiedError()
    several = WorkerGroupError("", {0: told, 1: dead})
    assert original_error(wrapped(told)) is told
    assert original_error(several) is dead  # the other worker failed since this one is gone
    assert original_error(ControllerError(several)) is dead
    assert cause_of_loss(wrapped(told)) == DISK
    assert cause_of_loss(wrapped(wrapped(KeyError("x")))) == "KeyError: 'x'"
    diverged = TrainingDivergedError("loss is nan")
    assert original_error(WorkerGroupError("", {0: told, 1: dead, 2: diverged})) is diverged


def test_an_error_is_told_with_its_place_unless_it_is_final() -> None:
    told = r"^OSError: full \(test_retry_rule.py:\d+\)$"
    with pytest.raises(AttemptError, match=told), failures_told():
        raise OSError("full")
    for final in (ConfigError("seed"), TrainingDivergedError("nan"), TrainingStoppedError("stop")):
        with pytest.raises(type(final)), failures_told():
            raise final


def test_a_cause_is_the_last_line_of_what_is_known() -> None:
    module = AttemptError.__module__
    text = f"Failure # 1\nTraceback\n  File x\n{module}.AttemptError: {DISK}\n\n"
    assert cause_line(text) == DISK
    assert cause_line("") == "no reason is known"
    assert len(cause_line("x" * 10_000)) < 1_000


def test_causes_that_differ_in_numbers_are_the_same() -> None:
    one = "worker 7 at 10.0.0.3 died, request 0badc0ffee0badc0ffee0bad, address 0x7f3a"
    other = "worker 12 at 10.0.1.4 died, request 1234567890abcdef12345678, address 0x11"
    assert same_cause(one, other)
    assert not same_cause(one, DISK)


def failed(*trials: int, cause: str = DISK) -> str | None:
    """The verdict on trials that failed one after the other."""
    streak = FailureStreak()
    for number in trials:
        streak.add(f"trial_{number:05d}", cause)
    return streak.verdict


def test_a_streak_is_several_trials_that_fail_again() -> None:
    assert failed(*[0] * 20) is None  # one bad trial
    assert failed(*range(20)) is None  # many that a node has taken along
    assert failed(0, 1, 0, 1) is None
    assert failed(0, 1, 0, 1, 0) == f"5 attempts in a row, of 2 trials: {DISK}"
    assert failed(0, 0, 0, 0, 0, 1) is None
    assert failed(0, 0, 0, 0, 0, 1, 1) is not None


def test_another_cause_or_something_that_works_ends_a_streak() -> None:
    streak = FailureStreak()
    for number in range(20):
        streak.add(f"trial_{number % 2:05d}", (DISK, "ImportError: no module")[number % 2])
    assert streak.verdict is None
    for _ in range(5):
        streak.add("trial_00000", DISK)
        streak.add("trial_00001", DISK)
    streak.clear()
    assert streak.verdict is None


class Tuned:
    """A trial of Tune's own, failing as Tune lets it fail, under the rule."""

    def __init__(self, rule: RetryRule, name: str) -> None:
        config = {"trial": name, "point": {}}
        self.rule = rule
        self.trial = Trial("none", config=config, max_failures=ATTEMPTS - 1, stub=True)

    def report(self, **result: Any) -> None:
        self.rule.on_trial_result(0, [], self.trial, {"status": "running", **result})

    def fail(self, error: Exception) -> bool:
        """Whether Tune tries it again."""
        self.trial.handle_error(wrapped(error))
        again = bool(self.trial.should_recover())
        told = self.rule.on_trial_recover if again else self.rule.on_trial_error
        told(0, [], self.trial)
        return again

    @property
    def pause(self) -> float:
        return float(self.trial.config["pause"])


@pytest.fixture
def rule() -> RetryRule:
    return RetryRule(lambda line: None)


@pytest.fixture
def tuned(rule: RetryRule, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Makes a trial whose errors are written as Tune writes them, but into a folder of its own."""
    monkeypatch.setattr(Trial, "local_path", property(lambda trial: str(tmp_path)))
    return lambda name: Tuned(rule, name)


def test_failures_without_progress_end_a_trial(rule: RetryRule, tuned: Any) -> None:
    trial = tuned("trial_00000")
    pauses = []
    for _ in range(ATTEMPTS - 1):
        assert trial.fail(OSError("full"))
        pauses.append(trial.pause)
    assert pauses == sorted(set(pauses))  # each longer than the one before
    assert not trial.fail(OSError("full"))
    assert "OSError: full" in rule.causes["trial_00000"]


def test_a_trial_that_gets_further_is_never_given_up(rule: RetryRule, tuned: Any) -> None:
    trial = tuned("trial_00000")
    for attempt in range(1, 10 * ATTEMPTS):
        trial.report(updates=attempt * 100, saved=attempt * 100)
        assert trial.fail(OSError("gone"))
        rule.on_step_end(0, [])
    assert rule.causes == {}


def test_reports_that_no_checkpoint_holds_are_no_progress(tuned: Any) -> None:
    trial = tuned("trial_00000")
    outcomes = []
    for _ in range(ATTEMPTS):
        trial.report(updates=900, saved=500)
        outcomes.append(trial.fail(OSError("gone")))
    assert outcomes == [True] * (ATTEMPTS - 1) + [False]


def test_a_trial_handed_back_is_not_charged(tuned: Any) -> None:
    trial = tuned("trial_00000")
    for _ in range(10 * ATTEMPTS):
        assert trial.fail(TrainingStoppedError("this node is about to go"))
        assert trial.pause == 0.0
    for _ in range(ATTEMPTS - 1):
        assert trial.fail(OSError("full"))
    assert not trial.fail(OSError("full"))


def test_the_sweep_stops_when_trials_fail_alike(rule: RetryRule, tuned: Any) -> None:
    first, second = tuned("trial_00000"), tuned("trial_00001")
    for _ in range(2):
        for trial in (first, second):
            assert trial.fail(ImportError("libcuda.so"))
            rule.on_step_end(0, [])
    assert first.fail(ImportError("libcuda.so"))
    with pytest.raises(SweepStoppedError, match=r"5 attempts in a row, of 2 trials.*libcuda\.so"):
        rule.on_step_end(0, [])


def test_a_node_that_takes_many_trials_along_does_not_stop_the_sweep(
    rule: RetryRule, tuned: Any
) -> None:
    taken = [tuned(f"trial_{number:05d}") for number in range(8)]
    for loss in range(1, 4):
        for trial in taken:
            trial.report(updates=25 * loss, saved=0)
        for trial in taken:
            assert trial.fail(RuntimeError("its node has died"))
            rule.on_step_end(0, [])


def test_a_sweep_in_which_something_works_goes_on(rule: RetryRule, tuned: Any) -> None:
    bad, good = tuned("trial_00000"), tuned("trial_00001")
    for update in range(1, ATTEMPTS):
        assert bad.fail(ImportError("libcuda.so"))
        assert good.fail(ImportError("libcuda.so"))
        good.report(updates=25 * update, saved=25 * update)
        rule.on_step_end(0, [])
