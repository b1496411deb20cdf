"""The paper's teacher itself: it starts, is interrupted, and resumes to the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from raydistill.data.images import ImageData, load_images
from raydistill.store.storage import Storage
from raydistill.tasks.image.config_parts import TeacherTraining
from raydistill.tasks.image.teacher import train_teacher
from raydistill.tasks.presets import image_preset
from raydistill.training.job import Progress

CPU = torch.device("cpu")


class _InterruptedError(Exception):
    pass


def training() -> TeacherTraining:
    """The paper preset's, for a few updates."""
    values = image_preset("paper", "mnist-sample").teacher.model_dump(mode="json")
    values["budget"] |= {"updates": 4, "evaluate_every": 4, "checkpoint_every": 2}
    return TeacherTraining.model_validate(values)


def some(data: ImageData) -> ImageData:
    """Few images to evaluate on: a forward pass of this size takes its time."""
    few = replace(data.validation, values=data.validation.values[:32])
    return replace(data, validation=few)


@pytest.mark.slow
def test_it_starts_checkpoints_and_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    config, data = training(), some(load_images("mnist-sample", 28))
    size = config.model
    assert (size.channels, size.blocks, size.stages) == (32, 3, 3)  # type: ignore[attr-defined]
    assert config.budget.batch_size == 64
    assert config.optimiser.learning_rate == 5e-4
    whole = train_teacher(config, data, CPU, Storage.open(tmp_path / "whole"))
    assert sum(p.numel() for p in whole.teacher.parameters()) == pytest.approx(1.37e6, rel=0.01)

    def stop(progress: Progress) -> None:
        if progress.updates >= 2:
            raise _InterruptedError

    cut = Storage.open(tmp_path / "cut")
    with pytest.raises(_InterruptedError):
        train_teacher(config, data, CPU, cut, on_progress=stop)
    again = train_teacher(config, data, CPU, cut)
    assert again.history == whole.history
    weights, expected = again.teacher.state_dict(), whole.teacher.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
