"""OptunaSearch over a study that outlives the driver: the study alone says what is left to do.

A sweep is resumed from its study, not from Tune's snapshot of itself: a snapshot is taken every
few seconds, so trials that start or end in between would be lost or run twice, and it is a pickle.
Here a trial is the study's trial: its number names its folder, its state says whether it has
ended, and a killed driver leaves it RUNNING, to be handed out again before anything new.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from raydistill.cluster.design.question import Point
from raydistill.cluster.design.study import (
    RETRY_OF,
    SEARCHED_METRIC,
    at_once,
    number_of,
    searched_names,
    trial_name,
)
from raydistill.seeding import key_to_seed


class StudySearch(OptunaSearch):  # type: ignore[misc]
    """Tune's search algorithm: hands out the study's trials and tells it how they ended.

    Args:
        study: from `open_study`.
        space: suggests a point from a trial of the study; define-by-run.
        seed: with the trial's number and the results so far, it determines the next point.
        startup: number of trials drawn at random before TPE models the results.
        is_lost: whether another driver has the sweep: the study is then told nothing more.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Callable[[optuna.Trial], Point],
        seed: int,
        startup: int,
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._point_of, self._seed_of_sweep, self._startup = space, seed, startup
        self._is_lost, self._opened = is_lost, study
        self._interrupted = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
        self._names = searched_names(len(study.directions))
        super().__init__(
            space=space,
            metric=list(self._names),
            mode=["min"] * len(self._names),
            study_name=study.study_name,
            storage=study._storage,
        )

    def _setup_study(self, mode: list[str]) -> None:
        """Called by the constructor; the study is there."""
        self._ot_study = self._opened

    @property
    def study(self) -> optuna.Study:
        """The study."""
        study: optuna.Study = self._ot_study
        return study

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Hand out an interrupted trial first, then what the study asks for next."""
        with at_once(self.study):
            trial = self._trial(trial_id)
            return {
                "trial": trial_name(number_of(trial)),
                "point": self._point_of(trial),
                "retry": RETRY_OF in trial.user_attrs,
            }

    def _trial(self, trial_id: str) -> optuna.Trial:
        if trial_id not in self._ot_trials:
            if self._interrupted:
                frozen = self._interrupted.pop(0)
                self._ot_trials[trial_id] = optuna.Trial(self.study, frozen._trial_id)
            else:
                number = len(self.study.get_trials(deepcopy=False))
                # TPE keeps no state but its random numbers: seeding it by the trial's number
                # makes the next point a function of the study, whoever asks.
                self.study.sampler = optuna.samplers.TPESampler(
                    seed=key_to_seed("sampler", self._seed_of_sweep, number),
                    n_startup_trials=self._startup,
                    multivariate=True,
                    group=True,  # axes that only some trials have are modelled among those
                    constant_liar=True,
                )
                self._ot_trials[trial_id] = self.study.ask()
        trial: optuna.Trial = self._ot_trials[trial_id]
        return trial

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep intermediate values, for the dashboard's curves."""
        value = result.get(SEARCHED_METRIC)
        running = result.get("status") == "running"  # the last report repeats the last value
        single = len(self._names) == 1  # Optuna has no intermediate values for several objectives
        if single and running and value is not None and math.isfinite(value):
            self._ot_trials[trial_id].report(value, int(result["updates"]))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study how a trial ended: a failed one is FAIL, never a value."""
        if self._is_lost():
            return
        trial = self._ot_trials[trial_id]
        values = [(result or {}).get(name, math.nan) for name in self._names]
        failed = error or (result or {}).get("status") != "finished"
        if failed or not all(map(math.isfinite, values)):
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, values)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is the state."""
        Path(checkpoint_path).write_text(json.dumps({"study": self.study.study_name}))

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: see `save`."""
