"""The rule by which a metric passes its test on sounds whose order is known beforehand.

The sounds of a sentence are a recording (`natural`), its copy by a vocoder (`copy`), a half and a
whole whisper. A metric that measures voice has to put them in this order. The module needs NumPy
and SciPy alone, so that `analysis/` can apply the rule to the values in records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

Array = np.ndarray[Any, np.dtype[np.float64]]

PAIRS = (("natural", "half"), ("copy", "half"), ("half", "whisper"), ("natural", "copy"))
"""Pairs (upper, lower). The first sound must score above the second; in the last pair, the copy may
be above the recording by `TOLERANCE`, since a vocoder's pulses repeat better than a throat's."""
TOLERANCE = 0.05
"""How far the copy may be above the recording, as a share of recording minus whisper."""
COVERAGE = 0.95
"""Coverage of each interval of a difference."""
FEWEST = 5
"""Fewest sentences from which an interval is computed."""


@dataclass(frozen=True)
class Comparison:
    """A headline metric between two kinds, by paired differences over sentences.

    Attributes:
        metric, upper, lower: what is compared.
        difference: mean of upper less lower.
        low, high: its t-interval at 95%.
        sentences: that have a value in both.
        lowest: what `low` must exceed.
    """

    metric: str
    upper: str
    lower: str
    difference: float
    low: float
    high: float
    sentences: int
    lowest: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the two are in order; False with few sentences."""
        return self.sentences >= FEWEST and self.low > self.lowest

    @property
    def verdict(self) -> str:
        """`above`, `below`, or `not told apart from`."""
        if self.low > 0.0:
            return "above"
        return "below" if self.high < 0.0 else "not told apart from"


def compare_kinds(metric: str, values: Mapping[str, Array]) -> tuple[Comparison, ...]:
    """Compare the known sounds by one metric, a comparison for each of `PAIRS`.

    Args:
        metric: its name.
        values: by kind, of each sentence, in the same order.
    """
    room = TOLERANCE * _compare(metric, values, "natural", "whisper").difference
    return tuple(
        _compare(metric, values, upper, lower, -room if lower == "copy" else 0.0)
        for upper, lower in PAIRS
    )


def _compare(
    metric: str, values: Mapping[str, Array], upper: str, lower: str, lowest: float = 0.0
) -> Comparison:
    differences = values[upper] - values[lower]
    differences = differences[np.isfinite(differences)]
    count = len(differences)
    if count < FEWEST:
        return Comparison(metric, upper, lower, math.nan, math.nan, math.nan, count, lowest)
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(count)
    half = float(stdtrit(count - 1, 0.5 + COVERAGE / 2.0)) * error
    return Comparison(metric, upper, lower, mean, mean - half, mean + half, count, lowest)
