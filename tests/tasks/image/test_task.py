"""The image task: pairs that the teacher vouches for, students, pictures and facts."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from raydistill.data.logit import from_logit
from raydistill.objectives import Batch
from raydistill.record import numbers_of
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.assets import SamplesDivergedError
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.metric_names import BEST_SCALE
from raydistill.tasks.image.pairs import Shard
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


def test_pictures_are_images(task: ImageTask, smoke: ImageTrial) -> None:
    student = task.build_student(smoke)
    for seen, count in ((None, 5), ({BEST_SCALE: 1.0}, 5), ({BEST_SCALE: 0.8}, 6)):
        pictures = task.pictures(student, smoke, seen)
        assert len(pictures) == count
        for name, images in pictures.items():
            assert images.shape == ((8, 23, 1, 8, 8) if name == "norms" else (64, 1, 8, 8))
            assert 0.0 <= float(images.min()) < float(images.max()) <= 1.0
    assert not torch.equal(pictures["samples_best"], pictures["samples"])
    # Reconstructions alternate with what they reconstruct.
    shown = task.pictures(TeacherInverse(task), smoke)["reconstructions"]
    torch.testing.assert_close(shown[1::2], shown[0::2], rtol=0.0, atol=1e-3)


def test_picture_of_norms_is_the_teacher_along_a_direction(
    task: ImageTask, smoke: ImageTrial
) -> None:
    """Each row the teacher's own decoding of one draw, its norm growing to the right."""
    shown = task.pictures(task.build_student(smoke), smoke)["norms"]
    norms = task.teacher_norms
    assert norms is not None
    z = norms.z.unflatten(0, (-1, 23))
    torch.testing.assert_close(z[:, 11].flatten(1).norm(dim=1), torch.full((20,), 8.0))
    torch.testing.assert_close(z[:, -1], 1.3 * z[:, 11])
    expected = task.samples.images(task.teacher.decode(z[3, [0, 22]], "sequential"))
    # The two ways of decoding round otherwise, now and then into the grey level beside.
    assert float((shown[3, [0, 22]] != expected).double().mean()) < 0.02


def test_facts_say_how_good_the_classifier_is(task: ImageTask) -> None:
    assert task.classifier is not None
    found = task.classifier.test_accuracy
    assert f"test accuracy {found:.3f}" in "\n".join(task.facts)
    assert 0.1 < found <= 1.0
    assert task.references["classifier"] == {"test_accuracy": found}


def test_facts_say_how_good_the_teacher_is_at_its_best_scale(task: ImageTask) -> None:
    own = numbers_of(task.references["teacher_test"])
    told = "\n".join(task.facts)
    assert f"classifier_fd {own['classifier_fd']:.4g} at prior scale 1" in told
    assert f"{own['classifier_fd_best']:.4g} at {own[BEST_SCALE]:g}" in told


def test_parts_are_what_trials_need_and_the_store_lacks(
    task: ImageTask, smoke_values: dict[str, Any], tmp_path: Path
) -> None:
    config = parse_trial(merge(smoke_values, {"objective": {"kind": "z_reconstruction"}}))
    assert isinstance(config, ImageTrial)
    store = Store(Storage.open(tmp_path / "store"))
    shutil.copytree(task.store.storage.uri, tmp_path / "store")
    for kind in ("pairs", "image-floors"):
        shutil.rmtree(tmp_path / "store" / kind)
    empty = ImageTask(config, store, torch.device("cpu"))
    parts = empty.parts(config)
    kinds = Counter(part.kind for part in parts)
    # A set at each of three scales to choose by, two at scale 1 to judge by.
    expected = {"evaluation": 1, "norms": 1, "data": 1, "validation draws": 3, "test draws": 2}
    assert kinds == expected
    assert {part.scale for part in parts if part.kind == "validation draws"} == {0.8, 0.9, 1.0}
    empty.build_part(parts[1])
    assert len(empty.parts(config)) == len(parts) - 1
    # With the floors in the store nobody asks for what they were measured on.
    assert set(empty.references) == set(task.references)
    assert empty.parts(config) == ()


def test_another_scale_may_diverge_and_scale_1_may_not(
    task: ImageTask, smoke_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that overflows for large z has no floor there, and is judged at the others."""
    config = parse_trial(merge(smoke_values, {"evaluation": {"prior_scales": [0.9, 3.0]}}))
    assert isinstance(config, ImageTrial)
    store = Store(Storage.open(tmp_path / "store"))
    shutil.copytree(task.store.storage.uri, tmp_path / "store")
    weak = ImageTask(config, store, torch.device("cpu"))
    decode = weak.teacher.decode
    monkeypatch.setattr(
        weak.teacher, "decode", lambda z: decode(z) / (float(z.std()) < 2.0), raising=True
    )
    (part,) = (part for part in weak.parts(config) if part.scale == 3.0)
    weak.build_part(part)
    found = weak.references["teacher_validation"]
    assert {name for name in found if name.startswith("classifier_fd_at_")} == {
        "classifier_fd_at_0.9",
        "classifier_fd_at_1",
    }
    monkeypatch.setattr(weak.teacher, "decode", lambda z: decode(z) / 0.0)
    with pytest.raises(SamplesDivergedError):
        weak.build_part(Shard("test draws", 7, 1.0, 50))
    # Its facts can be told all the same: that its draws diverge is for its trials to say.
    more = parse_trial(merge(smoke_values, {"evaluation": {"draws": 3}}))
    assert isinstance(more, ImageTrial)
    diverging = ImageTask(more, store, torch.device("cpu"))
    monkeypatch.setattr(diverging.teacher, "decode", lambda z: decode(z) / 0.0)
    assert not any("own samples" in fact for fact in diverging.facts)
    with pytest.raises(SamplesDivergedError):
        diverging.references  # noqa: B018
