"""Test of a vocoder's metrics on sounds of known order, from a recording down to a whisper.

A headline metric that does not put them in order cannot tell that a student whispers; students are
then not judged at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.metrics.audio import HEADLINE, METRICS, average_metrics
from raydistill.metrics.known_sounds import FEWEST, Comparison, compare_kinds

KINDS = ("natural", "copy", "half", "whisper")
HEADLINES = (HEADLINE, "harmonics_to_noise", "voiced_recall_acf")
"""Metrics that are higher the more a sound is voiced; each must put the kinds in order."""
Judged = Mapping[str, Sequence[Mapping[str, float]]]
"""Kind of sound -> metrics of each sentence; sentences come in the same order for every kind."""


@dataclass(frozen=True)
class Kind:
    """One row of the table.

    Attributes:
        name: of `KINDS`.
        metrics: as of `average_metrics`.
    """

    name: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Calibration:
    """Outcome of the test.

    Attributes:
        rows: by kind, from natural to whisper.
        comparisons: of the headline metrics.
        ordered: whether every headline metric keeps the order; if not, no student may be judged.
        reasons: why not; empty if ordered.
    """

    rows: tuple[Kind, ...]
    comparisons: tuple[Comparison, ...]
    ordered: bool
    reasons: tuple[str, ...]

    def table(self) -> str:
        """All metrics by kind with standard errors, then the comparisons and the verdict."""
        width = max(map(len, METRICS))
        lines = [" " * width + "".join(f"{row.name:>20}" for row in self.rows)]
        for name in METRICS:
            cells = (f"{r.metrics[name]:.3f} ± {r.metrics[f'{name}_se']:.3f}" for r in self.rows)
            lines.append(f"{name:<{width}}" + "".join(f"{cell:>20}" for cell in cells))
        lines.append("")
        lines.extend(
            f"{c.metric}: {c.upper} is {c.verdict} {c.lower}, {c.difference:+.3f} "
            f"[{c.low:+.3f}, {c.high:+.3f}], {c.sentences} sentences"
            for c in self.comparisons
        )
        lines.append("in order" if self.ordered else "NOT in order: " + "; ".join(self.reasons))
        return "\n".join(lines)


def calibration_of(judged: Judged) -> Calibration:
    """Compare the kinds of sound by each headline metric.

    The order is natural, copy, half, whisper, on each of `HEADLINES`. The intervals of natural less
    half, of copy less half and of half less whisper must lie above 0: all of them, so that luck has
    2.5% at most, however many they are. That a recording is above its copy is not asked in the same
    way: the pulses of a vocoder have no jitter and may repeat better than a throat. The copy must
    not be above it by more than 5% of the distance from natural to whisper, with the whole
    interval, and each comparison says whether natural is above, below, or not told apart from it.
    """
    comparisons: list[Comparison] = []
    reasons: list[str] = []
    for metric in HEADLINES:
        values = {kind: np.array([one[metric] for one in judged[kind]]) for kind in KINDS}
        found = compare_kinds(metric, values)
        comparisons += found
        fewest = min(one.sentences for one in found)
        if fewest < FEWEST:
            reasons.append(f"{metric}: only {fewest} sentences have a value, {FEWEST} are needed")
            continue
        *strict, copied = found
        reasons += [
            f"{metric}: {one.upper} is {one.verdict} {one.lower}" for one in strict if not one.holds
        ]
        if not copied.holds:
            reasons.append(
                f"{metric}: copy may be above natural by {-copied.low:.3f}, more than "
                f"{-copied.lowest:.3f}"
            )
    rows = tuple(Kind(kind, average_metrics(judged[kind])) for kind in KINDS)
    return Calibration(rows, tuple(comparisons), not reasons, tuple(reasons))
