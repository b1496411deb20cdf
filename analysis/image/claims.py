"""The paper's claims on images as testable sentences, each with an effect and an interval.

A verdict rests on a balanced design: trials that differ in the one factor that a claim is about
and agree in everything else, budget included, in at least three training seeds a cell. The unit is
the training seed: pairs that share seed and other factor are subtracted, the differences are
averaged over the other factor within a seed, and a t-interval is taken over seeds. Points of an
adaptive search are no such design; of them only a description is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from analysis.effects import (
    COVERAGE,
    FEWEST_SEEDS,
    Decision,
    Effect,
    Verdict,
    decide,
    half_width,
)
from analysis.table import RANKED_BY, comparable_groups, describe, is_adaptive, listed

SMALLEST_SHARE = 0.05
"""A change below this share of the level it is compared with counts as none."""

NOISE, L1, SEED = "noise_level", "l1_weight", "seed"
FD, SHARPNESS = "test.classifier_fd", "test.sharpness_ratio"
MATCHED = "_matched"


@dataclass(frozen=True)
class Contrast:
    """Two values of one factor: the difference is that of `treated` minus that of `control`."""

    factor: str
    treated: float
    control: float

    @property
    def other(self) -> str:
        """The factor that pairs share."""
        return L1 if self.factor == NOISE else NOISE


def judge(frame: pd.DataFrame) -> tuple[Verdict, ...]:
    """Verdicts on claims 10, 11 and 12, for every regime of the table; see `to_frame`.

    Only x-reconstruction is judged, as in the paper. Trials are compared within a regime alone: the
    same sweep, data, student, teacher, optimiser, updates and batch size.
    """
    if frame.empty or FD not in frame:
        return ()
    asked = frame[frame["objective"] == "x_reconstruction"]
    verdicts: list[Verdict] = []
    for group in comparable_groups(_usable(asked)):
        if is_adaptive(group):
            verdicts += _explore(group, _regime(group, asked))
            continue
        for regime in comparable_groups(group, "rest", "teacher"):
            text = _regime(regime, asked)
            verdicts += [*_noise_claims(regime, text), _l1_claim(regime, text)]
            verdicts.append(_mix_claim(regime, text))
    return tuple(verdicts)


def _usable(frame: pd.DataFrame) -> pd.DataFrame:
    """Finished trials whose budget was spent and whose quality is a number."""
    metrics = [f"{metric}{suffix}" for metric in (FD, SHARPNESS) for suffix in ("", MATCHED)]
    frame = frame.reindex(columns=[*frame.columns, *(m for m in metrics if m not in frame)])
    spent = frame["budget"].isna() | (frame["updates"] == frame["budget"])
    return frame[(frame["status"] == "finished") & spent].dropna(subset=[FD, NOISE, L1])


def _regime(group: pd.DataFrame, asked: pd.DataFrame) -> str:
    first = group.iloc[0]
    same = asked[(asked["sweep"] == first["sweep"]) & (asked["budget"] == first["budget"])]
    left_out = len(same[~same.index.isin(group.index)])
    text = f"{describe(group)}; noise level {listed(group[NOISE])}, l1 weight {listed(group[L1])}"
    if left_out:
        text += f"; {left_out} more of this budget left out (failed, unfinished or different)"
    budgets = set(asked[asked["sweep"] == first["sweep"]]["budget"].dropna()) - {first["budget"]}
    return text + (f"; never compared with those of {listed(budgets)} updates" if budgets else "")


def compare(
    group: pd.DataFrame, contrast: Contrast, metric: str, name: str, *, together: int = 1
) -> Effect:
    """The effect of a factor on a metric, from pairs that share seed and other factor.

    Args:
        group: trials of one regime.
        contrast: the two arms.
        metric: a column.
        name: what to call the effect.
        together: effects tested for one sentence; the interval is widened for them (Bonferroni).
    """
    coverage = 1.0 - (1.0 - COVERAGE) / together
    keys = [contrast.other, SEED]
    arms = [
        # A cell that was run twice with one seed is one observation.
        group[group[contrast.factor] == value].groupby(keys)[metric].mean()
        for value in (contrast.treated, contrast.control)
    ]
    pairs = pd.concat(arms, axis=1, join="inner", keys=["treated", "control"]).dropna()
    if pairs.empty:
        return Effect(name, coverage=coverage)
    difference = (pairs["treated"] - pairs["control"]).unstack(contrast.other)  # seed x other
    enough = difference.loc[:, difference.notna().sum() >= FEWEST_SEEDS].dropna()
    decided = len(enough) >= FEWEST_SEEDS
    used = enough if decided else difference
    control = pairs["control"].unstack(contrast.other).loc[used.index, used.columns]
    per_seed = used.mean(axis=1).to_numpy()
    reference = float(control.mean(axis=1).mean())
    label = "l1 weight" if contrast.other == L1 else "noise level"
    effect = Effect(
        name,
        value=float(per_seed.mean()),
        coverage=coverage,
        reference=reference,
        margin=SMALLEST_SHARE * abs(reference),
        strata=tuple(f"{label} {value:.3g}: {used[value].mean():+.3g}" for value in used),
        seeds=len(used) if decided else int(difference.notna().sum().max()),
        cells=2 * used.shape[1],
    )
    if not decided:
        return effect
    half = half_width(per_seed, coverage)
    return replace(effect, low=effect.value - half, high=effect.value + half)


def _directed(
    claim: str, number: int, effects: tuple[Effect, ...], direction: int, regime: str
) -> Verdict:
    """Does the first effect go in the claimed direction, by an amount that counts?"""
    main, beside = effects[0], effects[1:]
    decision = decide(main, direction)
    smallest = f"{main.margin:.3g}, {SMALLEST_SHARE:.0%} of the level compared with"
    if math.isnan(main.low):
        reason = _too_few(main)
    elif decision == "not reproduced":
        reason = f"the interval excludes even the smallest effect that counts ({smallest})"
    elif decision == "reproduced":
        reason = "the whole interval is on the claim's side of 0"
    else:
        reason = f"the interval holds both no effect and one that counts ({smallest})"
    if not math.isnan(main.low):
        reason = f"{reason}. {_method(main)}"
    return Verdict(claim, number, decision, main, beside, regime, reason)


def _too_few(effect: Effect) -> str:
    if effect.cells == 0:
        return "no two trials of this regime differ in the claim's factor alone"
    return (
        f"{effect.seeds} seed{'s' * (effect.seeds != 1)} a cell: an interval needs at least "
        f"{FEWEST_SEEDS} training seeds in both arms. The difference shown is what was observed"
    )


def _method(effect: Effect) -> str:
    return (
        "Paired by seed and other factor, averaged over the other factor; "
        f"{100 * effect.coverage:.3g}% t-interval over {effect.seeds} training seeds"
    )


def _noise_claims(group: pd.DataFrame, regime: str) -> Iterator[Verdict]:
    """Claim 10, at every noise level and at both prior scales."""
    levels = sorted(level for level in set(group[NOISE]) if level > 0.0) or [math.nan]
    for suffix, scale in (("", "1"), (MATCHED, "sqrt(1 + noise^2)")):
        for level in levels:
            noise = "Noise" if math.isnan(level) else f"Noise of standard deviation {level:.3g}"
            arms = Contrast(NOISE, level, 0.0)
            effects = tuple(
                compare(group, arms, f"{metric}{suffix}", name, together=len(levels))
                for metric, name in (
                    (FD, "classifier FD, noise minus no noise"),
                    (SHARPNESS, "sharpness ratio, noise minus no noise"),
                )
            )
            claim = (
                f"{noise} on the encodings improves samples: at prior scale {scale} their "
                "classifier FD to the test split is lower than without noise."
            )
            yield _directed(claim, 10, effects, -1, regime)


def _l1_claim(group: pd.DataFrame, regime: str) -> Verdict:
    """Claim 11, with the cost in quality and the distance from the data's sharpness beside it."""
    arms = Contrast(L1, 1.0, 0.0)
    group = group.assign(off_data=(group[SHARPNESS] - 1.0).abs())
    named = (
        (SHARPNESS, "sharpness ratio, l1 minus l2"),
        ("off_data", "|sharpness ratio - 1|, l1 minus l2 (below 0: l1 is nearer the data)"),
        (FD, "classifier FD, l1 minus l2 (above 0: l1 is worse)"),
        (f"{SHARPNESS}{MATCHED}", "sharpness ratio at matched prior scale, l1 minus l2"),
        (f"{FD}{MATCHED}", "classifier FD at matched prior scale, l1 minus l2"),
    )
    effects = tuple(compare(group, arms, metric, name) for metric, name in named)
    claim = (
        "l1 is sharper than l2: at prior scale 1 the ratio of the Laplacian energy of samples to "
        "that of the data is higher with l1 than with l2, at equal noise."
    )
    return _directed(claim, 11, effects, 1, regime)


