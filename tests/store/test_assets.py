"""Assets by content hash: built once, checked when read, rebuilt loudly when damaged."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from raydistill.store.assets import Built, Store, recipe_key
from raydistill.store.storage import Storage

RECIPE: dict[str, Any] = {"channels": 16, "data": "abc", "nested": {"rate": 0.1, "on": True}}
INFO = {"bits": 1.25, "history": [[10, 2.5], [20, 2.25]], "name": "teacher"}


class Builder:
    """Counts how often it is called; each call builds the same tensors."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, work: Storage) -> Built:
        self.calls += 1
        weights = torch.arange(2000.0).view(40, 50)
        return Built({"weights": weights, "transposed": weights.t(), "step": torch.tensor(3)}, INFO)


@pytest.fixture(params=["path", "uri"])
def local_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    path = tmp_path / "store"
    return Store(Storage.open(path if request.param == "path" else path.as_uri()))


@pytest.fixture
def path_store(tmp_path: Path) -> Store:
    return Store(Storage.open(tmp_path / "store"))


def assert_whole(tensors: dict[str, torch.Tensor]) -> None:
    assert set(tensors) == {"weights", "transposed", "step"}
    assert torch.equal(tensors["weights"], torch.arange(2000.0).view(40, 50))
    assert torch.equal(tensors["transposed"], tensors["weights"].t())
    assert int(tensors["step"]) == 3


def test_asset_is_built_once_and_found_again(local_store: Store) -> None:
    build = Builder()
    assert local_store.find("teachers", RECIPE) is None
    first = local_store.get_or_build("teachers", RECIPE, build)
    second = local_store.get_or_build("teachers", RECIPE, build)
    found = local_store.find("teachers", RECIPE)
    assert build.calls == 1
    assert found is not None
    assert (first.found, second.found, found.found) == (False, True, True)
    for asset in (first, second, found):
        assert asset.key == recipe_key(RECIPE)
        assert asset.info == INFO
        assert_whole(asset.tensors)


def test_kinds_do_not_share_assets(path_store: Store) -> None:
    build = Builder()
    path_store.get_or_build("teachers", RECIPE, build)
    assert path_store.find("pairs", RECIPE) is None
    path_store.get_or_build("pairs", RECIPE, build)
    assert build.calls == 2


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 17},
        {"data": "abd"},
        {"nested": {"rate": 0.1, "on": False}},
        {"nested": {"rate": 0.10000000000000002, "on": True}},
        {"more": None},
    ],
    ids=str,
)
def test_any_change_of_the_recipe_is_another_asset(
    path_store: Store, change: dict[str, Any]
) -> None:
    build = Builder()
    path_store.get_or_build("teachers", RECIPE, build)
    other = path_store.get_or_build("teachers", RECIPE | change, build)
    assert build.calls == 2
    assert other.key != recipe_key(RECIPE)


def test_order_of_the_recipe_does_not_matter() -> None:
    turned = dict(reversed(RECIPE.items()))
    assert list(turned) != list(RECIPE)
    assert recipe_key(turned) == recipe_key(RECIPE)
    assert len(recipe_key(RECIPE)) == 16
    int(recipe_key(RECIPE), 16)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x01
    path.write_bytes(bytes(content))


