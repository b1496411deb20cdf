"""The sweeps of the Gaussian study: their designs, their refusals, and what they leave behind."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product

import pytest

from raydistill.cluster.design.plan import make_plan
from raydistill.cluster.design.settings import complete_settings
from raydistill.cluster.design.study import open_study
from raydistill.config.errors import ConfigError
from raydistill.tasks.presets import gaussian_preset
from raydistill.tasks.trial_fields import with_fields
from tests.cluster.scripts import (
    ROOT,
    load_script,
    results,
    run_dimensionality,
    run_here,
    run_learning_rate,
    trials,
)

dimensionality, learning_rate = load_script("dimensionality"), load_script("learning_rate")
SETTINGS = dimensionality.DimensionalitySettings()
RATES = learning_rate.LearningRateSettings()
DESIGN = (
    "--dimensions", "2", "8", "--matrices", "scaled",
    "--objectives", "reverse_kl", "x_reconstruction",
)  # fmt: skip


def plan(**changes):
    settings = replace(SETTINGS, **changes)
    question = dimensionality.question(settings)
    return make_plan(question, complete_settings(settings, None, question.defaults))


def test_the_default_design_crosses_objectives_dimensions_and_scales():
    made = plan()
    cells = [(p["objective.kind"], p["teacher.matrix"], p["dimension"]) for p in made.queued]
    kinds = ("reverse_kl", "z_reconstruction", "x_reconstruction", "oracle")
    assert sorted(cells) == sorted(product(kinds, ("standard", "scaled"), (4, 16, 32, 64)))
    assert [p["dimension"] for p in made.queued] == sorted(p["dimension"] for p in made.queued)
    assert made.base.replicas == 20
    assert made.replicated


def test_the_paper_preset_is_the_paper_s_setting():
    made = plan(preset="paper")
    assert made.total == 12
    trial = made.trial(made.queued[-1])
    assert (trial.dimension, trial.teacher.matrix, trial.teacher.mean) == (64, "standard", 2.0)
    assert (trial.budget.updates, trial.budget.batch_size) == (5000, 64)
    assert (trial.optimiser.learning_rate, trial.optimiser.decay) == (0.005, "constant")
    assert (trial.optimiser.beta1, trial.optimiser.beta2, trial.optimiser.clip) == (
        0.9,
        0.999,
        None,
    )
    assert trial.evaluation.samples == 1000
    assert trial.student.structure == "full"


def test_every_axis_reaches_its_field():
    made = plan(
        objectives=("reverse_kl",), estimators=("plain", "exact"), starts=("identity", "random"),
        updates=(10, 20), learning_rates=(0.01,), conditions=(3.0, 30.0), dimensions=(4,),
        seeds=3, seed=7,
    )  # fmt: skip
    assert made.total == 16
    trial = made.trial(made.queued[-1])
    assert (trial.objective.estimator, trial.student.start) == ("exact", "random")
    assert (trial.budget.updates, trial.optimiser.learning_rate) == (20, 0.01)
    assert (trial.teacher.matrix, trial.teacher.condition) == ("spectrum", 30.0)
    assert trial.seeds == (7, 8, 9)


def test_a_field_of_a_new_kind_can_be_set_with_it_and_a_wrong_one_is_refused():
    base = gaussian_preset("small", None)
    changed = with_fields(base, {"objective.estimator": "path", "objective.kind": "reverse_kl"})
    assert changed.objective.estimator == "path"
    with pytest.raises(ConfigError, match=r"objective\.estimator: no such field"):
        with_fields(base, {"objective.kind": "oracle", "objective.estimator": "path"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dimensions": (0, 4)}, ("dimension", "0", "greater than or equal to 1")),
        ({"dimensions": (4, 5000)}, ("dimension", "5000", "less than or equal to 2048")),
        ({"conditions": (0.5,)}, ("teacher.condition", "0.5", "greater than or equal to 1")),
        ({"conditions": (3.0,), "matrices": ("scaled",)}, ("conditions", "scaled", "one of the")),
        ({"estimators": ("path",)}, ("estimators", "path", "--objectives reverse_kl")),
        ({"updates": (0,)}, ("budget.updates", "0", "greater than or equal to 1")),
        ({"learning_rates": (-1.0,)}, ("optimiser.learning_rate", "-1.0", "greater than 0")),
        ({"dataset": "digits"}, ("dataset", "'digits'", "leave it out")),
        ({"seeds": 0}, ("seeds", "0", "at least 1")),
        ({"set": ("teacher.mean=NaN",)}, ("teacher.mean", "nan", "finite")),
        (
            {"set": ("teacher.eigenvalues=[1,0]", "teacher.matrix=spectrum"), "dimensions": (2,)},
            ("teacher.eigenvalues", "0 is not positive", "positive definite"),
        ),
        ({"set": ("optimiser.clip=1",)}, ("optimiser.clip", "give null, or replicas 1")),
    ],
    ids=str,
)
def test_refusals_are_one_line_with_field_value_and_remedy(changes, words):
    with pytest.raises(ConfigError) as refusal:
        plan(**changes)
    message = str(refusal.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_script_that_searches_first_refuses_a_grid_in_one_line(tmp_path):
    finished = run_learning_rate("--storage-path", str(tmp_path), "--search", "grid")
    assert finished.code == 2
    (line,) = finished.errors.strip().splitlines()
    assert line.startswith("search: this script searches first")


def rate_plan(**changes):
    settings = replace(RATES, **changes)
    question = learning_rate.search(settings)
    return make_plan(question, complete_settings(settings, None, question.defaults))


def test_rates_are_searched_and_compared_on_different_teachers():
    search = rate_plan()
    assert search.total == 9 * 12
    points = ({"objective.kind": "oracle", "dimension": 4, "optimiser.learning_rate": 0.1},)
    settings = learning_rate.SweepSettings()
    question = learning_rate.comparison(points, "parent")(settings)
    compared = make_plan(question, complete_settings(settings, None, question.defaults))
    assert compared.queued == points
    assert not set(search.base.seeds) & set(compared.base.seeds)
    with pytest.raises(ConfigError, match="rates"):
        rate_plan(rates=(0.1, 0.01))


@pytest.fixture(scope="module")
def study(storage):
    finished = run_dimensionality(
        "--storage-path", str(storage), "--name", "study", *DESIGN,
        "--max-concurrent-trials", "2",
    )  # fmt: skip
    assert finished.code == 0, finished.errors
    return finished


@pytest.mark.ray
def test_a_study_leaves_a_record_a_cell_with_all_seeds(study, storage):
    records = trials(storage / "study")
    assert len(records) == 4
    for name, record in records.items():
        last = record["history"][-1]
        assert (record["status"], last["split"]) == ("finished", "test")
        assert {len(values) for values in last["units"]["replica"].values()} == {4}
        assert (storage / "study" / name / "arrays.safetensors").exists()
    for words in ("4 cells; medians over 4 seeds", "KL(S|T)", "x_reconstruction", "report: "):
        assert words in study.output
    assert "best:" not in study.output  # cells of different T do not compete


@pytest.mark.ray
def test_an_interrupted_design_is_resumed_with_its_own_axes(study, storage, tmp_path):
    """The command line that resumes it need not repeat them."""
    arguments = ("--storage-path", str(tmp_path), "--name", "cut")
    design = ("--dimensions", "2", "8", "--objectives", "oracle", "--matrices", "scaled")
    # One after the other, so that the last to end is the last trial.
    whole = run_dimensionality(*arguments, *design, "--max-concurrent-trials", "1")
    assert whole.code == 0, whole.errors
    before = results(tmp_path / "cut")
    assert len(before) == 2
    # The second trial is lost, as if its driver had been killed before it ended.
    folder = tmp_path / "cut"
    subprocess.run(["rm", "-r", str(folder / "trial_00001")], check=True)
    text = (folder / "study.journal").read_text().splitlines(keepends=True)
    last = max(i for i, line in enumerate(text) if json.loads(line).get("state") == 1)
    (folder / "study.journal").write_text("".join(text[:last]))
    resumed = run_dimensionality(*arguments, "--resume")
    assert resumed.code == 0, resumed.errors
    assert results(folder) == before


@pytest.mark.ray
def test_a_study_is_the_same_at_any_concurrency_and_without_ray(study, storage):
    again = run_dimensionality(
        "--storage-path", str(storage), "--name", "alone", *DESIGN,
        "--max-concurrent-trials", "1",
    )  # fmt: skip
    assert again.code == 0, again.errors
    assert results(storage / "alone") == results(storage / "study")
    config = storage / "study" / "trial_00003" / "config.json"
    rerun = subprocess.run(
        [sys.executable, "-m", "raydistill", "run", str(config), "--storage-path", str(storage),
         "--name", "gaussian"],
        check=True, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert "validation kl_student_teacher" in rerun.stdout
    record = json.loads((storage / "gaussian" / "record.json").read_text())
    assert record["history"] == trials(storage / "study")["trial_00003"]["history"]


@pytest.mark.ray
def test_a_search_over_the_study_is_ranked(study, storage):
    finished = run_dimensionality(
        "--storage-path", str(storage), "--name", "searched", "--search", "optuna",
        "--dimensions", "4", "--matrices", "standard", "--num-samples", "3",
    )  # fmt: skip
    assert finished.code == 0, finished.errors
    assert "ranked by kl_student_teacher" in finished.output
    assert "best: trial_" in finished.output
    rates = {
        r["config"]["optimiser"]["learning_rate"] for r in trials(storage / "searched").values()
    }
    assert len(rates) == 3


@pytest.mark.slow
@pytest.mark.ray
def test_rates_are_searched_then_compared_and_both_stages_resume(study, storage):
    arguments = ("--storage-path", str(storage), "--name", "rates")
    cells = ("--dimensions", "2", "--objectives", "reverse_kl", "z_reconstruction")
    finished = run_learning_rate(*arguments, *cells)
    assert finished.code == 0, finished.errors
    searched, compared = trials(storage / "rates"), trials(storage / "rates-compared")
    assert (len(searched), len(compared)) == (4, 4)
    kinds = [r["config"]["objective"]["kind"] for r in searched.values()]
    assert kinds == ["reverse_kl", "z_reconstruction"] * 2
    best = {
        kind: min(
            (r["history"][-2]["metrics"]["kl_student_teacher"],
             r["config"]["optimiser"]["learning_rate"])
            for r in searched.values() if r["config"]["objective"]["kind"] == kind
        )[1]
        for kind in kinds
    }  # fmt: skip
    used = [
        (r["config"]["objective"]["kind"], r["config"]["optimiser"]["learning_rate"])
        for r in compared.values()
    ]
    assert used == [(kind, rate) for kind in best for rate in (0.005, best[kind])]
    again = run_learning_rate(*arguments, *cells, "--resume")
    assert again.code == 0, again.errors
    assert trials(storage / "rates-compared") == compared  # found, not run again
    study = open_study(storage / "rates-compared" / "study.journal", "rates-compared")
    assert len(study.trials) == 4


@pytest.mark.slow
@pytest.mark.ray
def test_a_grid_of_images_is_resumed_with_its_own_axes(study, storage):
    design = ("--search", "grid", "--noise-levels", "0", "--l1-weights", "0", "1",
              "--set", "budget.updates=20")  # fmt: skip
    arguments = ("--storage-path", str(storage), "--name", "own-axes")
    assert run_here(*arguments, *design).code == 0
    again = run_here(*arguments, "--resume")
    assert again.code == 0, again.errors
    assert list(trials(storage / "own-axes")) == ["trial_00000", "trial_00001"]


@pytest.mark.ray
def test_a_search_that_fails_altogether_is_not_compared(study, storage):
    finished = run_learning_rate(
        "--storage-path", str(storage), "--name", "hopeless", "--dimensions", "2",
        "--objectives", "reverse_kl", "--rates", "1e29", "1e30", "--set", "precision=float32",
    )  # fmt: skip
    assert finished.code == 4, finished.errors
    assert "2 of 2 trials failed:" in finished.output
    assert not (storage / "hopeless-compared").exists()
