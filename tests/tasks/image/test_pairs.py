"""Shards of pairs: functions of teacher and number, found again, rebuilt when damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raydistill.metrics.norms import RADII
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.image import pairs as image_pairs
from raydistill.tasks.image.pairs import Pairs, Shard, build_shard, get_pairs, is_stored, shards_of
from raydistill.tasks.image.task import ImageTask

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_pairs, "SHARD", 20)


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """A store without pairs; the teacher is at hand."""
    return Store(Storage.open(tmp_path / "store"))


def pairs(task: ImageTask, store: Store, count: int, kind: str = "oracle") -> Pairs:
    return get_pairs(kind, count, task.trained, task.data, store, CPU)  # type: ignore[arg-type]


def test_a_set_is_cut_from_its_shards(task: ImageTask, empty: Store) -> None:
    assert shards_of("oracle", 45) == tuple(Shard("oracle", i) for i in range(3))
    assert shards_of("data", 2) == (Shard("data", 0), Shard("data", 1))
    found = pairs(task, empty, 45)
    assert len(found.x) == len(found.z) == len(found.log_prob) == 45
    torch.testing.assert_close(task.teacher.encode(found.x).z, found.z, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(task.teacher.log_prob(found.x), found.log_prob, rtol=1e-4, atol=1e-3)
    assert len({row.numpy().tobytes() for row in found.z}) == 45


def test_a_larger_set_begins_with_a_smaller_one_and_builds_only_the_rest(
    task: ImageTask, empty: Store
) -> None:
    small = pairs(task, empty, 20)
    files = set(Path(empty.storage.uri).rglob("*.safetensors"))
    times = {path: path.stat().st_mtime_ns for path in files}
    large = pairs(task, empty, 50)
    assert torch.equal(large.x[:20], small.x)
    assert {path: path.stat().st_mtime_ns for path in files} == times
    assert len(list(Path(empty.storage.uri).rglob("*.safetensors"))) == 3


def test_shards_do_not_depend_on_the_order_in_which_they_are_built(
    task: ImageTask, empty: Store, tmp_path: Path
) -> None:
    other = Store(Storage.open(tmp_path / "other"))
    for index in (2, 0, 1):
        build_shard(Shard("oracle", index), task.trained, task.data, other, CPU)
    ours, theirs = pairs(task, empty, 60), pairs(task, other, 60)
    assert torch.equal(ours.x, theirs.x)
    assert torch.equal(ours.log_prob, theirs.log_prob)


def test_samples_to_judge_by_are_never_those_to_train_on(task: ImageTask, empty: Store) -> None:
    train, judge = pairs(task, empty, 40), pairs(task, empty, 40, "evaluation")
    assert not torch.isclose(train.z.flatten(1)[:, None], judge.z.flatten(1)[None]).all(-1).any()


def test_each_dequantisation_of_the_data_is_a_shard_of_its_own(
    task: ImageTask, empty: Store
) -> None:
    both = pairs(task, empty, 2, "data")
    count = len(task.data.train)
    assert len(both.x) == 2 * count
    assert not torch.equal(both.x[:count], both.x[count:])
    assert torch.equal(pairs(task, empty, 1, "data").x, both.x[:count])


def test_a_damaged_shard_is_built_again(
    task: ImageTask, empty: Store, caplog: pytest.LogCaptureFixture
) -> None:
    whole = pairs(task, empty, 20)
    (file,) = Path(empty.storage.uri).rglob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-5] ^= 0xFF
    file.write_bytes(content)
    assert torch.equal(pairs(task, empty, 20).x, whole.x)
    assert "is damaged" in caplog.text
    caplog.clear()
    assert torch.equal(pairs(task, empty, 20).x, whole.x)
    assert not caplog.text


def test_a_shard_with_a_damaged_entry_counts_as_missing(task: ImageTask, empty: Store) -> None:
    shard = Shard("oracle", 0)
    assert not is_stored(shard, task.trained, empty)
    pairs(task, empty, 20)
    assert is_stored(shard, task.trained, empty)
    (file,) = Path(empty.storage.uri).rglob("asset.json")
    file.write_bytes(file.read_bytes()[:-5])
    assert not is_stored(shard, task.trained, empty)


def test_norms_are_draws_at_every_radius(
    task: ImageTask, empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each draw's whole row; more draws begin with fewer, and are others than those to judge by."""
    monkeypatch.setattr(image_pairs, "NORM_SHARD", 3)
    assert shards_of("norms", 4) == (Shard("norms", 0), Shard("norms", 1))
    found = pairs(task, empty, 4, "norms")
    assert found.x.shape == found.z.shape == (4 * len(RADII), 1, 8, 8)
    norms = found.z.flatten(1).norm(dim=1).view(4, -1) / 8.0
    torch.testing.assert_close(norms, torch.tensor(RADII).expand(4, -1))
    torch.testing.assert_close(task.teacher.encode(found.x).z, found.z, rtol=1e-3, atol=1e-3)
    assert torch.equal(pairs(task, empty, 1, "norms").x, found.x[: len(RADII)])
    base = found.z.view(4, len(RADII), -1)[:, RADII.index(1.0)]
    judged = pairs(task, empty, 20, "evaluation").z.flatten(1)
    assert float(torch.cosine_similarity(base[:, None], judged, dim=2).max()) < 0.9
