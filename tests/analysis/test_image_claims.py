"""Claims 6 to 10, 13 and 14 on planted effects: reproduced, refuted, undecided, or said to lack."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from scipy import stats

from analysis.table import COLOUR
from tests.analysis.image_records import REFERENCE, Arm, judged, numbered, over_seeds

KINDS = {6: "reverse_kl", 7: "z_reconstruction"}
JITTER = (-0.01, 0.0, 0.013)


def without(*names: str, group: str = "teacher_test") -> dict[str, dict[str, float]]:
    kept = {k: v for k, v in REFERENCE[group].items() if k not in names}
    return {**REFERENCE, group: kept}


def share(value: float):  # type: ignore[no-untyped-def]
    def metrics(arm: Arm) -> Mapping[str, float]:
        return {"classifier_fd": 900.0, "top_class_share": value + JITTER[arm.seed], "recall": 0.1}

    return metrics


@pytest.mark.parametrize("number", [6, 7])
@pytest.mark.parametrize(
    ("value", "expected"), [(0.97, "reproduced"), (0.17, "not reproduced"), (0.25, "undecided")]
)
def test_a_collapse_is_one_that_counts(number: int, value: float, expected: str) -> None:
    found = numbered(
        judged(over_seeds(Arm(KINDS[number], dataset="fashion-mnist")), share(value)), number
    )
    (verdict,) = found
    assert verdict.verdict == expected
    assert verdict.effect == pytest.approx(value - 0.15, abs=0.01)
    beside = {effect.name: effect for effect in verdict.beside}
    at_one = beside["share of the most frequent class, less its floor, at scale 1"]
    assert at_one.value == pytest.approx(verdict.effect)
    assert beside["recall, less its floor"].value == pytest.approx(-0.6)
    assert beside["floor: share of the most frequent class of training images"].value == 0.12


def test_each_student_estimator_and_regime_has_its_own_verdict_on_collapse() -> None:
    arms = over_seeds(
        Arm("reverse_kl"),
        Arm("reverse_kl", estimator="path"),
        Arm("reverse_kl", student="other"),
        Arm("reverse_kl", train_count=100, teacher="second"),
    )
    found = numbered(judged(arms, share(0.9)), 6)
    assert len(found) == 4
    assert len({(verdict.regime, verdict.claim) for verdict in found}) == 4
    assert sum("100 training images" in verdict.regime for verdict in found) == 1


def test_of_several_rates_the_best_on_validation_is_judged() -> None:
    arms = over_seeds(Arm("reverse_kl", rate=1e-3), Arm("reverse_kl", rate=1e-2))

    def metrics(arm: Arm) -> Mapping[str, float]:
        return share(0.9 if arm.rate == 1e-2 else 0.15)(arm)  # type: ignore[no-any-return]

    def validation(arm: Arm) -> Mapping[str, float]:
        return {"classifier_fd": 10.0 if arm.rate == 1e-2 else 99.0}

    (found,) = numbered(judged(arms, metrics, validation=validation), 6)
    assert found.verdict == "reproduced"
    assert "the best of 2 optimiser settings" in found.regime


def test_collapse_without_floor_or_seeds_is_undecided_and_says_so() -> None:
    (found,) = numbered(
        judged(over_seeds(Arm("reverse_kl")), share(0.9), reference=without("top_class_share")),
        6,
    )
    assert found.verdict == "undecided"
    assert "reference.teacher_test.top_class_share_best" in found.reason
    (few,) = numbered(judged(over_seeds(Arm("reverse_kl"), seeds=(0, 1)), share(0.9)), 6)
    assert few.verdict == "undecided"
    assert "2 seeds" in few.reason


def test_z_reconstruction_of_digits_is_asked_for_one_digit() -> None:
    arms = over_seeds(Arm("z_reconstruction"))
    (one,) = numbered(judged(arms, share(0.97)), 7, "same digit")
    assert one.verdict == "reproduced"
    (several,) = numbered(judged(arms, share(0.6)), 7, "same digit")
    assert several.verdict == "not reproduced"


def transfer(rebuilt: float, gap: float, sharp: float):  # type: ignore[no-untyped-def]
    def metrics(arm: Arm) -> Mapping[str, float]:
        x = arm.objective == "x_reconstruction"
        noise = 20.0 * arm.seed
        return {
            "classifier_fd": 200.0 + noise + gap * x + arm.seed * x,
            "classifier_fd_reconstruction": rebuilt + arm.seed,
            "classifier_fd_to_teacher": 50.0 + noise - gap * x - arm.seed * x,
            "sharpness_ratio": 0.9 + sharp * x + 0.001 * arm.seed * x,
        }

    return metrics


PAIR = (Arm("x_reconstruction", dataset="fashion-mnist"), Arm("oracle", dataset="fashion-mnist"))


@pytest.mark.parametrize(
    ("metrics", "words", "expected"),
    [
        (transfer(20.0, 50.0, -0.2), "reconstructs well", "reproduced"),
        (transfer(120.0, 50.0, -0.2), "reconstructs well", "not reproduced"),
        (transfer(20.0, 50.0, -0.2), "samples worse", "reproduced"),
        (transfer(20.0, -50.0, -0.2), "samples worse", "not reproduced"),
        # Nearer to the data and farther from the teacher, or the other way round.
        (transfer(20.0, -50.0, -0.2), "match the teacher's less", "reproduced"),
        (transfer(20.0, 50.0, -0.2), "match the teacher's less", "not reproduced"),
        (transfer(20.0, 50.0, -0.2), "sharpness ratio is lower", "reproduced"),
        (transfer(20.0, 50.0, 0.2), "sharpness ratio is lower", "not reproduced"),
        (transfer(20.0, 50.0, -0.2), "high-frequency ratio is lower", "undecided"),
    ],
)
def test_transfer_is_judged_by_pairs(metrics, words: str, expected: str) -> None:  # type: ignore[no-untyped-def]
    (found,) = numbered(judged(over_seeds(*PAIR), metrics), 8, words)
    assert found.verdict == expected
    if "high-frequency" in words:
        assert "no test.high_frequency_ratio_best" in found.reason


def test_a_student_is_never_compared_with_anothers_oracle() -> None:
    arms = over_seeds(Arm("x_reconstruction", student="resnet"), Arm("oracle"))
    found = numbered(judged(arms, transfer(20.0, 50.0, 0.0)), 8)
    assert len(found) == 1
    assert "reconstructs well" in found[0].claim
    other = over_seeds(Arm("x_reconstruction", train_count=9), Arm("oracle"))
    assert len(numbered(judged(other, transfer(20.0, 50.0, 0.0)), 8)) == 1


def no_metrics(arm: Arm) -> Mapping[str, float]:
    return {"classifier_fd": 100.0 + arm.seed}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.6, 0.5, "reproduced"),
        (0.6, 0.99, "not reproduced"),
        (0.9, 0.5, "undecided"),
    ],
)
def test_identity_flips_at_both_ends(low: float, high: float, expected: str) -> None:
    changed = {**REFERENCE["norm_perturbation"], "same_class_0.700": low, "same_class_1.300": high}
    reference = {**REFERENCE, "norm_perturbation": changed}
    (found,) = numbered(judged(over_seeds(PAIR[0]), no_metrics, reference=reference), 9)
    assert found.verdict == expected
    wilson = stats.binomtest(round(200 * (1.0 - low)), 200).proportion_ci(0.975, method="wilson")
    assert (found.interval_low, found.interval_high) == pytest.approx((wilson.low, wilson.high))


def test_one_verdict_on_norms_a_teacher_and_none_without_draws() -> None:
    arms = over_seeds(PAIR[0], Arm("oracle", teacher="second", train_count=9))
    assert len(numbered(judged(arms, no_metrics), 9)) == 2
    for reference in (
        without("same_class_0.700", group="norm_perturbation"),
        without("count", group="norm_perturbation"),
        {},
    ):
        (found,) = numbered(judged(over_seeds(PAIR[0]), no_metrics, reference=reference), 9)
        assert found.verdict == "undecided"
        assert "no norm_perturbation" in found.reason


NOISE = (Arm("x_reconstruction", student="resnet"),)
NOISY = (*NOISE, Arm("x_reconstruction", student="resnet", noise=0.5))


def noise_takes(gain: float):  # type: ignore[no-untyped-def]
    """FD of 100 without noise; with it less, at the best scale alone."""

    def metrics(arm: Arm) -> Mapping[str, float]:
        fd = 100.0 + 5.0 * arm.seed
        best = fd - (gain - 0.1 * arm.seed) * (arm.noise > 0.0)
        return {"classifier_fd": fd, "classifier_fd_best": best}

    return metrics


@pytest.mark.parametrize(("gain", "expected"), [(15.0, "reproduced"), (-20.0, "not reproduced")])
def test_each_arm_of_noise_is_judged_at_its_own_scale(gain: float, expected: str) -> None:
    (verdict,) = numbered(judged(over_seeds(*NOISY), noise_takes(gain)), 10)
    assert verdict.verdict == expected
    assert verdict.effect == pytest.approx(-gain, abs=0.2)
    beside = {effect.name: effect.value for effect in verdict.beside}
    assert beside["classifier FD at scale 1, noise minus no noise"] == 0.0
    assert beside["best prior scale of validation, noise minus no noise"] == 0.0


def test_rescaled_codes_are_an_arm_of_their_own() -> None:
    arms = over_seeds(*NOISY, Arm("x_reconstruction", student="resnet", noise=0.5, rescale=True))

    def metrics(arm: Arm) -> Mapping[str, float]:
        fd = 100.0 + arm.seed + (0.1 * arm.seed - 30.0) * (arm.noise > 0.0) * (not arm.rescale)
        return {"classifier_fd": fd}

    found = numbered(judged(arms, metrics), 10)
    rescaled = [v for v in found if "unit variance" in v.claim]
    assert [v.verdict for v in rescaled] == ["not reproduced"]
    assert "unit variance" in rescaled[0].regime
    plain = [v for v in found if "unit variance" not in v.claim]
    assert "reproduced" in {v.verdict for v in plain}
    assert {v.main.coverage for v in found if not math.isnan(v.effect)} >= {0.975}


def test_rates_are_never_mixed_in_a_contrast() -> None:
    arms = over_seeds(NOISY[0], Arm("x_reconstruction", student="resnet", noise=0.5, rate=0.1))
    found = numbered(judged(arms, noise_takes(15.0)), 10)
    assert found
    assert {verdict.verdict for verdict in found} == {"undecided"}


def outdoes(test: float, copied: float | None, other: float = 150.0):  # type: ignore[no-untyped-def]
    """The cell with noise 0.5 is the best on validation; noise 1 looks better on test alone."""

    def metrics(arm: Arm) -> Mapping[str, float]:
        fd = {0.0: other, 0.5: test, 1.0: 10.0}[arm.noise] + arm.seed
        found = {"classifier_fd": fd + 500.0, "classifier_fd_best": fd}
        if copied is not None:
            found["copied_share"] = copied + 0.001 * arm.seed
        return found

    return metrics


def seen(arm: Arm) -> Mapping[str, float]:
    fd = {0.0: 1.0, 0.5: 50.0, 1.0: 60.0}[arm.noise]
    return {"classifier_fd": 100.0 - fd, "classifier_fd_best": fd}


THREE = (*NOISY, Arm("x_reconstruction", student="resnet", noise=1.0))


@pytest.mark.parametrize(
    ("test", "copied", "expected"),
    [
        (70.0, 0.02, "reproduced"),
        (130.0, 0.02, "not reproduced"),
        (70.0, 0.5, "not reproduced"),
        (70.0, None, "undecided"),
    ],
)
def test_a_teacher_is_outdone_by_the_cell_that_validation_chose(
    test: float, copied: float | None, expected: str
) -> None:
    (found,) = numbered(judged(over_seeds(*THREE), outdoes(test, copied), validation=seen), 13)
    assert found.effect == pytest.approx(test + 1.0 - 100.0)
    assert "resnet, noise 0.5, l1 weight 0" in found.reason
    assert "at prior scale 0.9" in found.reason
    assert "chosen of 2 cells" in found.regime
    assert found.verdict == expected


def test_outdoing_without_a_floor_is_undecided() -> None:
    reference = without("classifier_fd")
    (found,) = numbered(
        judged(over_seeds(*THREE), outdoes(70.0, 0.0), validation=seen, reference=reference), 13
    )
    assert found.verdict == "undecided"
    assert "reference.teacher_test.classifier_fd_best" in found.reason


def colour(noisy: float, quiet: float):  # type: ignore[no-untyped-def]
    def metrics(arm: Arm) -> Mapping[str, float]:
        fd = (noisy if arm.noise else quiet) + 0.1 * arm.seed
        return {"pixel_fd": fd + 0.05 * arm.seed * (arm.noise > 0.0)}

    return metrics


COLOURED = tuple(
    Arm("x_reconstruction", student="resnet", dataset="photographs", noise=n) for n in (0.0, 0.5)
)


@pytest.mark.parametrize(
    ("noisy", "quiet", "near", "helps"),
    [
        (45.0, 80.0, "reproduced", "reproduced"),
        (90.0, 80.0, "not reproduced", "not reproduced"),
        (60.0, 80.0, "undecided", "reproduced"),
    ],
)
def test_colour(noisy: float, quiet: float, near: str, helps: str) -> None:
    found = numbered(judged(over_seeds(*COLOURED), colour(noisy, quiet)), 14)
    assert [verdict.verdict for verdict in found] == [near, helps]
    assert found[1].effect == pytest.approx(noisy - quiet, abs=0.2)


def test_colour_says_what_is_missing_and_grey_images_are_no_colour() -> None:
    (found,) = numbered(judged(over_seeds(*COLOURED), no_metrics), 14, "pixel FD")
    assert found.verdict == "undecided"
    assert "test.pixel_fd_best" in found.reason
    assert not numbered(judged(over_seeds(*NOISY), colour(1.0, 2.0)), 14)


def test_colour_sets_are_those_with_three_channels() -> None:
    from raydistill.data.sources import DATA_SETS

    assert set(COLOUR) == {name for name, source in DATA_SETS.items() if source.channels == 3}


def test_an_adaptive_search_is_judged_on_its_teacher_alone() -> None:
    arms = over_seeds(*PAIR, *NOISY, Arm("reverse_kl"))
    found = judged(arms, noise_takes(15.0), search="optuna")
    assert {v.number for v in found if not v.exploratory} <= {9}
