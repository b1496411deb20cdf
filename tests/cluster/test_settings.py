from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import optuna
import pytest

from raydistill.cluster.design.objective_grid import OBJECTIVES
from raydistill.cluster.design.plan import make_plan
from raydistill.cluster.design.required_assets import asset_configs
from raydistill.cluster.design.settings import complete_settings, saved_settings
from raydistill.config.errors import ConfigError
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.trial_fields import with_fields
from tests.cluster.scripts import load_script

noise_injection = load_script()
SETTINGS = noise_injection.NoiseInjectionSettings(preset="smoke")


def plan(**changes):
    settings = replace(SETTINGS, **changes)
    return make_plan(noise_injection.question(settings), complete_settings(settings, None))


def test_a_search_starts_at_the_cells_of_figure_4():
    cells = [(p["objective.noise_level"], p["objective.l1_weight"]) for p in plan().queued]
    assert cells == [(0.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.5, 1.0), (0.5, 0.5)]


def test_a_search_does_not_start_outside_its_ranges():
    cells = plan(noise_levels=(0.0, 0.2)).queued
    assert [p["objective.noise_level"] for p in cells] == [0.0, 0.0]


def test_a_grid_is_balanced_and_seeds_vary_slowest():
    grid = plan(search="grid", seeds=3, noise_levels=(0.0, 0.5), l1_weights=(0.0, 1.0))
    assert grid.total == len(grid.queued) == 12
    assert [p["seed"] for p in grid.queued] == [0] * 4 + [1] * 4 + [2] * 4
    cells = [tuple(sorted(p.items())) for p in grid.queued]
    assert len(set(cells)) == 12
    assert all(a["seed"] <= b["seed"] for a, b in pairwise(grid.queued))


def test_a_point_becomes_a_trial_with_every_other_field_from_the_base():
    made = plan()
    trial = made.trial({"objective.noise_level": 0.3, "objective.l1_weight": 0.7, "seed": 4})
    assert (trial.objective.noise_level, trial.objective.l1_weight, trial.seed) == (0.3, 0.7, 4)
    assert trial.model_copy(update={"objective": made.base.objective, "seed": 0}) == made.base


@pytest.mark.parametrize("given", [None, "fashion-mnist", "./pictures", "/pictures/mine"])
def test_a_sweep_is_resumed_with_the_data_that_it_began_with(given):
    first = plan(dataset=given, set=("data.size=8",))
    for again in (None, given):
        settings = replace(SETTINGS, dataset=again)
        complete = complete_settings(settings, first.settings)
        assert make_plan(noise_injection.question(settings), complete).base == first.base


def test_fields_are_set_by_their_path():
    base = ImageTrial()
    changed = with_fields(base, {"budget.updates": 7, "student.channels": 48})
    assert (changed.budget.updates, changed.student.channels) == (7, 48)


