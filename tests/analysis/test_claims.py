"""Verdicts on records with planted effects: what is there is found, and nothing else."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from scipy import stats

from analysis.effects import Verdict
from analysis.image.claims import judge
from analysis.records import Sweep, TrialRecord
from analysis.table import to_frame
from raydistill.record import Evaluation, Record, Spent
from raydistill.store.storage import Storage
from tests.analysis.image_records import at_scales

NOISE_LEVELS = (0.0, 0.5)
L1_WEIGHTS = (0.0, 0.5, 1.0)
NOWHERE = Storage("/nowhere")


@dataclass(frozen=True)
class Cell:
    """One trial's place in the design."""

    noise: float
    l1: float
    seed: int


Metrics = Callable[[Cell], dict[str, float]]


def jitter(cell: Cell, scale: float) -> float:
    return random.Random(f"{cell}").gauss(0.0, scale)


def flat(cell: Cell) -> dict[str, float]:
    """Nothing has an effect."""
    fd = 100.0 + 5.0 * cell.seed + jitter(cell, 1.0)
    sharp = 0.9 + 0.01 * jitter(cell, 1.0)
    return {
        "classifier_fd": fd,
        "sharpness_ratio": sharp,
    }


def grid(seeds: int = 3, noise: tuple[float, ...] = NOISE_LEVELS) -> list[Cell]:
    return [Cell(n, w, s) for n in noise for w in L1_WEIGHTS for s in range(seeds)]


def trial(
    index: int,
    cell: Cell,
    metrics: Metrics,
    *,
    search: str = "",
    updates: int = 1600,
    batch: int = 64,
    status: str = "finished",
) -> TrialRecord:
    objective = {
        "kind": "x_reconstruction",
        "noise_level": cell.noise,
        "l1_weight": cell.l1,
    }
    config = {
        "data": {"name": "digits", "size": 8},
        "student": {"kind": "resnet"},
        "objective": objective,
        "budget": {"updates": updates, "batch_size": batch},
        "seed": cell.seed,
    }
    values = at_scales(metrics(cell))
    history = (Evaluation(updates, "validation", values), Evaluation(updates, "test", values))
    record = Record(
        f"trial_{index:05d}",
        status,  # type: ignore[arg-type]
        config,
        "teacher",
        Spent(updates),
        history=history if status == "finished" else history[:1],
    )
    settings = {"settings": {"search": search}} if search else {}
    return TrialRecord(Sweep("sweep", NOWHERE, settings), NOWHERE, record)


def verdicts(cells: list[Cell], metrics: Metrics, search: str = "grid") -> list[Verdict]:
    return list(judge(to_frame([trial(i, c, metrics, search=search) for i, c in enumerate(cells)])))


def numbered(found: list[Verdict], number: int) -> list[Verdict]:
    return [verdict for verdict in found if verdict.number == number]


def noise_helps(cell: Cell) -> dict[str, float]:
    """Noise takes 30 off at the best scale, and adds 20 at scale 1."""
    found = flat(cell)
    best = found["classifier_fd"] - 30.0 * (cell.noise > 0.0)
    found["classifier_fd"] += 20.0 * (cell.noise > 0.0)
    return found | {"classifier_fd_best": best}


def test_a_planted_effect_of_noise_is_reproduced() -> None:
    (found,) = numbered(verdicts(grid(), noise_helps), 10)
    assert found.verdict == "reproduced"
    assert found.effect == pytest.approx(-30.0, abs=2.0)
    assert found.interval_low < found.effect < found.interval_high < 0.0
    assert (found.main.seeds, found.main.cells) == (3, 6)
    # What it is at scale 1 stands beside, and decides nothing.
    beside = {effect.name: effect for effect in found.beside}
    at_one = beside["classifier FD at scale 1, noise minus no noise"]
    assert at_one.value == pytest.approx(20.0, abs=2.0)
    for words in ("digits 8x8", "resnet", "1600 updates of 64", "noise level 0, 0.5"):
        assert words in found.regime


def test_records_without_a_chosen_scale_have_no_verdict_on_noise() -> None:
    """One scale for all arms favours one of them."""

    def at_one(cell: Cell) -> dict[str, float]:
        return {name: value for name, value in noise_helps(cell).items() if "_best" not in name}

    records = [trial(i, c, at_one, search="grid") for i, c in enumerate(grid())]
    old = [
        replace(item, record=replace(item.record, history=tuple(map(_old, item.record.history))))
        for item in records
    ]
    assert not {v.number for v in judge(to_frame(old))} & {10, 11, 12}


