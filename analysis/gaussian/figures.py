"""All figures of a Gaussian sweep, in the order in which its page shows them."""

from __future__ import annotations

from functools import partial

from analysis.charts import Chart, plain_text
from analysis.gaussian.force_field import force_field_charts
from analysis.gaussian.likelihood_histograms import histogram_charts
from analysis.gaussian.line_charts import condition_charts, dimension_charts, training_charts
from analysis.gaussian.scatter_charts import arm_charts, early_charts, rate_charts
from analysis.gaussian.study import GaussianStudy
from analysis.parts import PartMaker

ALONG_AXES = {
    "likelihoods": histogram_charts,
    "dimensions": dimension_charts,
    "training": training_charts,
    "early_signal": early_charts,
    "conditions": condition_charts,
    "arms": arm_charts,
}


@plain_text
def named_charts(study: GaussianStudy, parts: PartMaker) -> dict[str, list[Chart]]:
    """Charts by a short name, fit for a file; none before a trial has finished.

    Of an adaptive search, in which no two trials share a rate, only what it can show.

    Args:
        study: the sweep.
        parts: keeps what could not be drawn.
    """
    if study.rows.empty:
        return {}
    makers = {"force": force_field_charts}
    makers |= {} if study.adaptive else ALONG_AXES
    makers["rates"] = rate_charts
    nothing: list[Chart] = []
    made = {
        name: parts.make(f"the figure {name!r}", partial(make, study), nothing)
        for name, make in makers.items()
    }
    return {name: charts for name, charts in made.items() if charts}
