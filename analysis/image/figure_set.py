"""All figures of image sweeps, by file name, and what is missing where one cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.charts import Chart, plain_text
from analysis.image.noise_and_learning_charts import learning_charts, noise_charts
from analysis.image.noise_curves import noise_curves
from analysis.image.norm_perturbation_sheets import norm_perturbation_sheets
from analysis.image.quality_charts import collapse_charts, pareto_charts
from analysis.image.sample_sheets import Sheet, colour_sheets, losses_sheets, objectives_sheet
from analysis.image.scale_curves import scale_curves
from analysis.parts import FailedPart, PartMaker
from analysis.records import Skipped, TrialRecord

TITLES = {
    "noise_injection": "Quality, sharpness and reconstruction against noise",
    "noise_effect": "Effect of noise",
    "prior_scale": "Prior scale",
    "learning_curves": "Learning curves",
    "collapse": "Collapse by objective",
    "pareto": "Quality and likelihood match",
    "figure_3_objectives": "Objectives (Figure 3)",
    "figure_4_losses": "Losses and noise (Figure 4)",
    "figure_5_norms": "Norm of z (Figure 5)",
    "figure_6_colour": "Colour (Figure 6)",
}
"""Figure -> its title, in the order of the page."""


@dataclass(frozen=True)
class FigureSet:
    """The figures that a set of records gives.

    Attributes:
        sheets: by figure, what could be drawn and what it lacks.
        unreadable: pictures beside the records that could not be read, each once.
        failed: figures that could not be drawn for another reason.
    """

    sheets: dict[str, Sheet]
    unreadable: tuple[Skipped, ...] = ()
    failed: tuple[FailedPart, ...] = ()

    @property
    def charts(self) -> dict[str, Chart]:
        """By file name; those of several regimes are numbered from the second."""
        return {
            name if place == 0 else f"{name}_{place + 1}": chart
            for name, sheet in self.sheets.items()
            for place, chart in enumerate(sheet.charts)
        }

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """By figure, what could not be drawn."""
        return {name: sheet.missing for name, sheet in self.sheets.items() if sheet.missing}


@plain_text
def draw_figure_set(frame: pd.DataFrame, records: Sequence[TrialRecord]) -> FigureSet:
    """Every figure that the records allow.

    Args:
        frame: `to_frame` of the records.
        records: all records that the table was made of; its column `record` points into them.
    """
    unreadable: list[Skipped] = []
    makers: dict[str, Callable[[], Sheet]] = {
        "noise_injection": lambda: _sheet(
            noise_charts(frame, records),
            "comparable finished trials with a classifier FD that differ in noise level",
        ),
        "noise_effect": lambda: noise_curves(frame),
        "prior_scale": lambda: scale_curves(frame),
        "learning_curves": lambda: _sheet(
            learning_charts(frame, records), "trials that have been evaluated"
        ),
        "collapse": lambda: collapse_charts(frame),
        "pareto": lambda: pareto_charts(frame),
        "figure_3_objectives": lambda: objectives_sheet(frame, records, unreadable),
        "figure_4_losses": lambda: losses_sheets(frame, records, unreadable),
        "figure_5_norms": lambda: norm_perturbation_sheets(frame, records, unreadable),
        "figure_6_colour": lambda: colour_sheets(frame, records, unreadable),
    }
    parts = PartMaker()
    sheets = {
        name: parts.make(f"the figure {TITLES[name]!r}", maker, Sheet(()))
        for name, maker in makers.items()
    }
    return FigureSet(sheets, tuple(dict.fromkeys(unreadable)), parts.failed)


def _sheet(charts: tuple[Chart, ...], needed: str) -> Sheet:
    """The charts, or what it would take to have any."""
    return Sheet(charts, () if charts else (needed,))
