"""Perfect draws of the data's own law are judged as data are, whatever their number of levels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raydistill.data.grey_levels import recorded, to_recorded
from raydistill.data.images import load_images
from raydistill.data.logit import dequantise, from_logit, to_logit
from raydistill.record import numbers_of
from raydistill.store.assets import Store
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.metric_names import BEST_SCALE
from raydistill.tasks.image.space import ImageSpace
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.registry import parse_trial
from tests.helpers import merge
from tests.tasks.students import InOrder

AT_1 = {BEST_SCALE: 1.0}
"""Validation metrics by which no other prior scale than 1 is judged."""


@pytest.fixture(scope="module")
def whole_split(smoke_values: dict[str, Any], store: Store) -> ImageTask:
    """The smoke task, judging as many samples as its test split has images."""
    config = parse_trial(merge(smoke_values, {"evaluation": {"samples": 269}}))
    assert isinstance(config, ImageTrial)
    return ImageTask(config, store, torch.device("cpu"))


def test_perfect_draws_differ_from_data_in_no_metric_of_images(whole_split: ImageTask) -> None:
    """The test split itself, dequantised and as logits, by the way that all samples take.

    Set after set: at the one scale that is judged, the stored images come in their own order.
    """
    test = whole_split.data.test.values
    unit = dequantise(test, whole_split.data.levels, torch.Generator().manual_seed(0))
    student = InOrder(to_logit(unit))
    found = numbers_of(whole_split.evaluate(student, whole_split.config, "test", seen=AT_1))
    assert found["sharpness_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert found["high_frequency_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert found["pixel_fd"] == pytest.approx(0.0, abs=1e-4)
    assert found["classifier_fd"] == pytest.approx(0.0, abs=1e-3)
    assert found["nearest_train_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert found["different_bins"] == 0.0
    for name in ("precision", "recall", "coverage", "pixel_recall", "pixel_coverage"):
        assert found[name] == 1.0, name


@pytest.mark.parametrize("name", ["digits", "photographs"])
def test_recorded_levels_come_back_from_logits(name: str) -> None:
    """All but where single precision rounds a draw into the level beside it."""
    data = load_images(name, 8)
    values = data.validation.values
    unit = dequantise(values, data.levels, torch.Generator().manual_seed(0))
    back = to_recorded(from_logit(to_logit(unit)), data.levels)
    differs = back != recorded(values, data.levels)
    assert float(differs.double().mean()) < 1e-4
    assert float((back - recorded(values, data.levels)).abs().max()) < 1.001 / (data.levels - 1)


def test_pictures_show_recorded_levels(task: ImageTask, smoke: ImageTrial) -> None:
    levels = task.data.levels
    for name, images in task.pictures(task.build_student(smoke), smoke).items():
        steps = images.double() * (levels - 1)
        assert float((steps - steps.round()).abs().max()) < 1e-5, name
    shown = task.pictures(task.build_student(smoke), smoke)["data"]
    assert torch.equal(shown, recorded(task.data.test.values[: len(shown)], levels))


@given(levels=st.integers(2, 1024), seed=st.integers(0, 2**16))
def test_a_space_takes_back_the_noise_that_it_adds(levels: int, seed: int) -> None:
    space = ImageSpace(shape=(1, 4, 8), levels=levels, centre=0.0, spread=1.0)
    values = torch.randint(levels, (3, 1, 4, 8), generator=torch.Generator().manual_seed(seed))
    images = recorded(values.double(), levels)
    assert torch.equal(space.to_recorded(space.make_continuous(images, seed)), images)