def replace_in(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


def blob_of(folder: Path) -> Path:
    """The file of the tensors of an asset, from the folder of its index entry."""
    (path,) = (folder.parents[1] / "blobs").iterdir()
    return path


Damage = Callable[[Path], object]

DAMAGE: dict[str, Damage] = {
    "first byte of the tensors": lambda folder: flip(blob_of(folder), 0),
    "a byte of the header": lambda folder: flip(blob_of(folder), 20),
    "a byte of a weight": lambda folder: flip(blob_of(folder), -4001),
    "last byte of the tensors": lambda folder: flip(blob_of(folder), -1),
    "tensors truncated": lambda folder: os.truncate(blob_of(folder), 500),
    "tensors empty": lambda folder: os.truncate(blob_of(folder), 0),
    "tensors missing": lambda folder: blob_of(folder).unlink(),
    "asset.json truncated": lambda folder: os.truncate(folder / "asset.json", 30),
    "asset.json empty": lambda folder: os.truncate(folder / "asset.json", 0),
    "asset.json not text": lambda folder: (folder / "asset.json").write_bytes(b"\xff\xfe\x00"),
    "asset.json without fields": lambda folder: (folder / "asset.json").write_text("{}"),
    "asset.json a list": lambda folder: (folder / "asset.json").write_text("[]"),
    "asset.json null": lambda folder: (folder / "asset.json").write_text("null"),
    "asset.json with another checksum": lambda folder: replace_in(
        folder / "asset.json", b'"sha256": "', b'"sha256": "0'
    ),
    "asset.json with another blob": lambda folder: replace_in(
        folder / "asset.json", b'"blob": "', b'"blob": "0'
    ),
    "asset.json with a number for a blob": lambda folder: (folder / "asset.json").write_text(
        '{"recipe": {}, "info": {}, "blob": 1, "sha256": ""}'
    ),
    "asset.json with another number": lambda folder: replace_in(
        folder / "asset.json", b"1.25", b"1.35"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_asset_is_rebuilt_loudly(
    path_store: Store, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    build = Builder()
    key = path_store.get_or_build("teachers", RECIPE, build).key
    root = path_store.storage.local_path
    assert root is not None
    DAMAGE[damage](root / "teachers" / key)
    with caplog.at_level(logging.WARNING):
        rebuilt = path_store.get_or_build("teachers", RECIPE, build)
    assert build.calls == 2
    assert not rebuilt.found
    assert_whole(rebuilt.tensors)
    assert rebuilt.info == INFO
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert any(f"teachers/{key}" in w and "damaged" in w for w in warnings)
    caplog.clear()
    healed = path_store.get_or_build("teachers", RECIPE, build)
    assert build.calls == 2
    assert healed.found
    assert_whole(healed.tensors)
    assert not caplog.records


def test_damaged_asset_is_not_found(path_store: Store) -> None:
    """`find` decides whether a sweep has to train a teacher."""
    key = path_store.get_or_build("teachers", RECIPE, Builder()).key
    root = path_store.storage.local_path
    assert root is not None
    flip(blob_of(root / "teachers" / key), -1)
    assert path_store.find("teachers", RECIPE) is None


def test_presence_asks_the_index_alone(path_store: Store) -> None:
    assert not path_store.has("teachers", RECIPE)
    key = path_store.get_or_build("teachers", RECIPE, Builder()).key
    assert path_store.has("teachers", RECIPE)
    root = path_store.storage.local_path
    assert root is not None
    blob_of(root / "teachers" / key).unlink()
    assert path_store.has("teachers", RECIPE)
    os.truncate(root / "teachers" / key / "asset.json", 30)
    assert not path_store.has("teachers", RECIPE)


def test_work_outlives_a_failure_and_not_a_success(path_store: Store) -> None:
    """A teacher's training continues from its checkpoint; nothing of it stays behind."""

    def fail(work: Storage) -> Built:
        work.write("checkpoint", b"half-way")
        raise RuntimeError("lost")

    def resume(work: Storage) -> Built:
        assert work.read("checkpoint") == b"half-way"
        return Builder()(work)

    with pytest.raises(RuntimeError, match="lost"):
        path_store.get_or_build("teachers", RECIPE, fail)
    assert path_store.find("teachers", RECIPE) is None
    key = path_store.get_or_build("teachers", RECIPE, resume).key
    names = path_store.storage.child("teachers", key).names()
    assert [name for name in names if not name.startswith(".")] == ["asset.json"]


def test_asset_describes_itself(path_store: Store) -> None:
    key = path_store.get_or_build("teachers", RECIPE, Builder()).key
    described = json.loads(path_store.storage.child("teachers", key).read("asset.json"))
    assert described["recipe"] == RECIPE
    assert described["info"] == INFO
    content = path_store.storage.child("blobs").read(f"{described['blob']}.safetensors")
    assert hashlib.sha256(content).hexdigest() == described["blob"]


def test_recipes_of_equal_content_share_a_blob(path_store: Store) -> None:
    first = path_store.get_or_build("teachers", RECIPE, Builder())
    second = path_store.get_or_build("teachers", RECIPE | {"channels": 17}, Builder())
    assert first.content == second.content
    assert path_store.storage.child("blobs").names() == [f"{first.content}.safetensors"]
    assert path_store.contents("teachers") == {
        first.key: first.content,
        second.key: first.content,
    }


def test_asset_of_an_earlier_version_is_read(path_store: Store) -> None:
    """They had their tensors beside the entry, and one checksum over both."""
    built = Builder()(path_store.storage)
    content = safetensors.torch.save({n: t.contiguous() for n, t in built.tensors.items()})
    said = json.dumps([RECIPE, INFO], sort_keys=True).encode()
    checksum = hashlib.sha256(content + said).hexdigest()
    entry = {"recipe": RECIPE, "info": INFO, "sha256": checksum}
    folder = path_store.storage.child("teachers", recipe_key(RECIPE))
    folder.write("tensors.safetensors", content)
    folder.write("asset.json", json.dumps(entry).encode())
    build = Builder()
    found = path_store.get_or_build("teachers", RECIPE, build)
    assert found.found
    assert found.content == hashlib.sha256(content).hexdigest()
    assert path_store.contents("teachers") == {found.key: found.content}
    assert path_store.has("teachers", RECIPE)
    assert_whole(found.tensors)
    folder.write("tensors.safetensors", content[:-1] + b"!")
    path_store.get_or_build("teachers", RECIPE, build)
    assert build.calls == 1
    assert path_store.storage.child("blobs").names() == [f"{found.content}.safetensors"]


def ask(root: Path, name: str, awaited: tuple[str, ...]) -> None:
    """Ask for an asset in a process of one's own, once some files are there."""

    def build(work: Storage) -> Built:
        found = work.read("checkpoint").decode() if work.exists("checkpoint") else "nothing"
        with (root / "log").open("a") as log:
            log.write(f"{name} continued from {found}\n")
        work.write("checkpoint", f"half of {name}".encode())
        (root / f"building-{name}").touch()
        time.sleep(600.0 if name == "doomed" else 0.5)
        return Builder()(work)

    (root / f"ready-{name}").touch()
    while not all((root / file).exists() for file in awaited):
        time.sleep(0.01)
    asset = Store(Storage.open(root / "store")).get_or_build("teachers", RECIPE, build)
    assert_whole(asset.tensors)
    (root / f"answer-{name}").write_text(str(asset.found))


def test_processes_that_ask_at_once_build_once_after_a_kill(tmp_path: Path) -> None:
    """One is killed while it builds and two wait for it: one of them takes over where it was."""
    ready = ("building-doomed", "ready-one", "ready-two")
    # Forked: three imports of torch would be most of the test.
    context = multiprocessing.get_context("fork")
    doomed, *askers = (
        context.Process(target=ask, args=(tmp_path, name, awaited))
        for name, awaited in (("doomed", ()), ("one", ready), ("two", ready))
    )
    try:
        for process in (doomed, *askers):
            process.start()
        deadline = time.monotonic() + 120.0
        while not all((tmp_path / file).exists() for file in ready):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        # The lock holds: nobody builds beside a living builder.
        assert len((tmp_path / "log").read_text().splitlines()) == 1
        assert doomed.pid is not None
        os.kill(doomed.pid, signal.SIGKILL)
        for process in (doomed, *askers):
            process.join(120.0)
    finally:
        for process in (doomed, *askers):
            process.kill()
            process.join()
    assert [process.exitcode for process in (doomed, *askers)] == [-signal.SIGKILL, 0, 0]
    answers = [(tmp_path / f"answer-{name}").read_text() for name in ("one", "two")]
    assert sorted(answers) == ["False", "True"]
    first, *others = (tmp_path / "log").read_text().splitlines()
    assert first == "doomed continued from nothing"
    assert len(others) == 1
    assert others[0].endswith("continued from half of doomed")
