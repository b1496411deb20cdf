"""All figures of a Gaussian sweep, in the order in which its page shows them."""

from __future__ import annotations

from analysis.charts import Chart
from analysis.gaussian.force_field import force_field_charts
from analysis.gaussian.likelihood_histograms import histogram_charts
from analysis.gaussian.line_charts import condition_charts, dimension_charts, training_charts
from analysis.gaussian.scatter_charts import arm_charts, early_charts, rate_charts
from analysis.gaussian.study import GaussianStudy

ALONG_AXES = {
    "likelihoods": histogram_charts,
    "dimensions": dimension_charts,
    "training": training_charts,
    "early_signal": early_charts,
    "conditions": condition_charts,
    "arms": arm_charts,
}


def named_charts(study: GaussianStudy) -> dict[str, list[Chart]]:
    """Charts by a short name, fit for a file; none before a trial has finished.

    Of an adaptive search, in which no two trials share a rate, only what it can show.
    """
    if study.rows.empty:
        return {}
    makers = {} if study.adaptive else ALONG_AXES
    found = {"force": force_field_charts(study)}
    found |= {name: make(study) for name, make in makers.items()}
    found["rates"] = rate_charts(study)
    return {name: made for name, made in found.items() if made}


def charts(study: GaussianStudy) -> list[Chart]:
    """The same in one list."""
    return [chart for made in named_charts(study).values() for chart in made]
