"""Verdicts on claims 6 to 14, which are about images, from the table of a sweep's records.

A module a claim, or a pair of claims: `mode_collapse` (6 and 7), `reconstruction_vs_oracle` (8),
`norm_perturbation` (9), `noise_on_encodings` (10), `l1_vs_l2` (11 and 12), `student_vs_teacher`
(13), `colour_images` (14); they share the functions of `contrasts`. The trials of an adaptive
search are no balanced design, so that `adaptive_search` only describes them. A sweep that holds a
claim's factor fixed gets no verdict on that claim, rather than an undecided one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.effects import Verdict
from analysis.image.adaptive_search import describe_adaptive_search
from analysis.image.colour_images import colour_claims
from analysis.image.contrasts import (
    FD,
    L1,
    NOISE,
    SHARPNESS,
    finished_trials,
    regime_of,
    trials_of_same_question,
)
from analysis.image.l1_vs_l2 import l1_claim, mix_claim
from analysis.image.mode_collapse import collapse_claims
from analysis.image.noise_on_encodings import arms_of_noise, count_arms, noise_claims
from analysis.image.norm_perturbation import norm_claims
from analysis.image.reconstruction_vs_oracle import reconstruction_vs_oracle_claims
from analysis.image.student_vs_teacher import student_vs_teacher_claims
from analysis.table import comparable_groups, is_adaptive

__all__ = ["CLAIMS", "judge"]

CLAIMS = {
    6: "reverse KL collapses",
    7: "z-reconstruction collapses",
    8: "x-reconstruction reconstructs well; its samples match the teacher's less than the oracle's",
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
    if frame.empty or finished_trials(frame).empty:
        return ()
    verdicts = [
        *collapse_claims(frame),
        *reconstruction_vs_oracle_claims(frame),
        *norm_claims(frame),
        *_noise_and_losses(frame),
        *student_vs_teacher_claims(frame),
        *colour_claims(frame),
    ]
    return tuple(sorted(verdicts, key=lambda verdict: verdict.number))


def _noise_and_losses(frame: pd.DataFrame) -> Iterator[Verdict]:
    if FD not in frame:
        return
    asked = frame[frame["objective"] == "x_reconstruction"]
    rows = finished_trials(asked).dropna(subset=[FD, NOISE, L1])
    absent = [] if SHARPNESS in rows else [SHARPNESS]
    rows = rows.reindex(columns=[*rows.columns, *absent])
    for group in comparable_groups(rows):
        open_claims = _varied(trials_of_same_question(group, asked))
        if is_adaptive(group):
            found: tuple[Verdict, ...] = tuple(
                describe_adaptive_search(group, regime_of(group, asked))
            )
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
