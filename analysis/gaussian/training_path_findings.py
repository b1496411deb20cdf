"""Tests the sparse signal by the share of samples that are pushed outward during training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from analysis.effects import (
    Effect,
    median_effect,
    partial_rank_correlation,
    rank_correlation,
)
from analysis.gaussian.decision_rules import (
    NEGLIGIBLE,
    dimensions_of,
    medians_by_dimension,
    seed_by_dimension,
    too_few_seeds,
)
from analysis.gaussian.findings import Answer, Finding, answer_to_prediction, correlation_effect
from analysis.gaussian.study import KL, GaussianStudy, columns_of, groups, log_kl, nearest_to_paper
from analysis.gaussian.tables import CAUSES, CONFOUNDED, EARLY, rounded, with_early_outward


def training_path_findings(study: GaussianStudy) -> Iterator[Finding]:
    """Whether seeds with fewer outward samples early in training end with a larger KL.

    At equal conditioning: a teacher's smallest eigenvalues set both its condition number and its
    outward share, so that the plain correlation cannot tell the two apart.
    """
    rows = columns_of(with_early_outward(study), CAUSES)
    rows = rows[rows["objective"] == "reverse_kl"].assign(log_kl=log_kl(rows[KL]))
    for (setting,), group in groups(rows, "setting"):
        own = nearest_to_paper(group)
        last = int(own["dimension"].max())
        cell = own[own["dimension"] == last]
        yield _rarity(own, f"{own['arm'].iloc[0]}, teachers with {setting}, T {last}")
        condition, chance = (cell[name] for name in CONFOUNDED)
        early, final = cell["early_outward"], cell["log_kl"]
        plain = rank_correlation(final, early)
        partial = partial_rank_correlation(final, early, rounded(condition))
        held = partial.count >= 6 and not math.isnan(partial.value)
        words = "rank correlation of final KL with the outward share early on"
        main = correlation_effect(words, plain)
        if held:
            main = correlation_effect(f"{words}, at equal condition number", partial)
        main = replace(
            main, strata=medians_by_dimension(seed_by_dimension(own, own["early_outward"]), ".2f")
        )
        answer, reason = answer_to_prediction(
            main, -1, "more KL where outward samples are rarer early on"
        )
        beside = [
            ("the same without regard to condition number", plain),
            ("of final KL with the condition number", rank_correlation(final, rounded(condition))),
            (
                "the same at equal Proposition 1's probability",
                partial_rank_correlation(final, rounded(condition), chance),
            ),
            (
                "of final KL with that probability, at equal condition number",
                partial_rank_correlation(final, chance, rounded(condition)),
            ),
        ]
        yield Finding(
            "A rare outward signal along the path makes reverse KL worse",
            answer,
            main,
            tuple(correlation_effect(*one) for one in beside if not math.isnan(one[1].value)),
            f"{own['arm'].iloc[0]}, teachers with {setting}, T {last}",
            f"{reason}. Spearman's, Fisher's interval over {main.seeds} seeds. By T: the median "
            "outward share in the first quarter of the training",
        )


def _rarity(rows: pd.DataFrame, regime: str) -> Finding:
    table = seed_by_dimension(rows, rows["early_outward"])
    suspicion = "The outward signal is rare along the path of reverse KL at large T"
    if table.empty:
        missing = Effect("outward share early in the training")
        return Finding(suspicion, "undecided", missing, (), regime, "no outward share was recorded")
    last = dimensions_of(table)[-1]
    main = median_effect(
        f"share of samples pushed outward in the first {EARLY:.0%} of the training at T {last}",
        table[last],
        strata=medians_by_dimension(table, ".2f"),
        cells=1,
    )
    answer: Answer = "undecided"
    if math.isnan(main.low):
        reason = too_few_seeds(main.seeds)
    elif main.low > NEGLIGIBLE:
        answer, reason = "not supported", f"the whole interval is above {NEGLIGIBLE:g}"
    elif main.high < NEGLIGIBLE:
        answer, reason = "supported", f"the whole interval is below {NEGLIGIBLE:g}"
    else:
        reason = f"the interval holds {NEGLIGIBLE:g}"
    text = f"{reason}. Median of {main.seeds} seeds, 95% interval from the sign test"
    return Finding(suspicion, answer, main, (), regime, text)