def test_another_kind_starts_from_that_kinds_defaults():
    changed = with_fields(ImageTrial(), {"student.kind": "pixelcnn_flow"})
    assert changed.student.kind == "pixelcnn_flow"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "cats"}, ("data.name", "'cats'", "digits")),
        ({"noise_levels": (-0.1, 0.5)}, ("noise_level", "-0.1", "greater than or equal to 0")),
        ({"l1_weights": (0.0, 1.2)}, ("l1_weight", "1.2", "less than or equal to 1")),
        ({"num_samples": 0}, ("num_samples", "0", "at least 1")),
        ({"seeds": 0, "search": "grid"}, ("seeds", "0", "at least 1")),
        ({"seeds": 3}, ("seeds", "3", "--search grid")),
        ({"search": "grid", "num_samples": 5}, ("num_samples", "5", "leave it out")),
        ({"workers_per_trial": 0}, ("workers_per_trial", "0", "at least 1")),
        ({"gpus_per_worker": -1.0}, ("gpus_per_worker", "-1.0", "at least 0")),
        ({"vary": ("student.channels=4,none",)}, ("student.channels", "'none'", "integer")),
        ({"vary": ("student.chanels=4,8",)}, ("student.chanels", "did you mean 'channels'?")),
        ({"vary": ("objective.l1_weight=0,1",)}, ("vary", "objective.l1_weight", "own option")),
        ({"set": ("budget.updates",)}, ("set", "'budget.updates'", "field=value")),
        ({"set": ("budget.update=3",)}, ("budget.update", "did you mean 'updates'?")),
        ({"set": ("budget.updates=few",)}, ("budget.updates", "'few'", "integer")),
        ({"set": ("objective.kind=reverse_kl",)}, ("objective.kind", "reverse_kl", "flow")),
        ({"set": ("teacher.model.stages=5",)}, ("teacher.model.stages", "5", "at most 4")),
    ],
)
def test_refusals_are_one_line_with_field_value_and_remedy(changes, words):
    with pytest.raises(ConfigError) as refusal:
        plan(**changes)
    message = str(refusal.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_resuming_takes_what_was_saved_and_refuses_contradictions():
    saved = plan().settings
    assert complete_settings(noise_injection.NoiseInjectionSettings(), saved) == saved
    with pytest.raises(ConfigError, match="search: 'grid' contradicts"):
        complete_settings(replace(SETTINGS, search="grid"), saved)


def test_resuming_may_ask_for_more_trials_but_not_fewer():
    saved = plan(num_samples=4).settings
    assert complete_settings(replace(SETTINGS, num_samples=6), saved)["num_samples"] == 6
    with pytest.raises(ConfigError, match="num_samples: 3 contradicts"):
        complete_settings(replace(SETTINGS, num_samples=3), saved)


def test_a_sweep_of_another_question_or_a_damaged_one_is_not_resumed():
    text = plan().to_json()
    assert saved_settings(text, "noise_injection") == plan().settings
    with pytest.raises(ConfigError, match="asks 'noise_injection', not 'loss_type'"):
        saved_settings(text, "loss_type")
    with pytest.raises(ConfigError, match="damaged"):
        saved_settings(text[: len(text) // 2], "noise_injection")


def test_an_axis_of_the_command_line_joins_design_and_search():
    asked = ("data.train_count=null,500", "student.channels=16,24")
    grid = plan(search="grid", seeds=2, vary=asked, noise_levels=(0.0, 0.5), l1_weights=(0.0,))
    assert grid.total == 2 * 2 * 2 * 2
    cells = {(p["data.train_count"], p["student.channels"]) for p in grid.queued}
    assert cells == {(None, 16), (None, 24), (500, 16), (500, 24)}
    assert [p["seed"] for p in grid.queued] == [0] * 8 + [1] * 8
    for made, point in ((grid, grid.queued[5]), (plan(vary=asked), {})):
        study = optuna.create_study()
        study.enqueue_trial(point)
        found = made.suggest(study.ask())
        assert {"data.train_count", "student.channels"} < set(found)
        assert not point or found == point
        made.trial(found)


def test_assets_are_needed_once_a_teacher_and_a_kind_of_pairs():
    grid = plan(search="grid", seeds=2, vary=("data.train_count=null,500",))
    assert [c.data.train_count for c in asset_configs(grid)] == [None, 500]
    searched = plan(vary=("data.train_count=null,500", "student.channels=16,24"))
    assert sorted(str(c.data.train_count) for c in asset_configs(searched)) == ["500", "None"]
    mix = load_script("l1_l2_mix")
    settings = mix.MixSettings(preset="smoke", objectives=("x_reconstruction", "oracle"))
    question = mix.question(settings)
    both = asset_configs(make_plan(question, complete_settings(settings, None, question.defaults)))
    assert [c.objective.kind for c in both] == ["x_reconstruction", "oracle"]


@pytest.mark.parametrize("name", ["loss_type", "l1_l2_mix", "full_search", "dimensionality"])
@pytest.mark.parametrize("search", ["grid", "optuna"])
@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
def test_every_image_sweep_has_a_valid_plan_of_both_kinds(name, search, preset):
    script = load_script(name)
    kind = next(
        v for k, v in vars(script).items() if k.endswith("Settings") and k != "SweepSettings"
    )
    options = {"task": "image"} if name == "dimensionality" else {}
    settings = kind(preset=preset, search=search, seeds=1, **options)
    question = script.question(settings)
    made = make_plan(question, complete_settings(settings, None, question.defaults))
    study = optuna.create_study(directions=["minimize"] * len(question.metrics))
    for point in made.queued:
        study.enqueue_trial(point)
    for _ in range(max(8, len(made.queued))):
        made.trial(made.suggest(study.ask()))
    assert asset_configs(made)


def test_a_student_without_density_is_not_crossed_with_reverse_kl():
    script = load_script("loss_type")
    points = script.question(script.LossTypeSettings()).points
    flows = [p["objective.kind"] for p in points if p.get("student.kind") == "pixelcnn_flow"]
    assert tuple(flows) == OBJECTIVES
    assert len(points) == 7
    with pytest.raises(ConfigError, match=r"students: .*no flow"):
        script.question(script.LossTypeSettings(students=("resnet",), objectives=("reverse_kl",)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "image", "conditions": (3.0,)}, ("conditions", "3.0", "gaussian task")),
        ({"task": "image", "estimators": ("exact",)}, ("estimators", "'exact'", "plain or path")),
        ({"students": ("resnet",)}, ("students", "'resnet'", "--task image")),
    ],
)
def test_options_of_the_other_task_are_refused(changes, words):
    script = load_script("dimensionality")
    with pytest.raises(ConfigError) as refusal:
        script.question(script.DimensionalitySettings(**changes))
    for word in words:
        assert word in str(refusal.value)


def test_a_sweep_ranks_by_what_its_trials_measure():
    """The headline by default; columns that need a classifier go where there is none."""
    assert plan().question.metric == "classifier_fd_best"
    assert plan().question.columns == noise_injection.question(SETTINGS).columns
    made = plan(dataset="photographs")
    assert made.question.metric == "pixel_fd_best"
    shown = [(column.metric, column.split) for column in made.question.columns]
    assert shown[:2] == [("pixel_fd_best", "validation"), ("pixel_fd_best", "test")]
    assert ("sharpness_ratio_best", "test") in shown
    assert not any("classifier" in metric or "class" in metric for metric, _ in shown)


@pytest.mark.parametrize(
    ("metric", "dataset", "words"),
    [
        ("classifier_fd", "photographs", "metric: 'classifier_fd' needs a classifier"),
        ("pixel_mmd", None, "metric: 'pixel_mmd' is measured on the test split alone"),
    ],
)
def test_a_metric_that_trials_lack_is_refused_before_work(metric, dataset, words):
    settings = replace(SETTINGS, dataset=dataset)
    question = replace(noise_injection.question(settings), metric=metric)
    with pytest.raises(ConfigError, match=words):
        make_plan(question, complete_settings(settings, None))


def test_a_classifier_for_data_without_classes_is_refused_before_work():
    with pytest.raises(ConfigError, match=r"^evaluation\.classifier: .*give null"):
        plan(dataset="photographs", set=('evaluation.classifier={"width": 8}',))


def test_variances_are_levels_squared():
    made = plan(search="grid", noise_variances=(0.0, 0.5), l1_weights=(0.0,))
    assert [p["objective.noise_level"] for p in made.queued] == [
        0.0,
        pytest.approx(0.7071, rel=1e-4),
    ]
    for changes, words in (
        ({"noise_levels": (0.0, 0.5)}, "contradicts"),
        ({"noise_variances": (-1.0,)}, r"-1\.0 is not allowed; give at least 0"),
    ):
        with pytest.raises(ConfigError, match=f"noise_variances: .*{words}"):
            plan(**{"noise_variances": (0.5,)} | changes)
