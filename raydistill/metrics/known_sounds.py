"""When is a metric in order on known sounds? The rule alone, for whoever holds the values.

It needs neither torch nor the metrics, so that records can be judged where neither is installed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

Array = np.ndarray[Any, np.dtype[np.float64]]

PAIRS = (("natural", "half"), ("copy", "half"), ("half", "whisper"), ("natural", "copy"))
"""The first of each is to be above the second, and need not be strictly of the last pair."""
TOLERANCE = 0.05
"""By how much the copy may be above the natural recording, over natural less whisper."""
COVERAGE = 0.95
"""Of each interval."""
FEWEST = 5
"""Sentences under which no interval is worth having."""


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
    """A metric on the known sounds, one comparison for each of `PAIRS`.

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
    half = float(stats.t.ppf(0.5 + COVERAGE / 2.0, count - 1)) * error
    return Comparison(metric, upper, lower, mean, mean - half, mean + half, count, lowest)
