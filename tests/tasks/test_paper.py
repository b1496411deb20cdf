"""The paper preset is the paper, and says where it is not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raydistill.cluster.results import print_deviations
from raydistill.data.splits import split_rows
from raydistill.tasks.paper import Deviation, deviations
from raydistill.tasks.presets import Preset, gaussian_preset, image_preset, vocoder_preset
from raydistill.tasks.trial_config import TrialConfig
from raydistill.tasks.trial_fields import with_fields
from raydistill.training.loop import learning_rate

TRAIN = {"mnist": 55_000, "fashion-mnist": 55_000, "cifar-10": 45_834}
PAPERS = pytest.mark.parametrize("name", TRAIN)


def table(trial: TrialConfig) -> dict[str, Deviation]:
    return {one.field: one for one in deviations(trial)}


@PAPERS
def test_teacher_and_student_have_a_hundred_epochs_of_the_training_split(name: str) -> None:
    trial = image_preset("paper", name)
    for part in (trial, trial.teacher):
        images = part.budget.updates * part.budget.batch_size
        assert 100 * TRAIN[name] <= images < 100 * TRAIN[name] + 64
        assert part.budget.batch_size == 64
        assert part.optimiser.clip is None
        assert (part.optimiser.beta1, part.optimiser.beta2) == (0.9, 0.999)
        # The rate begins at 5e-4 and falls to 0.95 of it with every epoch, 99 times.
        epoch = TRAIN[name] / 64
        for number in (0, 1, 50, 99):
            update = math.ceil(number * epoch)
            rate = learning_rate(part.optimiser, update, part.budget.updates)
            assert rate == pytest.approx(5e-4 * 0.95**number)
    assert trial.pairs.data_copies is None  # noise of its own in every epoch
    assert trial.teacher.model.model_dump() | {"conditional": None} == {
        "kind": "pixelcnn",
        "channels": 32,
        "blocks": 3,
        "stages": 3,
        "conditional": None,
    }
    assert trial.data.size == trial.data.original_side


def test_training_splits_are_as_large_as_their_data_sets_say() -> None:
    assert len(split_rows(70_000, 60_000).train) == TRAIN["mnist"]
    assert len(split_rows(60_000, 50_000).train) == TRAIN["cifar-10"]
    assert (
        len(split_rows(5_000).train) == image_preset("paper", "mnist-sample").data.training_images
    )
    for name in ("digits", "photographs"):
        data = image_preset("small", name).data
        assert len(data.load().train) == data.training_images, name


@PAPERS
def test_what_the_paper_preset_does_not_follow_is_this(name: str, tmp_path: Path) -> None:
    # From a folder without files: nothing is read.
    trial = with_fields(image_preset("paper", name), {"data.root": str(tmp_path)})
    found = deviations(trial)
    always = ["training images", "dropout", "end points of the logit", "student"]
    always += ["pairs.oracle_count", "objective.noise_level"]
    assert [one.field for one in found] == ["all settings"] * (name == "cifar-10") + always
    assert all(one.paper == "not said" for one in found if one.field != "training images")
    console = Console(width=170)
    with console.capture() as printed:
        print_deviations(console, found)
    for one in found:
        assert all(part in printed.get() for part in (one.field, one.paper, one.ours, one.why))


CHANGES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"optimiser.clip": 1.0}, "optimiser.clip", "none", "1"),
    ({"teacher.optimiser.decay": "cosine"}, "teacher.optimiser.decay", "exponential", "cosine"),
    ({"budget.updates": 8594}, "budget.updates", "100 epochs", "8594 updates, 10 epochs"),
    (
        {"teacher.optimiser.decay_every": 8594},
        "teacher.optimiser.decay_every",
        "1 epoch",
        "8594 updates, 10 epochs",
    ),
    ({"data.train_count": 500}, "data.train_count", "none", "500"),
    (
        {"data.train_count": 500},
        "budget.updates",
        "100 epochs",
        "85938 updates, 1.1e+04 epochs",
    ),
    ({"data.size": 14, "teacher.model.stages": 2}, "data.size", "28", "14"),
    ({"teacher.model.channels": 64}, "teacher.model.channels", "32", "64"),
    (
        {"pairs.data_copies": 4},
        "pairs.data_copies",
        "uniform noise, not said how often",
        "4 stored dequantisations, epochs taking turns",
    ),
    ({"objective.l1_weight": 1.0}, "objective.l1_weight", "0", "1"),
]


@pytest.mark.parametrize(("change", "field", "paper", "ours"), CHANGES, ids=lambda v: str(v)[:40])
def test_what_is_set_otherwise_is_said(
    change: dict[str, Any], field: str, paper: str, ours: str
) -> None:
    """With the values of both: nothing is followed silently in part."""
    base = image_preset("paper", "mnist")
    assert field not in table(base)
    found = table(with_fields(base, change))[field]
    assert (found.paper, found.ours) == (paper, ours)


def test_epochs_are_counted_in_the_files_that_are_there(tmp_path: Path) -> None:
    """Not in those that the data set is known to have."""
    from tests.data.test_images import small_mnist, write

    write(tmp_path, small_mnist(train=600, test=100), zipped=False)
    trial = with_fields(image_preset("paper", "mnist"), {"data.root": str(tmp_path)})
    found = table(trial)
    assert found["training images"].ours == "550"
    assert found["budget.updates"].ours == "85938 updates, 1e+04 epochs"


@pytest.mark.parametrize("preset", ["smoke", "small"])
def test_small_presets_are_not_the_paper(preset: Preset) -> None:
    trial = image_preset(preset, "digits")
    assert {"data.name", "optimiser.decay", "budget.updates"} <= table(trial).keys()


def test_other_tasks_have_their_tables() -> None:
    assert [*table(gaussian_preset("paper", None))] == ["replicas", "precision"]
    changed = with_fields(gaussian_preset("paper", None), {"optimiser.learning_rate": 0.01})
    assert table(changed)["optimiser.learning_rate"].paper == "0.005"
    assert {one.paper for one in deviations(vocoder_preset("paper", None))} == {"not said"}
