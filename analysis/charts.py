"""The style that all figures share, and a picture with the caption it needs.

Text in figures is plain text: names of data, students and sweeps are a user's own, and matplotlib
would read what stands between two `$` as a formula, and fail where it is none. Whatever draws is
therefore decorated with `plain_text`, and logarithmic axes have ticks without formulas.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogFormatter, LogLocator, NullFormatter

DPI = 160
INK, FLOOR, GRID = "#333333", "#6b6b6b", "#e4e4e4"
OBJECTIVE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LOG_FROM = 8.0
"""Ratio of largest to smallest value from which an axis is logarithmic."""


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        title: in a few words, for readers who do not see the picture.
        png: the picture.
        caption: what it shows, of which data, so that it can be read alone.
    """

    title: str
    png: bytes
    caption: str


plain_text = rc_context({"text.parse_math": False})
"""A decorator of functions that draw: `$` in a label is a dollar sign; see the module."""


class PowerOfTenTicks(LogFormatter):
    """Ticks of a logarithmic axis, 10⁻² rather than the formula that matplotlib would write.

    Example:
        >>> ticks = PowerOfTenTicks()
        >>> ticks.create_dummy_axis()
        >>> ticks(0.001), ticks(100.0)
        ('10⁻³', '10²')
    """

    def __call__(self, x: float, pos: int | None = None) -> str:
        if not super().__call__(x, pos) or x <= 0.0:
            return ""
        exponent = math.log10(x)
        if abs(exponent - round(exponent)) > 1e-6:
            return f"{x:g}"
        return f"10{str(round(exponent)).translate(SUPERSCRIPTS)}"


def log_ticks(axis: Axis) -> None:
    """Gives a logarithmic axis ticks that are plain text, after its scale is set."""
    axis.set_major_formatter(PowerOfTenTicks())
    axis.set_minor_formatter(PowerOfTenTicks())


def finish_axis(axis: Axes, x_label: str, y_label: str, heights: list[float]) -> None:
    """Sets labels, ticks and grid; the vertical axis is logarithmic if `heights` span much."""
    axis.set_xlabel(x_label, fontsize=9)
    axis.set_ylabel(y_label, fontsize=9)
    positive = [h for h in heights if h > 0.0]
    if positive and max(positive) > LOG_FROM * min(positive):
        axis.set_yscale("log", nonpositive="clip")
        axis.set_ylim(min(positive) / 1.5, max(positive) * 1.3)
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    plain_axis(axis)


def plain_axis(axis: Axes) -> None:
    """Gives an axis small ticks, horizontal grid lines, and spines at the left and bottom only."""
    axis.tick_params(which="both", labelsize=8.5, color=INK, labelcolor=INK)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color=GRID, linewidth=0.7)


def legend(figure: Figure, handles: Sequence[Artist], columns: int = 4) -> None:
    """One legend for all panels, below them."""
    for handle in handles:
        label = str(handle.get_label())
        if label.startswith("_"):  # which matplotlib would leave out
            handle.set_label(f" {label}")
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=max(1, min(len(handles), columns)),
        frameon=False,
        fontsize=9,
    )


def palette(name: str) -> Colormap:
    """A sequential colour map without its lightest colours, which do not show on white."""
    return ListedColormap(colormaps[name](np.linspace(0.0, 0.86, 256)), name)


def blank_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    engine = ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.06)
    return Figure(figsize=(width, height), dpi=DPI, layout=engine, facecolor="white")


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG file's content.

    Names in scripts that the font lacks, or too long for a panel, do not look well; matplotlib's
    warnings of them would reach the reader of a page as noise on standard error.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def numbered_files(charts: Mapping[str, Sequence[Chart]]) -> dict[str, bytes]:
    """File name -> PNG; of several charts of one name the second and later ones are numbered."""
    return {
        f"{name}{'' if place == 0 else f'_{place + 1}'}.png": chart.png
        for name, made in charts.items()
        for place, chart in enumerate(made)
    }
