"""The paper's Figure 5: teacher samples as the norm of z varies, and how often the class stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.charts import INK, OBJECTIVE_COLOURS, Chart, blank_figure, figure_png, plain_axis
from analysis.effects import share_interval
from analysis.image.contrasts import teacher_regime
from analysis.image.norm_perturbation import ClassKept, norm_ratios
from analysis.image.pictures import pixels, read_png, with_picture
from analysis.image.sample_sheets import Sheet
from analysis.records import Skipped, TrialRecord
from analysis.table import REGIME, data_of

PICTURE = "norms"


def norm_perturbation_sheets(
    frame: pd.DataFrame, records: Sequence[TrialRecord], unreadable: list[Skipped]
) -> Sheet:
    """Rows are draws of z, columns the factor r on its norm; beneath, the share of the same class.

    One sheet a teacher, from the picture `norms` and the record's `norm_perturbation`.
    """
    charts, missing = [], []
    finished = frame[frame["status"] == "finished"]
    for _, rows in finished.groupby([*REGIME, "teacher"], dropna=False):
        row, name = rows.iloc[0], teacher_regime(rows.iloc[0])
        pictured = with_picture(rows, records, PICTURE)
        readable = (read_png(records[i], PICTURE, unreadable) for i in pictured["record"])
        content = next((png for png in readable if png), b"")
        reference = records[row["record"]].record.reference.get("norm_perturbation", {})
        found = norm_ratios(reference)
        if content:
            charts.append(_chart(row, name, content, found, round(reference.get("count", 0.0))))
        else:
            missing.append(f"{name}: a record with the picture {PICTURE!r}")
        if content and not found:
            missing.append(f"{name}: norm_perturbation in the reference, for the curve")
    return Sheet(tuple(charts), tuple(missing))


def _chart(
    row: pd.Series, name: str, content: bytes, found: tuple[ClassKept, ...], count: int
) -> Chart:
    picture = pixels(content)
    height, width = picture.shape[:2]
    figure = blank_figure(11.0, 11.0 * height / width + (2.4 if found else 0.4))
    shares = [11.0 * height / width, 2.0] if found else [1.0]
    axes = figure.subplots(len(shares), 1, squeeze=False, gridspec_kw={"height_ratios": shares})[
        :, 0
    ]
    axes[0].imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, aspect="auto")
    axes[0].set(xticks=[], yticks=[])
    axes[0].spines[:].set_visible(False)
    axes[0].set_ylabel("draws of z", fontsize=9, color=INK)
    if found:
        _curve(axes[1], found, count, aligned=_is_aligned(width, len(found), row["size"]))
    caption = (
        f"{name}: each row is one draw of z, rescaled to r times its norm along the columns"
        f"{f', r = {found[0].factor:g} to {found[-1].factor:g}' if found else ''}; the teacher "
        "decodes each."
    )
    if found:
        caption += (
            f" Beneath: share of {count} draws whose predicted class is that at r = 1, with 95% "
            "Wilson intervals. The class is a classifier's, also of samples that are no image of "
            "any class."
        )
    return Chart(f"Norm of z, {data_of(row)} (Figure 5)", figure_png(figure), caption)


def _is_aligned(width: int, columns: int, size: float) -> bool:
    """Whether the picture has one column of images a factor, a line between neighbours."""
    return not pd.isna(size) and width % (columns * (int(size) + 1) + 1) == 0


def _curve(axis: Axes, found: tuple[ClassKept, ...], count: int, *, aligned: bool) -> None:
    factors = [ratio.factor for ratio in found]
    kept = np.array([ratio.kept for ratio in found])
    # Under its own column of images where there is one, else on a scale of the factor.
    x = np.arange(len(found)) + 0.5 if aligned else np.array(factors)
    if count:
        ends = [share_interval(round(v * count), count, method="wilson") for v in kept]
        low, high = (np.array([getattr(e, side) for e in ends]) for side in ("low", "high"))
        axis.fill_between(x, low, high, color=OBJECTIVE_COLOURS[0], alpha=0.2, linewidth=0.0)
    axis.plot(x, kept, "o-", color=OBJECTIVE_COLOURS[0], markersize=4, linewidth=1.2)
    if aligned:
        axis.set_xlim(0.0, len(found))
        axis.set_xticks(x, labels=[f"{factor:g}" for factor in factors], rotation=60)
    axis.set_ylim(0.0, 1.05)
    axis.set_xlabel("factor r on the norm of z", fontsize=9)
    axis.set_ylabel("same class", fontsize=9)
    plain_axis(axis)
