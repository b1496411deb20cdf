"""The image task: pairs that the teacher vouches for, students, pictures and facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from raydistill.data.logit import from_logit
from raydistill.objectives import Batch
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.registry import parse_trial
from tests.helpers import merge
from tests.tasks.students import TeacherInverse


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
    for objective, count in (({"kind": "x_reconstruction"}, 5), (noisy, 6)):
        config = parse_trial(merge(smoke_values, {"objective": objective}))
        pictures = task.pictures(task.build_student(config), config)
        assert len(pictures) == count
        for name, images in pictures.items():
            assert images.shape == ((8, 23, 1, 8, 8) if name == "norms" else (64, 1, 8, 8))
            assert 0.0 <= float(images.min()) < float(images.max()) <= 1.0
    # Reconstructions alternate with what they reconstruct.
    shown = task.pictures(TeacherInverse(task), config)["reconstructions"]
    torch.testing.assert_close(shown[1::2], shown[0::2], rtol=0.0, atol=1e-3)


def test_picture_of_norms_is_the_teacher_along_a_direction(
    task: ImageTask, smoke: ImageTrial
) -> None:
    """Each row the teacher's own decoding of one draw, its norm growing to the right."""
    shown = task.pictures(task.build_student(smoke), smoke)["norms"]
    norms = task.evaluation.teacher_norms
    assert norms is not None
    z = norms.z.unflatten(0, (-1, 23))
    torch.testing.assert_close(z[:, 11].flatten(1).norm(dim=1), torch.full((20,), 8.0))
    torch.testing.assert_close(z[:, -1], 1.3 * z[:, 11])
    expected = task.evaluation.images(task.teacher.decode(z[3, [0, 22]], "sequential"))
    # The two ways of decoding round otherwise, now and then into the grey level beside.
    assert float((shown[3, [0, 22]] != expected).double().mean()) < 0.02


def test_facts_say_how_good_the_classifier_is(task: ImageTask) -> None:
    assert task.classifier is not None
    found = task.classifier.test_accuracy
    assert f"test accuracy {found:.3f}" in "\n".join(task.facts)
    assert 0.1 < found <= 1.0
    assert task.references["classifier"] == {"test_accuracy": found}


def test_parts_are_what_trials_need_and_the_store_lacks(
    task: ImageTask, smoke_values: dict[str, Any], tmp_path: Path
) -> None:
    empty = ImageTask(task.config, task.store, torch.device("cpu"))
    empty.store = Store(Storage.open(tmp_path / "empty"))
    config = parse_trial(merge(smoke_values, {"objective": {"kind": "z_reconstruction"}}))
    parts = empty.parts(config)
    assert [part.kind for part in parts] == ["evaluation", "norms"]
    empty.build_part(parts[1])
    assert [part.kind for part in empty.parts(config)] == ["evaluation"]