def _mix_claim(group: pd.DataFrame, regime: str) -> Verdict:
    """Claim 12: non-inferiority to the better parent in both respects."""
    sharp = compare(group, Contrast(L1, 0.5, 1.0), SHARPNESS, "sharpness ratio, mix minus l1")
    coherent = compare(group, Contrast(L1, 0.5, 0.0), FD, "classifier FD, mix minus l2")
    beside = compare(group, Contrast(L1, 0.5, 1.0), FD, "classifier FD, mix minus l1")
    claim = (
        "The mix (l1 + l2) / 2 keeps both: at equal noise and prior scale 1 its samples are not "
        f"less sharp than with l1, nor is their classifier FD higher than with l2, by more than "
        f"{SMALLEST_SHARE:.0%}."
    )
    # Negated where less is better, so that losing is below 0 in both.
    lost = [
        (sharp.low, sharp.high, sharp.margin),
        (-coherent.high, -coherent.low, coherent.margin),
    ]
    short = [effect for effect in (sharp, coherent) if math.isnan(effect.low)]
    decision: Decision = "undecided"
    if short:
        reason = f"{short[0].name}: {_too_few(short[0])}"
    elif all(low > -margin for low, _, margin in lost):
        decision, reason = "reproduced", "both intervals exclude a loss that counts"
    elif any(high < -margin for _, high, margin in lost):
        decision, reason = "not reproduced", "an interval holds only losses that count"
    else:
        reason = "an interval holds both no loss and one that counts"
    if not short:
        reason = f"{reason}. {_method(sharp)}"
    return Verdict(claim, 12, decision, sharp, (coherent, beside), regime, reason)


def _explore(group: pd.DataFrame, regime: str) -> Iterator[Verdict]:
    """What an adaptive search has seen: the best of as many trials of each arm, no verdict."""
    noisy, l1 = group[NOISE] > 0.0, group[L1]
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
        if count == 0 or RANKED_BY not in group:
            reason = f"the search has no trial {name_a if arms[0].empty else name_b} to compare"
        else:
            # More trials find a better best: the longer arm is cut to the shorter one's length.
            best = [arm.head(count).sort_values(RANKED_BY).iloc[0] for arm in arms]
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
