"""Maximum likelihood with an average, in half precision and compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from raydistill.data.images import ImageData
from raydistill.store.storage import Storage
from raydistill.tasks.image.config_parts import TeacherTraining
from raydistill.tasks.image.teacher import train_teacher
from raydistill.teachers.likelihood import Likelihood
from raydistill.teachers.pixelcnn import PixelCNNConfig
from raydistill.training.job import Progress
from tests.helpers import normal

CPU = torch.device("cpu")


def training(**changes: Any) -> TeacherTraining:
    return TeacherTraining.model_validate(
        {
            "model": {"kind": "pixelcnn", "channels": 8, "blocks": 1, "stages": 2},
            "budget": {"updates": 60, "evaluate_every": 30, "checkpoint_every": 20},
            "threads": 1,
            **changes,
        }
    )


def bits(config: TeacherTraining, data: ImageData, folder: Path) -> float:
    """Validation bits/dim after training."""
    return train_teacher(config, data, CPU, Storage.open(folder)).history[-1][1]


def test_the_average_follows_the_weights_with_the_stated_decay() -> None:
    torch.manual_seed(0)
    teacher = PixelCNNConfig(channels=4, stages=1).build((1, 4, 4))
    likelihood = Likelihood(teacher, ema=0.9)
    assert likelihood.trained is likelihood.average
    expected = [p.detach().clone() for p in teacher.parameters()]
    for seen in range(200):
        with torch.no_grad():
            for index, parameter in enumerate(teacher.parameters()):
                parameter.add_(0.1 * normal(*parameter.shape, seed=seen * 100 + index).float())
        likelihood.after_update()
        decay = min(0.9, (1.0 + seen) / (10.0 + seen))
        pairs = zip(expected, teacher.parameters(), strict=True)
        expected = [decay * old + (1.0 - decay) * new for old, new in pairs]
    for value, found in zip(expected, likelihood.trained.parameters(), strict=True):
        torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5)
    assert not any(p.requires_grad for p in likelihood.trained.parameters())


def test_without_an_average_the_result_is_the_teacher() -> None:
    teacher = PixelCNNConfig(channels=4, stages=1).build((1, 4, 4))
    likelihood = Likelihood(teacher)
    assert likelihood.trained is teacher
    before = [p.clone() for p in teacher.parameters()]
    likelihood.after_update()
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))


def test_an_interrupted_average_continues_to_the_same_teacher(
    digits: ImageData, tmp_path: Path
) -> None:
    config = training(ema=0.95)
    whole = train_teacher(config, digits, CPU, Storage.open(tmp_path / "whole"))

    class Stop(Exception):  # noqa: N818
        pass

    def stop(progress: Progress) -> None:
        if progress.updates >= 40:
            raise Stop

    cut = Storage.open(tmp_path / "cut")
    with pytest.raises(Stop):
        train_teacher(config, digits, CPU, cut, on_progress=stop)
    again = train_teacher(config, digits, CPU, cut)
    assert again.history == whole.history
    for name, value in whole.teacher.state_dict().items():
        assert torch.equal(again.teacher.state_dict()[name], value), name


def test_half_precision_trains_to_the_same_likelihood(digits: ImageData, tmp_path: Path) -> None:
    full = bits(training(), digits, tmp_path / "full")
    half = bits(training(precision="bfloat16"), digits, tmp_path / "half")
    assert half != full
    assert half == pytest.approx(full, abs=0.01)


def test_weights_and_likelihood_stay_in_single_precision() -> None:
    teacher = PixelCNNConfig(channels=4, stages=1).build((1, 4, 4))
    x = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    loss = Likelihood(teacher, precision="bfloat16")(x).loss
    assert loss.dtype == torch.float32
    loss.backward()
    assert {p.grad.dtype for p in teacher.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.slow
def test_a_compiled_teacher_trains_to_the_same_likelihood(
    digits: ImageData, tmp_path: Path
) -> None:
    plain = bits(training(), digits, tmp_path / "plain")
    compiled = bits(training(compile=True), digits, tmp_path / "compiled")
    assert compiled == pytest.approx(plain, abs=0.01)


def test_an_average_is_another_teacher_with_its_own_likelihood(
    digits: ImageData, tmp_path: Path
) -> None:
    last = bits(training(), digits, tmp_path / "last")
    average = bits(training(ema=0.9), digits, tmp_path / "average")
    assert average != last
    assert average == pytest.approx(last, abs=0.5)
