"""Describes what an adaptive search saw of claims 10 to 12; it is no design, so no verdict."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.effects import Effect, Verdict
from analysis.image.contrasts import FD, L1, NOISE, SHARPNESS
from analysis.table import measure_of


def describe_adaptive_search(group: pd.DataFrame, regime: str) -> Iterator[Verdict]:
    """Compare the best of equally many trials of each arm; every verdict is undecided."""
    noisy, l1 = group[NOISE] > 0.0, group[L1]
    measure = measure_of(group)
    middle = (l1 > 0.25) & (l1 < 0.75)
    questions = (
        (10, "Noise on the encodings improves samples", "with noise", noisy, "without", ~noisy, FD),
        (11, "l1 is sharper than l2", "mostly l1", l1 > 0.5, "mostly l2", l1 < 0.5, SHARPNESS),
        (12, "The mix keeps both", "near the mix", middle, "near l1 or l2", ~middle, FD),
    )
    for number, claim, name_a, in_a, name_b, in_b, metric in questions:
        arms = [group[in_a].sort_values("trial"), group[in_b].sort_values("trial")]
        count = min(len(arm) for arm in arms)
        text = f"Exploratory, from an adaptive search, which is no balanced design: {claim}?"
        effect = Effect(metric)
        if count == 0 or measure not in group:
            reason = f"the search has no trial {name_a if arms[0].empty else name_b} to compare"
        else:
            # More trials find a better best: the longer arm is cut to the shorter one's length.
            best = [arm.head(count).sort_values(measure).iloc[0] for arm in arms]
            title = f"{metric.removeprefix('test.')}, best {name_a} minus best {name_b}"
            gap = float(best[0][metric] - best[1][metric])
            effect = Effect(title, gap, reference=float(best[1][metric]), cells=2, seeds=1)
            shown = [
                f"{name} {row['trial']} (noise {row[NOISE]:.3g}, l1 weight {row[L1]:.3g}): test FD "
                f"{row[FD]:.3g}, sharpness {row[SHARPNESS]:.3g}"
                for name, row in zip((name_a, name_b), best, strict=True)
            ]
            reason = f"best by validation FD of the first {count} trials each: {'; '.join(shown)}"
        yield Verdict(text, number, "undecided", effect, (), regime, reason, exploratory=True)
