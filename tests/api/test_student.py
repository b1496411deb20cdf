"""Students come back as they were after their last update, without the data set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import raydistill as rd
from raydistill.data.logit import from_logit
from raydistill.store.assets import Store
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.task import ImageTask


def test_samples_are_those_of_the_trial_s_own_task(
    images: rd.Distilled, store: Store, storage: Path
) -> None:
    student = images.student
    assert isinstance(student.config, ImageTrial)
    task = ImageTask(student.config, store, torch.device("cpu"))
    own = task.build_student(student.config)
    own.load_state_dict(student.module.state_dict())
    z = task.teacher.sample_prior(64, torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(own.eval()(z), student.forward(z))
        assert torch.equal(from_logit(own(z)), student.decode(z))


def test_images_are_in_the_unit_interval_and_a_function_of_the_seed(images: rd.Distilled) -> None:
    student = images.student
    first, again, other = (student.sample(12, seed=seed) for seed in (1, 1, 2))
    assert isinstance(first, torch.Tensor)
    assert isinstance(other, torch.Tensor)
    assert first.shape == (12, 1, 8, 8)
    assert 0.0 <= float(first.min()) < float(first.max()) <= 1.0
    assert isinstance(again, torch.Tensor)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    few = student.sample(5, seed=1)
    assert isinstance(few, torch.Tensor)
    torch.testing.assert_close(few, first[:5])
    # Of codes that are not N(0, 1), and of noise on them.
    codes = images.record.reference["training_codes"]["std"]
    assert student.matched_scale == pytest.approx((codes**2 + 0.25) ** 0.5, rel=1e-3)
    assert student.best_scale == images.record.metrics("validation")["prior_scale_best"]
    wide = student.sample(12, seed=1, scale=student.matched_scale)
    assert isinstance(wide, torch.Tensor)
    assert not torch.equal(wide, first)


def test_a_stack_gives_its_replicas(gaussians: rd.Distilled) -> None:
    stack = gaussians.student
    assert stack.event_shape == (3, 2)
    z = torch.randn(7, 3, 2, dtype=torch.float64)
    whole = stack.decode(z)
    assert isinstance(whole, torch.Tensor)
    for replica in range(3):
        one = rd.load_student(gaussians.folder.uri, replica=replica)
        assert one.event_shape == (2,)
        part = one.decode(z[:, replica])
        assert isinstance(part, torch.Tensor)
        torch.testing.assert_close(part, whole[:, replica], rtol=0, atol=1e-12)
    with pytest.raises(rd.LoadError, match=r"^replica: 3 .* 0 to 2"):
        rd.load_student(gaussians.folder.uri, replica=3)
