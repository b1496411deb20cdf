"""Findings on records in which the culprit was planted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.gaussian.failure_causes import failure_cause_findings, untested_causes
from analysis.gaussian.findings import Finding, paired_contrast
from analysis.gaussian.learning_rates import best_rates
from analysis.gaussian.study import KL, GaussianStudy
from analysis.records import TrialRecord
from tests.analysis.gaussian_records import Values, config, level, paper_like, study_of, trial

Random = np.random.Generator


def study(cells: list[tuple[dict[str, Any], float, float]]) -> GaussianStudy:
    """Cells of reverse KL with a median KL and an excess of KS each."""
    items: list[TrialRecord] = []
    for index, (changes, kl, excess) in enumerate(cells):

        def metrics(
            kind: str, dimension: int, random: Random, kl: float = kl, excess: float = excess
        ) -> Values:
            found = dict(paper_like(kind, dimension, random))
            floor = found["ks_log_prob_floor"]
            return found | {
                "kl_student_teacher": level(random, kl, 0.05),
                "ks_log_prob": floor + level(random, excess, 0.05),
            }

        changes = dict(changes)
        kind, dimension = changes.pop("objective", "reverse_kl"), changes.pop("dimension", 16)
        items.append(trial(index, config(kind, dimension, **changes), metrics))
    return study_of(*items)


def answer(found: GaussianStudy, words: str) -> Finding:
    (one,) = [finding for finding in failure_cause_findings(found) if words in finding.suspicion]
    return one


ESTIMATOR = "objective__estimator"


@pytest.mark.parametrize(
    ("remedied", "expected"),
    [
        ((1e-4, 0.001), "supported"),
        ((1.0, 0.2), "in part"),
        ((10.0, 0.3), "not supported"),
        ((20.0, 0.3), "not supported"),
    ],
)
def test_gradient_noise_is_to_blame_where_the_exact_gradient_helps(
    remedied: tuple[float, float], expected: str
) -> None:
    found = answer(study([({}, 10.0, 0.3), ({ESTIMATOR: "exact"}, *remedied)]), "Noise of the")
    assert found.answer == expected
    assert found.main.value == pytest.approx(np.log10(remedied[0] / 10.0), abs=0.06)


def test_where_nothing_fails_there_is_nothing_to_explain() -> None:
    cells: list[tuple[dict[str, Any], float, float]] = [
        ({}, 1e-3, 0.001),
        ({"budget__updates": 1000}, 1e-9, 0.001),
    ]
    assert answer(study(cells), "Too few updates").answer == "nothing to explain"


def test_other_factors_are_averaged_over_within_a_seed() -> None:
    cells: list[tuple[dict[str, Any], float, float]] = []
    for start, offset in (("identity", 1.0), ("random", 100.0)):
        cells.append(({"student__start": start}, offset, 0.3))
        cells.append(({"student__start": start, ESTIMATOR: "exact"}, 0.01 * offset, 0.3))
    found = study(cells)
    assert answer(found, "Noise of the").main.value == pytest.approx(-2.0, abs=0.05)
    assert answer(found, "start from the identity").main.value == pytest.approx(2.0, abs=0.05)
    rows = found.rows.assign(log=np.log10(found.rows[KL]))
    table = paired_contrast(rows, "estimator", "exact", "plain", "log")
    assert table.shape == (20, 1)
    assert paired_contrast(rows, "estimator", "exact", "path", "log").empty


def test_condition_and_dimension_are_told_apart() -> None:
    def cell(condition: float, dimension: int, kl: float) -> tuple[dict[str, Any], float, float]:
        teacher = {"teacher__matrix": "spectrum", "teacher__condition": condition}
        return ({**teacher, "dimension": dimension}, kl, 0.1)

    # KL adds up over dimensions: in proportion to T it is no worse.
    found = study([cell(c, t, t * c**2) for c in (3.0, 30.0) for t in (4, 16)])
    assert answer(found, "Conditioning, at fixed T").answer == "supported"
    assert answer(found, "T itself, at condition 3,").answer == "not supported"
    assert answer(found, "T itself, at condition 30,").answer == "not supported"
    found = study([cell(c, t, t**3) for c in (3.0, 30.0) for t in (4, 16)])
    assert answer(found, "Conditioning, at fixed T").answer == "not supported"
    assert answer(found, "T itself, at condition 3,").answer == "supported"
    # T may matter where the conditioning is good, and add nothing where it is bad.
    found = study([cell(c, t, t * max(c**2, t**2)) for c in (3.0, 30.0) for t in (4, 16)])
    assert answer(found, "T itself, at condition 3,").answer == "supported"
    assert answer(found, "T itself, at condition 30,").answer == "not supported"


def test_rescaled_teachers_put_proposition_one_to_the_test() -> None:
    scaled = {"teacher__matrix": "scaled"}
    found = study([({}, 1.0, 0.3), (scaled, 10.0, 0.3)])
    assert answer(found, "signal at the start").answer == "supported"
    found = study([({}, 1.0, 0.3), (scaled, 0.5, 0.3)])
    assert answer(found, "signal at the start").answer == "not supported"


def test_a_common_signal_is_not_rare() -> None:
    found = study([({"dimension": t}, 1.0, 0.3) for t in (4, 64)])
    assert answer(found, "signal is rare along the path").answer == "not supported"


def test_suspects_without_an_axis_are_named_with_their_options() -> None:
    found = study([({}, 10.0, 0.3), ({ESTIMATOR: "exact"}, 1.0, 0.3)])
    names = [name for name, _ in untested_causes(found)]
    assert "gradient noise" not in names
    assert "the budget" in names


def test_the_best_rate_is_chosen_on_validation_and_its_edge_is_told() -> None:
    rates = {0.001: 5.0, 0.01: 1.0, 0.1: 3.0}
    found = study([({"optimiser__learning_rate": r}, kl, 0.1) for r, kl in rates.items()])
    (best,) = best_rates(found)
    assert (best.rate, best.tried, best.at_edge) == (0.01, 3, False)
    found = study([({"optimiser__learning_rate": r}, r, 0.1) for r in rates])
    assert best_rates(found)[0].at_edge
