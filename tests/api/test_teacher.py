"""Teachers by key and by trial: samples, codes, likelihoods in the data's own values."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import raydistill as rd
from raydistill.data.logit import dequantise, from_logit, to_logit
from raydistill.metrics.likelihood import held_out_bits
from raydistill.seeding import generator
from raydistill.store.assets import INDEX, Store, _checksum
from raydistill.store.storage import Storage
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.task import ImageTask


@pytest.fixture(scope="module")
def task(images: rd.Distilled, store: Store) -> ImageTask:
    config = images.student.config
    assert isinstance(config, ImageTrial)
    return ImageTask(config, store, torch.device("cpu"))


def tensor(values: object) -> Tensor:
    assert isinstance(values, Tensor)
    return values


def store_of(storage: Path) -> Store:
    return Store(Storage.open(storage / "store"))


def key_of(teacher: str, storage: Path) -> str:
    """The key, which names its folder, of the teacher whose weights have a hash."""
    weights = store_of(storage).contents("teachers")
    (key,) = [key for key, digest in weights.items() if digest.startswith(teacher)]
    return key


def copy_teacher(key: str, storage: Path, root: Path, name: str = "") -> Path:
    """Copy a teacher into another storage path; returns the file of its entry."""
    source, target = storage / "store", root / "store"
    shutil.copytree(source / "blobs", target / "blobs", dirs_exist_ok=True)
    folder = target / "teachers" / (name or key)
    shutil.copytree(source / "teachers" / key, folder)
    return folder / INDEX


def write_entry(file: Path, entry: dict[str, Any]) -> None:
    """Write an entry with the checksum that belongs to it."""
    said = {name: entry[name] for name in ("recipe", "info", "blob")}
    file.write_text(json.dumps(said | {"sha256": _checksum(said)}))


def test_a_teacher_is_found_by_weights_key_prefix_and_trial(
    images: rd.Distilled, storage: Path
) -> None:
    key = images.record.teacher
    by_key = rd.load_teacher(storage, key)
    assert by_key.key == key
    digest = store_of(storage).contents("teachers")[key_of(key, storage)]
    for name in (
        key[:12],
        digest,
        key_of(key, storage),
        key_of(key, storage)[:12],
        "front/trial_00000",
        images.folder.uri,
    ):
        again = rd.load_teacher(storage, name)
        assert again.key == key
        assert torch.equal(tensor(again.sample(3, seed=4)), tensor(by_key.sample(3, seed=4)))
    assert not torch.equal(tensor(by_key.sample(3, seed=5)), tensor(by_key.sample(3, seed=4)))


def test_samples_and_codes_are_those_of_the_task_s_own_teacher(
    images: rd.Distilled, task: ImageTask, storage: Path
) -> None:
    teacher = rd.load_teacher(storage, images.record.teacher)
    z = task.teacher.sample_prior(16, torch.Generator().manual_seed(1))
    drawn = tensor(teacher.decode(z))
    assert torch.equal(drawn, from_logit(task.teacher.decode(z)))
    # Far-off pixels are within a few roundings of 0 or 1, where a logit is steep.
    torch.testing.assert_close(tensor(teacher.encode(drawn)), z, rtol=0.0, atol=1e-2)
    # The student draws the same codes from the same seed.
    sampled, made = tensor(teacher.sample(5, seed=9)), tensor(images.student.sample(5, seed=9))
    codes = teacher.encode(sampled)
    torch.testing.assert_close(tensor(images.student.decode(codes)), made, rtol=0.0, atol=1e-2)


def test_recorded_images_are_dequantised_on_request(
    images: rd.Distilled, task: ImageTask, storage: Path
) -> None:
    teacher, data = rd.load_teacher(storage, images.record.teacher), task.data
    recorded = data.test.values[:40] / (data.levels - 1)
    x = to_logit(dequantise(data.test.values[:40], data.levels, generator("cpu", "dequantise", 3)))
    codes = tensor(teacher.encode(recorded, dequantise_seed=3))
    torch.testing.assert_close(codes, task.teacher.encode(x).z, rtol=0.0, atol=1e-4)
    # Every test image of the task has another noise; their mean agrees within what noise does.
    every = data.test.values / (data.levels - 1)
    bits = float(teacher.bits_per_dimension(every).mean())
    expected = held_out_bits(task.teacher.log_prob, data.test, data.levels, torch.device("cpu"))
    assert bits == pytest.approx(expected, abs=0.02)
    nats = teacher.log_prob(every[:7], dequantise_seed=0)
    direct = -nats / (64 * math.log(2.0)) + math.log2(data.levels)
    torch.testing.assert_close(direct, teacher.bits_per_dimension(every[:7]), rtol=1e-5, atol=1e-5)


def test_gaussian_teachers_come_from_their_trial(gaussians: rd.Distilled, storage: Path) -> None:
    teacher = rd.load_teacher(storage, "front/gaussians")
    assert teacher.key == gaussians.record.teacher
    x = tensor(teacher.sample(1000, seed=1))
    assert x.shape == (1000, 3, 2)
    torch.testing.assert_close(tensor(teacher.decode(teacher.encode(x))), x)
    assert torch.equal(teacher.log_prob(x), teacher.module.log_prob(x))
    with pytest.raises(ValueError, match=r"^bits_per_dimension: values of the gaussian task"):
        teacher.bits_per_dimension(x)


def test_what_is_no_teacher_is_said(images: rd.Distilled, storage: Path, tmp_path: Path) -> None:
    key = images.record.teacher
    with pytest.raises(rd.LoadError, match=rf"^teacher: 'zz{key[2:]}' names none in .* {key}"):
        rd.load_teacher(storage, f"zz{key[2:]}")
    with pytest.raises(rd.LoadError, match=r"^storage: no folder"):
        rd.load_teacher(tmp_path / "nowhere", key)
    with pytest.raises(rd.LoadError, match="it holds no teacher yet"):
        rd.load_teacher(tmp_path, key)
    recipe = key_of(key, storage)
    for name in (recipe, recipe[:8] + "00000000"):
        copy_teacher(recipe, storage, tmp_path, name)
    with pytest.raises(rd.LoadError, match=f"begins the names of several: .*{recipe}"):
        rd.load_teacher(tmp_path, recipe[:8])
    assert rd.load_teacher(tmp_path, key).key == key  # the same weights under two keys
    (blob,) = (tmp_path / "store" / "blobs").glob(f"{key}*")
    content = bytearray(blob.read_bytes())
    content[-5] ^= 4
    blob.write_bytes(bytes(content))
    with pytest.raises(rd.LoadError, match="is damaged"):
        rd.load_teacher(tmp_path, recipe)
    (tmp_path / "store" / "teachers" / recipe / INDEX).write_text("{")
    with pytest.raises(rd.LoadError, match="is damaged"):
        rd.load_teacher(tmp_path, recipe)


def test_a_teacher_of_an_older_version_is_found_by_a_trial_that_used_it(
    images: rd.Distilled, storage: Path, tmp_path: Path
) -> None:
    key = images.record.teacher
    root = tmp_path / "old"
    file = copy_teacher(key_of(key, storage), storage, root)
    assert images.folder.local_path is not None
    shutil.copytree(images.folder.local_path, root / "sweep" / "trial_00000")
    described = json.loads(file.read_text())
    del described["info"]["space"]
    write_entry(file, described)
    with pytest.raises(rd.LoadError, match="name a trial that used it"):
        rd.load_teacher(root, key)
    old = rd.load_teacher(root, "sweep/trial_00000")
    new = rd.load_teacher(storage, key)
    assert old.space == new.space
    assert torch.equal(tensor(old.sample(2)), tensor(new.sample(2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "^n: 0 samples"),
        ({"n": 2, "scale": -1.0}, "^scale: -1.0 is no standard deviation"),
        ({"n": 2, "scale": math.nan}, "^scale: nan"),
        ({"n": 2, "recording": "a.wav"}, "^recording: this model takes no conditioning"),
        ({"n": 2, "features": torch.zeros(3, 27)}, "^features: this model takes no conditioning"),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit_are_refused(
    arguments: dict[str, object], message: str, images: rd.Distilled, storage: Path
) -> None:
    for model in (images.student, rd.load_teacher(storage, images.record.teacher)):
        with pytest.raises(ValueError, match=message):
            model.sample(**arguments)  # type: ignore[arg-type]


def test_values_outside_the_data_s_range_are_refused(images: rd.Distilled, storage: Path) -> None:
    teacher = rd.load_teacher(storage, images.record.teacher)
    with pytest.raises(ValueError, match=r"^values: some are not finite or not in the data"):
        teacher.encode(torch.full((1, 1, 8, 8), 2.0))
    with pytest.raises(ValueError, match=r"^values: shape \(1, 8, 8\) does not fit"):
        teacher.encode(torch.zeros(1, 8, 8))


def test_a_teacher_whose_code_is_gone_is_refused(
    images: rd.Distilled, storage: Path, tmp_path: Path
) -> None:
    key = images.record.teacher
    file = copy_teacher(key_of(key, storage), storage, tmp_path)
    described = json.loads(file.read_text())
    described["recipe"]["training"]["model"] = {"kind": "gone.with_the_wind:Config"}
    write_entry(file, described)
    with pytest.raises(rd.LoadError, match=r"cannot be rebuilt: .*'gone.with_the_wind:Config'"):
        rd.load_teacher(tmp_path, key)
