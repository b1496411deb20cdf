"""Claims 6 to 14 on images as testable sentences, each with an effect, an interval and a reason.

One idea a module: `collapse` (6, 7), `transfer` (8), `norms` (9), `noise` (10), `losses` (11,
12), `outdone` (13), `colour` (14); what they share is in `contrasts`. Points of an adaptive search
are no balanced design; of them only a description is given (`explore`). A sweep says nothing of a
claim whose factor it holds fixed: there is no verdict then, rather than one that is undecided.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.effects import Verdict
from analysis.image.collapse import collapse_claims
from analysis.image.colour import colour_claims
from analysis.image.contrasts import (
    FD,
    L1,
    MATCHED,
    NOISE,
    SHARPNESS,
    asked_alike,
    regime_of,
    usable,
)
from analysis.image.explore import explore
from analysis.image.losses import l1_claim, mix_claim
from analysis.image.noise import arms_of_noise, count_arms, noise_claims
from analysis.image.norms import norm_claims
from analysis.image.outdone import outdone_claims
from analysis.image.transfer import transfer_claims
from analysis.table import comparable_groups, is_adaptive

__all__ = ["CLAIMS", "MATCHED", "judge"]

CLAIMS = {
    6: "reverse KL collapses",
    7: "z-reconstruction collapses",
    8: "x-reconstruction reconstructs well and samples worse than the oracle",
    9: "identity flips as the norm of z moves",
    10: "noise on the encodings improves samples",
    11: "l1 is sharper than l2",
    12: "the mix of l1 and l2 keeps both",
    13: "a noise-trained student can outdo its teacher",
    14: "x-reconstruction with noise on colour images",
}
"""The claims in a few words, by number."""


def judge(frame: pd.DataFrame) -> tuple[Verdict, ...]:
    """Verdicts on claims 6 to 14, for every regime of the table; see `to_frame`.

    Trials are compared within a regime alone: the same sweep, data, teacher, updates and batch
    size, and, where a claim is about neither, the same student, objective and optimiser. Noise and
    losses (10 to 14) are judged of x-reconstruction, as in the paper.
    """
    if frame.empty or usable(frame).empty:
        return ()
    verdicts = [
        *collapse_claims(frame),
        *transfer_claims(frame),
        *norm_claims(frame),
        *_noise_and_losses(frame),
        *outdone_claims(frame),
        *colour_claims(frame),
    ]
    return tuple(sorted(verdicts, key=lambda verdict: verdict.number))


def _noise_and_losses(frame: pd.DataFrame) -> Iterator[Verdict]:
    if FD not in frame:
        return
    asked = frame[frame["objective"] == "x_reconstruction"]
    metrics = [f"{metric}{suffix}" for metric in (FD, SHARPNESS) for suffix in ("", MATCHED)]
    rows = usable(asked).dropna(subset=[FD, NOISE, L1])
    rows = rows.reindex(columns=[*rows.columns, *(m for m in metrics if m not in rows)])
    for group in comparable_groups(rows):
        open_claims = _varied(asked_alike(group, asked))
        if is_adaptive(group):
            found: tuple[Verdict, ...] = tuple(explore(group, regime_of(group, asked)))
            yield from (verdict for verdict in found if verdict.number in open_claims)
            continue
        if len(group) > 1 and len(group[[NOISE, L1]].drop_duplicates()) == 1:
            continue  # a sweep about other things
        for whole in comparable_groups(group, "rest", "teacher"):
            together = count_arms(whole)
            for part in arms_of_noise(whole):
                text = regime_of(part, asked)
                found = (
                    *noise_claims(part, text, together=together),
                    l1_claim(part, text),
                    mix_claim(part, text),
                )
                yield from (verdict for verdict in found if verdict.number in open_claims)


def _varied(asked: pd.DataFrame) -> set[int]:
    """Which of claims 10 to 12 the trials that were asked for can speak of, failed ones too.

    An arm that was asked for and failed leaves its claim undecided; one that was never asked for
    leaves nothing to say.
    """
    noise, weights = set(asked[NOISE].dropna()), set(asked[L1].dropna())
    found = set()
    if len(noise) > 1:
        found.add(10)
    if len(weights) > 1:
        found.add(11)
        if any(0.0 < weight < 1.0 for weight in weights):
            found.add(12)
    return found