def _old(evaluation: Evaluation) -> Evaluation:
    metrics = {name: value for name, value in evaluation.metrics.items() if "_best" not in name}
    return replace(evaluation, metrics=metrics)


def test_the_interval_is_the_paired_t_interval_over_seeds() -> None:
    effects = (-10.0, -14.0, -21.0, -11.0)

    def metrics(cell: Cell) -> dict[str, float]:
        # Seeds differ by far more than noise does: only pairs can see the effect.
        fd = 100.0 + 50.0 * cell.seed + (effects[cell.seed] if cell.noise else 0.0)
        return flat(cell) | {"classifier_fd": fd}

    found = numbered(verdicts(grid(seeds=4), metrics), 10)[0]
    expected = stats.ttest_1samp(effects, 0.0).confidence_interval(0.95)
    assert found.interval_low == pytest.approx(expected.low)
    assert found.interval_high == pytest.approx(expected.high)


def test_no_effect_is_not_reproduced() -> None:
    def metrics(cell: Cell) -> dict[str, float]:
        return flat(cell) | {"classifier_fd": 100.0 + jitter(cell, 0.5)}

    found = verdicts(grid(seeds=5), metrics)
    assert numbered(found, 10)[0].verdict == "not reproduced"
    assert numbered(found, 11)[0].verdict != "reproduced"


def test_what_scatters_is_undecided() -> None:
    def metrics(cell: Cell) -> dict[str, float]:
        swing = (-40.0, 10.0, -5.0)[cell.seed] if cell.noise else 0.0
        return flat(cell) | {"classifier_fd": 100.0 + swing}

    assert numbered(verdicts(grid(), metrics), 10)[0].verdict == "undecided"


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_are_undecided(seeds: int) -> None:
    found = verdicts(grid(seeds), noise_helps)
    assert {verdict.verdict for verdict in found} == {"undecided"}
    first = numbered(found, 10)[0]
    assert first.effect == pytest.approx(-30.0, abs=2.0)
    assert math.isnan(first.interval_low)
    assert f"{seeds} seed" in first.reason
    assert first.main.seeds == seeds


def test_several_levels_widen_the_interval() -> None:
    one = numbered(verdicts(grid(), noise_helps), 10)[0]
    found = numbered(verdicts(grid(noise=(0.0, 0.5, 0.75)), noise_helps), 10)
    assert len(found) == 2
    assert found[0].main.coverage == pytest.approx(0.975)
    assert found[0].interval_low < one.interval_low


def test_cells_with_a_failed_seed_are_left_out_and_counted() -> None:
    broken = Cell(0.5, 1.0, 2)
    records = [
        trial(i, c, noise_helps, search="grid", status="failed" if c == broken else "finished")
        for i, c in enumerate(grid())
    ]
    found = numbered(list(judge(to_frame(records))), 10)[0]
    assert found.verdict == "reproduced"
    assert found.main.cells == 4
    assert len(found.main.strata) == 2
    assert "1 more of this budget left out" in found.regime


@pytest.mark.parametrize("change", [{"updates": 800}, {"batch": 32}])
def test_unequal_budgets_are_never_compared(change: dict[str, int]) -> None:
    records = [
        trial(i, c, noise_helps, search="grid", **(change if c.noise else {}))  # type: ignore[arg-type]
        for i, c in enumerate(grid())
    ]
    found = numbered(list(judge(to_frame(records))), 10)
    assert {verdict.verdict for verdict in found} == {"undecided"}
    assert all(math.isnan(verdict.effect) for verdict in found)
    assert all("no two trials" in verdict.reason for verdict in found)


def test_a_sharper_but_worse_l1_shows_both() -> None:
    def metrics(cell: Cell) -> dict[str, float]:
        found = flat(cell)
        found["sharpness_ratio"] = 1.0 + 0.3 * cell.l1 + 0.001 * jitter(cell, 1.0)
        found["classifier_fd"] += 40.0 * cell.l1
        return found

    (found,) = numbered(verdicts(grid(), metrics), 11)
    assert found.verdict == "reproduced"
    assert found.effect == pytest.approx(0.3, abs=0.01)
    beside = {effect.name: effect for effect in found.beside}
    worse = beside["classifier FD, l1 minus l2 (above 0: l1 is worse)"]
    assert worse.low > 30.0
    # Farther from the data's sharpness, though sharper.
    farther = next(effect for name, effect in beside.items() if name.startswith("|sharpness"))
    assert farther.low > 0.2


