"""How much of a metric's variance over the trials of a search each axis explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna

FEWEST_TRIALS = 8
"""With fewer trials a decomposition of the variance means nothing."""


@dataclass(frozen=True)
class AxisImportance:
    """Shares of one metric's variance.

    Attributes:
        metric: whose variance.
        shares: dotted field of an axis -> share that it explains; they add up to 1.
        trials: over how many trials: those that have all these axes.
    """

    metric: str
    shares: dict[str, float]
    trials: int


def axis_importances(study: optuna.Study, metrics: Sequence[str]) -> tuple[AxisImportance, ...]:
    """The functional analysis of variance (fANOVA) of every metric.

    Source: Hutter, Hoos and Leyton-Brown, An efficient approach for assessing hyperparameter
    importance, ICML 2014.

    Every metric is decomposed over the axes that all trials have. If some trials have more axes
    (an objective's own), it is decomposed a second time over the trials that have all axes.

    Args:
        study: of the sweep.
        metrics: names of its objectives, in order.
    """
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if not done:
        return ()
    common = set.intersection(*(set(trial.params) for trial in done))
    most = max((set(trial.params) for trial in done), key=len)
    importances = []
    for index, metric in enumerate(metrics):
        for names in [common] if common == most else [common, most]:
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
            importances.append(AxisImportance(metric, dict(shares), len(having)))
    return tuple(importances)
