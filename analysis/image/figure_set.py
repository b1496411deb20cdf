"""All figures of image sweeps, by file name, and what is missing of those that cannot be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.charts import Chart
from analysis.image.noise_and_learning_charts import learning_charts, noise_charts
from analysis.image.noise_curves import noise_curves
from analysis.image.norm_perturbation_sheets import norm_perturbation_sheets
from analysis.image.quality_charts import collapse_charts, pareto_charts
from analysis.image.sample_sheets import Sheet, colour_sheets, losses_sheets, objectives_sheet
from analysis.records import TrialRecord

TITLES = {
    "noise_injection": "Quality, sharpness and reconstruction against noise",
    "noise_effect": "Effect of noise",
    "learning_curves": "Learning curves",
    "collapse": "Collapse by objective",
    "pareto": "Quality and likelihood match",
    "figure_3_objectives": "Objectives (Figure 3)",
    "figure_4_losses": "Losses and noise (Figure 4)",
    "figure_5_norms": "Norm of z (Figure 5)",
    "figure_6_colour": "Colour (Figure 6)",
}
"""Of figures in the order of a page, for those that could not be drawn."""


@dataclass(frozen=True)
class FigureSet:
    """What records give.

    Attributes:
        sheets: of each figure what could be drawn, and what is missing.
    """

    sheets: dict[str, Sheet]

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


def draw_figure_set(frame: pd.DataFrame, records: Sequence[TrialRecord]) -> FigureSet:
    """Every figure that the records allow.

    Args:
        frame: `to_frame` of the records.
        records: all records that the table was made of; its column `record` points into them.
    """
    noise, learning = noise_charts(frame, records), learning_charts(frame, records)
    sheets = {
        "noise_injection": Sheet(
            noise,
            ()
            if noise
            else ("comparable finished trials with a classifier FD that differ in noise level",),
        ),
        "noise_effect": noise_curves(frame),
        "learning_curves": Sheet(
            learning, () if learning else ("trials that have been evaluated",)
        ),
        "collapse": collapse_charts(frame),
        "pareto": pareto_charts(frame),
        "figure_3_objectives": objectives_sheet(frame, records),
        "figure_4_losses": losses_sheets(frame, records),
        "figure_5_norms": norm_perturbation_sheets(frame, records),
        "figure_6_colour": colour_sheets(frame, records),
    }
    return FigureSet(sheets)