def mixed(sharpness: float, fd: float) -> Metrics:
    """l2 is coherent, l1 is sharp, and the mix is as told."""

    def metrics(cell: Cell) -> dict[str, float]:
        sharp = {0.0: 0.7, 0.5: sharpness, 1.0: 1.0}[cell.l1] + 0.001 * jitter(cell, 1.0)
        quality = {0.0: 100.0, 0.5: fd, 1.0: 150.0}[cell.l1] + jitter(cell, 0.3)
        return flat(cell) | {"sharpness_ratio": sharp, "classifier_fd": quality}

    return metrics


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (mixed(1.0, 100.0), "reproduced"),
        (mixed(0.8, 100.0), "not reproduced"),
        (mixed(1.0, 130.0), "not reproduced"),
    ],
    ids=["keeps both", "loses sharpness", "loses coherence"],
)
def test_the_mix_has_to_keep_both(metrics: Metrics, expected: str) -> None:
    (found,) = numbered(verdicts(grid(), metrics), 12)
    assert found.verdict == expected


@pytest.mark.parametrize("search", ["optuna", ""])
def test_an_adaptive_search_is_described_and_never_judged(search: str) -> None:
    random_cells = random.Random(0)
    cells = [Cell(0.0, random_cells.random(), 0) for _ in range(4)]
    cells += [Cell(random_cells.random(), random_cells.random(), 0) for _ in range(9)]
    found = verdicts(cells, noise_helps, search)
    assert {verdict.verdict for verdict in found} == {"undecided"}
    assert all(verdict.exploratory for verdict in found if verdict.number >= 10)
    noise = numbered(found, 10)[0]
    assert "first 4 trials each" in noise.reason
    assert noise.effect < -20.0
    assert math.isnan(noise.interval_low)


def spoken_of(found: list[Verdict]) -> set[int]:
    return {verdict.number for verdict in found} & {10, 11, 12}


@pytest.mark.parametrize("search", ["grid", "optuna"])
@pytest.mark.parametrize(
    ("noise", "weights", "expected"),
    [
        ((0.0, 0.5), (1.0,), {10}),
        ((0.5,), (0.0, 0.5, 1.0), {11, 12}),
        ((0.5,), (0.0, 1.0), {11}),
        ((0.0, 0.5), (0.0, 1.0), {10, 11}),
        ((0.0, 0.5), (0.0, 0.5, 1.0), {10, 11, 12}),
        ((0.5,), (1.0,), set()),
    ],
)
def test_a_claim_whose_factor_is_fixed_has_no_verdict(
    search: str, noise: tuple[float, ...], weights: tuple[float, ...], expected: set[int]
) -> None:
    cells = [Cell(n, w, s) for n in noise for w in weights for s in range(3)]
    assert spoken_of(verdicts(cells, noise_helps, search)) == expected


def test_an_arm_that_failed_leaves_its_claim_undecided() -> None:
    cells = [Cell(n, 1.0, s) for n in (0.0, 0.25, 0.5) for s in range(3)]
    failed = [Cell(0.0, 0.5, s) for s in range(3)]
    records = [trial(i, c, noise_helps, search="grid") for i, c in enumerate(cells)]
    records += [
        trial(len(cells) + i, c, noise_helps, search="grid", status="failed")
        for i, c in enumerate(failed)
    ]
    found = list(judge(to_frame(records)))
    assert spoken_of(found) == {10, 11, 12}
    for number in (11, 12):
        (verdict,) = numbered(found, number)
        assert verdict.verdict == "undecided"
        assert "3 more of this budget left out" in verdict.regime


def test_seeds_do_not_make_a_design_of_a_search() -> None:
    found = verdicts(grid(), noise_helps, "optuna")
    assert all(verdict.exploratory for verdict in found if verdict.number >= 10)


def test_without_x_reconstruction_nothing_is_said() -> None:
    assert judge(to_frame([])) == ()
    failed = [trial(0, Cell(0.0, 0.0, 0), flat, status="failed")]
    assert judge(to_frame(failed)) == ()
