"""All figures of a Gaussian sweep, in the order in which its page shows them."""

from __future__ import annotations

from analysis.charts import Chart
from analysis.gaussian.curves import condition_charts, dimension_charts, training_charts
from analysis.gaussian.force import force_charts
from analysis.gaussian.histograms import histogram_charts
from analysis.gaussian.scatter import arm_charts, early_charts, rate_charts
from analysis.gaussian.study import Study

ALONG_AXES = {
    "likelihoods": histogram_charts,
    "dimensions": dimension_charts,
    "training": training_charts,
    "early_signal": early_charts,
    "conditions": condition_charts,
    "arms": arm_charts,
}


def named_charts(study: Study) -> dict[str, list[Chart]]:
    """Charts by a short name, fit for a file; none before a trial has finished.

    Of an adaptive search, in which no two trials share a rate, only what it can show.
    """
    if study.rows.empty:
        return {}
    makers = {} if study.adaptive else ALONG_AXES
    found = {"force": force_charts(study)}
    found |= {name: make(study) for name, make in makers.items()}
    found["rates"] = rate_charts(study)
    return {name: made for name, made in found.items() if made}


def charts(study: Study) -> list[Chart]:
    """The same in one list."""
    return [chart for made in named_charts(study).values() for chart in made]
