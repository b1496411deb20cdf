"""What a search for several things at once has found: its Pareto front, and which axis mattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import optuna

from raydistill.record import Record

FEWEST_TRIALS = 8
"""Below which a variance decomposition says nothing."""


@dataclass(frozen=True)
class Importance:
    """Shares of a metric's variance that axes explain.

    Attributes:
        metric: whose.
        shares: axis -> share; they add up to 1.
        trials: how many the decomposition is over: those that have all these axes.
    """

    metric: str
    shares: dict[str, float]
    trials: int


def pareto_front(records: Sequence[Record], metrics: Sequence[str]) -> frozenset[str]:
    """Names of the finished trials that no other beats in all metrics, on the validation split.

    All metrics are minimised; a trial without a finite value of each is never in it.
    """
    values = {}
    for record in records:
        found = record.metrics("validation") if record.status == "finished" else {}
        point = tuple(found.get(metric, math.nan) for metric in metrics)
        if all(map(math.isfinite, point)):
            values[record.trial] = point
    return frozenset(
        name
        for name, own in values.items()
        if not any(_dominates(other, own) for other in values.values())
    )


def _dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def importances(study: optuna.Study, metrics: Sequence[str]) -> tuple[Importance, ...]:
    """fANOVA (Hutter et al., 2014) of every metric: axes of all trials, then of the fullest.

    Axes that only some trials have are judged among the trials that have every axis, where the
    others are judged once more.
    """
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if not done:
        return ()
    everywhere = set.intersection(*(set(trial.params) for trial in done))
    fullest = max((set(trial.params) for trial in done), key=len)
    found = []
    for index, metric in enumerate(metrics):
        for names in [everywhere] if everywhere == fullest else [everywhere, fullest]:
            having = [trial for trial in done if names <= set(trial.params)]
            varied = [n for n in sorted(names) if len({trial.params[n] for trial in having}) > 1]
            if len(having) < FEWEST_TRIALS or len(varied) < 2:
                continue

            def target(trial: optuna.trial.FrozenTrial, index: int = index) -> float:
                return float(trial.values[index])

            shares = optuna.importance.get_param_importances(
                study,
                evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                params=varied,
                target=target,
            )
            found.append(Importance(metric, dict(shares), len(having)))
    return tuple(found)
