"""The image task: pairs that the teacher vouches for, and one evaluation for all students."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from raydistill.config import parse_trial
from raydistill.data.logit import from_logit
from raydistill.objectives import Batch
from raydistill.students.base import Student
from raydistill.tasks.image import ImageTask, matched_scale, noise_level
from raydistill.tasks.image_config import ImageTrial
from tests.helpers import merge, normal


class TeacherInverse(Student):
    """The perfect student: it decodes exactly, and is as slow as that."""

    def __init__(self, task: ImageTask) -> None:
        super().__init__()
        self.event_shape = task.teacher.event_shape
        self.decode = task.teacher.decode

    def forward(self, z: Tensor) -> Tensor:
        return self.decode(z)


class Constant(Student):
    """A student that has collapsed to one image."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.event_shape = tuple(image.shape)
        self.image = image

    def forward(self, z: Tensor) -> Tensor:
        # The smallest of noise: covariances of a true constant are all rounding.
        return self.image + 1e-3 * z


def test_teacher_is_frozen_and_ready(task: ImageTask) -> None:
    assert not task.teacher.training
    assert not any(p.requires_grad for p in task.teacher.parameters())
    z = task.teacher.encode(task.data_pairs.x[:100]).z
    # It was trained: its conditionals depend on the past.
    assert float(task.teacher.map.network.output.weight.abs().max()) > 1e-3
    assert torch.equal(z, task.teacher.encode(task.data_pairs.x[:100]).z)


def test_data_pairs_are_codes_of_the_training_split(task: ImageTask) -> None:
    pairs = task.data_pairs
    assert len(pairs.x) == len(task.data.train)
    with torch.no_grad():
        codes = task.teacher.encode(pairs.x[:300]).z
    torch.testing.assert_close(pairs.z[:300], codes, rtol=1e-4, atol=1e-4)
    levels = (from_logit(pairs.x) * task.data.levels).floor()
    assert float((levels == task.data.train.values).float().mean()) > 0.999


def test_oracle_pairs_are_exact_samples_of_prior_draws(task: ImageTask) -> None:
    pairs = task.oracle_pairs
    assert len(pairs.x) == 100
    sequential = task.teacher.decode(pairs.z[:5], "sequential")
    torch.testing.assert_close(pairs.x[:5], sequential, rtol=1e-3, atol=1e-3)
    assert float(pairs.z.std()) == pytest.approx(1.0, abs=0.05)
    assert float(pairs.z.mean()) == pytest.approx(0.0, abs=0.05)


OBJECTIVES: list[dict[str, Any]] = [
    {"kind": "z_reconstruction"},
    {"kind": "x_reconstruction", "noise_level": 0.5},
    {"kind": "oracle", "noise_level": 0.5},
    {"kind": "oracle"},
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_shares_of_workers_are_the_batch_of_one(
    objective: dict[str, Any], task: ImageTask, smoke_values: dict[str, Any]
) -> None:
    config = parse_trial(merge(smoke_values, {"objective": objective}))
    draw = task.draw(config)

    def batch(share: slice) -> Batch:
        return draw(7, share)

    whole, halves = batch(slice(0, 16)), [batch(slice(0, 8)), batch(slice(8, 16))]
    for name in ("z", "x", "noise"):
        parts = [getattr(half, name) for half in halves]
        if getattr(whole, name) is None:
            assert parts == [None, None]
        else:
            assert torch.equal(torch.cat(parts), getattr(whole, name))
    assert len(whole.z) == 16
    another = task.draw(config.model_copy(update={"seed": 1}))(7, slice(0, 16))
    assert not torch.equal(another.z, whole.z)
    assert not torch.equal(draw(8, slice(0, 16)).z, whole.z)
    assert (whole.x is None) == (objective["kind"] == "z_reconstruction")
    assert (whole.noise is None) == ("noise_level" not in objective)


def test_perfect_student_reconstructs_and_matches(task: ImageTask, smoke: ImageTrial) -> None:
    student = TeacherInverse(task)
    metrics = task.evaluate(student, smoke, "validation")
    assert metrics["reconstruction_l1"] < 1e-3
    assert metrics["reconstruction_l2"] < 1e-5
    assert metrics["classifier_fd_reconstruction"] < 0.2 * metrics["classifier_fd"]
    # Its samples are the teacher's: 50 against 100 draws of one distribution.
    assert metrics["ks_log_prob"] < 0.3
    assert student.training  # evaluation leaves the mode as it was in the loop
    assert task.evaluate(student, smoke, "validation") == metrics


def test_collapsed_student_is_seen_to_be(task: ImageTask, smoke: ImageTrial) -> None:
    perfect = task.evaluate(TeacherInverse(task), smoke, "test")
    collapsed = task.evaluate(Constant(task.data_pairs.x[0]), smoke, "test")
    assert collapsed["top_class_share"] == 1.0
    assert collapsed["class_entropy"] == 0.0
    assert collapsed["classifier_fd"] > 2.0 * perfect["classifier_fd"]
    assert collapsed["reconstruction_l2"] > 1.0
    assert perfect["top_class_share"] < 1.0


def test_student_is_a_function_of_its_configuration(
    task: ImageTask, smoke: ImageTrial, smoke_values: dict[str, Any]
) -> None:
    torch.manual_seed(1)
    first = task.build_student(smoke).state_dict()
    state = torch.get_rng_state()
    second = task.build_student(smoke).state_dict()
    assert torch.equal(torch.get_rng_state(), state)  # nor does it move the global stream
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = task.build_student(parse_trial(smoke_values | {"seed": 1})).state_dict()
    assert not torch.equal(first["input.weight"], other["input.weight"])


def test_pictures_are_images(task: ImageTask, smoke_values: dict[str, Any]) -> None:
    noisy = {"kind": "x_reconstruction", "noise_level": 0.5}
    for objective, count in (({"kind": "x_reconstruction"}, 4), (noisy, 5)):
        config = parse_trial(merge(smoke_values, {"objective": objective}))
        pictures = task.pictures(task.build_student(config), config)
        assert len(pictures) == count
        for images in pictures.values():
            assert images.shape == (64, 1, 8, 8)
            assert 0.0 <= float(images.min()) < float(images.max()) <= 1.0
    # Reconstructions alternate with what they reconstruct.
    shown = task.pictures(TeacherInverse(task), config)["reconstructions"]
    torch.testing.assert_close(shown[1::2], shown[0::2], rtol=0.0, atol=1e-3)


def test_matched_scale_is_the_deviation_of_noised_codes(smoke_values: dict[str, Any]) -> None:
    for objective, level in (
        ({"kind": "x_reconstruction", "noise_level": 0.75}, 0.75),
        ({"kind": "oracle", "noise_level": 0.75}, 0.75),
        ({"kind": "z_reconstruction"}, 0.0),
    ):
        config = parse_trial(merge(smoke_values, {"objective": objective}))
        assert noise_level(config) == level
        noised = normal(100_000) + level * normal(100_000, seed=1)
        assert matched_scale(config) == pytest.approx(float(noised.std()), rel=0.01)
