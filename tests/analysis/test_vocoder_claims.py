"""Claim 15 on planted effects: reproduced, refuted, undecided, or said to lack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.effects import Verdict
from analysis.vocoder.claims import judge
from tests.analysis.vocoder_records import (
    DEFAULT,
    FLOORS,
    KL,
    KL_POWER,
    ORACLE,
    X_NOISE,
    Made,
    X,
    over_seeds,
    put,
    study_of,
    verdicts_of,
)

TEACHER = FLOORS["teacher"]["periodicity_excess"]


def decisions(found: dict[str, list[Verdict]]) -> dict[str, str]:
    assert all(len(group) == 1 for group in found.values())
    return {part: group[0].verdict for part, group in found.items()}


def verdicts(path: Path, *made: Made, **options: Any) -> dict[str, list[Verdict]]:
    return verdicts_of(path, over_seeds(*made), sounds=False, **options)


def effect_named(effects: Iterable[Any], words: str) -> Any:
    (found,) = [effect for effect in effects if effect.name.startswith(words)]
    return found


def test_the_claim_as_it_was_made_is_reproduced(tmp_path: Path) -> None:
    found = verdicts(tmp_path, *DEFAULT)
    assert set(decisions(found).values()) == {"reproduced"}
    assert list(found) == ["15", "15a", "15b", "15c", "15d", "15e"]
    gap = found["15c"][0]
    assert gap.effect == pytest.approx((X.way - KL.way) * TEACHER, abs=0.02)
    assert gap.interval_low < gap.effect < gap.interval_high
    assert gap.main.seeds == 3
    assert "6 flows" in gap.regime
    assert "800 updates" in gap.regime
    beside = effect_named(gap.beside, "periodicity excess, oracle l1 minus")
    assert beside.value == pytest.approx((ORACLE.way - KL.way) * TEACHER, abs=0.02)
    place = effect_named(found["15a"][0].beside, "the same, as the share")
    assert place.value == pytest.approx(KL.way, abs=0.06)
    quiet = found["15e"][0]
    assert quiet.effect == pytest.approx(KL.level - -2.0, abs=0.2)
    whole = found["15"][0]
    assert whole.main.coverage == pytest.approx(1.0 - 0.05 / 3.0)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ((replace(KL, way=0.9), X), {"15": "not reproduced", "15a": "not reproduced"}),
        ((KL, replace(X, way=0.1)), {"15": "not reproduced", "15b": "not reproduced"}),
        ((replace(KL, way=0.9, level=-2.2), X), {"15c": "not reproduced", "15e": "not reproduced"}),
        ((KL, X, replace(KL_POWER, way=1.2)), {"15d": "not reproduced", "15": "reproduced"}),
    ],
)
def test_the_opposite_is_not_reproduced(
    tmp_path: Path, made: tuple[Made, ...], expected: dict[str, str]
) -> None:
    found = decisions(verdicts(tmp_path, *made))
    assert {part: found[part] for part in expected} == expected


def test_in_the_middle_between_whisper_and_teacher_nothing_is_decided(tmp_path: Path) -> None:
    def scattered(made: Made, arrays: dict[str, Any]) -> dict[str, Any]:
        offset = {0: -0.09, 1: 0.02, 2: 0.08}[made.seed] if made.kind == "x_reconstruction" else 0.0
        return {k: v + (offset if "/" not in k else 0.0) for k, v in arrays.items()}

    found = decisions(verdicts(tmp_path, KL, replace(X, way=0.5), change=scattered))
    assert found["15b"] == "undecided"
    assert found["15"] == "undecided"


def test_without_the_power_loss_the_comparison_is_said_to_be_with_a_straw_man(
    tmp_path: Path,
) -> None:
    found = verdicts(tmp_path, KL, X)
    assert found["15"][0].verdict == "reproduced"
    assert found["15d"][0].verdict == "undecided"
    assert "straw man" in found["15d"][0].reason
    assert "kl_power" in found["15d"][0].reason


@pytest.mark.parametrize("missing", ["kl", "x"])
def test_a_missing_arm_is_named(tmp_path: Path, missing: str) -> None:
    made = (X, X_NOISE) if missing == "kl" else (KL, KL_POWER, X_NOISE)
    found = verdicts(tmp_path, *made)
    assert decisions(found)["15"] == "undecided"
    words = "--arms kl)" if missing == "kl" else "--arms x_l1)"
    assert words in found["15c"][0].reason


def test_measures_that_disagree_withhold_a_verdict(tmp_path: Path) -> None:
    hoarse = replace(X, changes={"harmonics_to_noise": -9.0})
    found = verdicts(tmp_path, KL, hoarse)
    assert found["15c"][0].verdict == "undecided"
    assert "the measures disagree: harmonics-to-noise ratio" in found["15c"][0].reason
    slightly = replace(X, changes={"harmonics_to_noise": -4.0})
    # Below reverse KL by less than 5% of the way from recording to whisper: no contradiction.
    assert verdicts(tmp_path / "slightly", KL, slightly)["15c"][0].verdict == "reproduced"


def test_two_seeds_are_of_these_students_alone(tmp_path: Path) -> None:
    found = verdicts_of(tmp_path, over_seeds(*DEFAULT, seeds=(0, 1)), sounds=False)
    assert set(decisions(found).values()) == {"undecided"}
    gap = found["15c"][0]
    assert gap.interval_low < gap.effect < gap.interval_high
    assert "over sentences alone" in gap.reason


def test_seeds_are_paired_and_those_without_a_pair_left_out(tmp_path: Path) -> None:
    made = [*over_seeds(KL, seeds=(0, 1, 2, 3)), *over_seeds(X, seeds=(1, 2, 3, 4))]
    found = verdicts_of(tmp_path, made, sounds=False)
    assert found["15c"][0].main.seeds == 3
    assert found["15a"][0].main.seeds == 4


def test_a_whispering_teacher_has_no_voice_to_distil(tmp_path: Path) -> None:
    mute = {**FLOORS, "teacher": FLOORS["whisper"]}
    found = verdicts(tmp_path, *DEFAULT, floors=mute)
    assert found["15a"][0].verdict == found["15b"][0].verdict == "undecided"
    assert "no voice to distil" in found["15a"][0].reason
    assert found["15c"][0].verdict == "reproduced"


def test_each_estimator_of_reverse_kl_has_verdicts_of_its_own(tmp_path: Path) -> None:
    sampled = replace(KL, estimator="plain", way=0.9)
    found = verdicts(tmp_path, KL, sampled, X, KL_POWER)
    by_claim = {v.claim: v.verdict for v in found["15a"]}
    assert sorted(by_claim.values()) == ["not reproduced", "reproduced"]
    assert any("Monte Carlo" in c for c, v in by_claim.items() if v == "not reproduced")
    assert len(found["15"]) == len(found["15c"]) == len(found["15e"]) == 2
    assert len(found["15b"]) == len(found["15d"]) == 1


def test_of_several_rates_the_best_on_validation_is_judged(tmp_path: Path) -> None:
    fast = replace(X, rate=5e-3, way=0.9)
    found = verdicts(tmp_path, KL, replace(X, way=0.1), fast)
    assert found["15b"][0].verdict == "reproduced"
    (regime,) = study_of(tmp_path).regimes.values()
    (cell,) = [cell for cell in regime.cells.values() if cell.arm.is_x_l1]
    assert cell.optimisers == 2
    assert set(cell.rows["learning_rate"]) == {5e-3}


def test_other_budgets_are_another_regime(tmp_path: Path) -> None:
    found = verdicts(tmp_path, KL, replace(X, updates=1600))
    assert {v.verdict for v in found["15c"]} == {"undecided"}
    assert len({v.regime for v in found["15c"]}) == 2


def test_an_adaptive_search_is_not_judged(tmp_path: Path) -> None:
    folder = put(tmp_path, over_seeds(*DEFAULT), sounds=False)
    (folder / "sweep.json").write_text('{"settings": {"search": "optuna"}}')
    found = judge(study_of(tmp_path))
    assert {verdict.verdict for verdict in found} == {"undecided"}
    assert all("adaptive" in verdict.reason for verdict in found)


def test_at_equal_training_time_the_slower_arm_is_read_where_the_faster_ends(
    tmp_path: Path,
) -> None:
    slow = replace(KL_POWER, seconds=600.0, way=0.8)
    found = verdicts(tmp_path, slow, replace(X, seconds=300.0, way=0.8))
    effect = effect_named(found["15d"][0].beside, "whispering at equal training time")
    # Curves fall evenly: half-way, reverse KL has come half as far.
    whole = 0.8 * TEACHER / FLOORS["natural"]["periodicity_excess"]
    assert effect.value == pytest.approx(-0.5 * whole, abs=0.03)
    assert effect.seeds == 3


def test_damaged_arrays_leave_their_trial_out_and_are_named(tmp_path: Path) -> None:
    folder = put(tmp_path, over_seeds(KL, X), sounds=False)
    (folder / "trial_00004" / "arrays.safetensors").write_bytes(b"no arrays")
    study = study_of(tmp_path)
    (problem,) = study.unreadable
    assert "trial_00004" in problem.path
    found = {v.claim.partition(". ")[0]: v for v in judge(study)}
    assert found["15c"].main.seeds == 2
    assert found["15c"].verdict == "undecided"
    assert found["15a"].verdict == "reproduced"


def test_arrays_of_other_sentences_are_not_mixed_in(tmp_path: Path) -> None:
    def other(made: Made, arrays: dict[str, Any]) -> dict[str, Any]:
        shifted = made.kind == "x_reconstruction" and made.seed == 2
        return {k: np.roll(v, 1) if shifted else v for k, v in arrays.items()}

    put(tmp_path, over_seeds(KL, X), sounds=False, change=other)
    study = study_of(tmp_path)
    assert "other sentences" in study.unreadable[0].reason
    (regime,) = study.regimes.values()
    sizes = {c.arm.kind: len(c.tables["periodicity_excess"]) for c in regime.cells.values()}
    assert sizes == {"reverse_kl": 3, "x_reconstruction": 2}
