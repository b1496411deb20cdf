"""Assets in a bucket: one of several builders commits, and a machine fetches a blob once."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from raydistill.store.assets import Asset, Built, Store
from raydistill.store.storage import Storage
from tests.s3.faults import Faults, Rule

RECIPE: dict[str, Any] = {"channels": 16}


def weights(value: float) -> Built:
    return Built({"weights": torch.full((40,), value)}, {"value": value})


@pytest.fixture
def store(bucket: Storage) -> Store:
    return Store(bucket.child("store"))


def build_at_once(stores: list[Store]) -> list[Asset]:
    """Build a recipe by several builders, none of which commits before all have begun."""
    all_here = threading.Barrier(len(stores))
    found: list[Asset] = []

    def ask(number: int, store: Store) -> None:
        def build(work: Storage) -> Built:
            work.write("checkpoint", b"half-way")
            all_here.wait(timeout=30.0)
            return weights(float(number))

        found.append(store.get_or_build("teachers", RECIPE, build))

    threads = [
        threading.Thread(target=ask, args=(number, store)) for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_builders_with_unequal_weights_one_commits_and_the_others_take_its(
    store: Store,
) -> None:
    """As of two devices, or two sweeps that start at once."""
    found = build_at_once([store, store, store])
    assert len({asset.content for asset in found}) == 1
    assert sorted(asset.found for asset in found) == [False, True, True]
    for asset in (*found, store.find("teachers", RECIPE)):
        assert asset is not None
        assert torch.equal(asset.tensors["weights"], torch.full((40,), asset.info["value"]))
        assert asset.info == found[0].info
    assert store.storage.child("teachers", found[0].key).names() == ["asset.json"]


def test_builder_whose_commit_is_not_answered_has_committed(store: Store, faults: Faults) -> None:
    faults.inject(Rule("lose_answer", "PUT-IF", times=1), Rule("refuse", "PUT .*blobs", times=1))
    built = store.get_or_build("teachers", RECIPE, lambda work: weights(1.0))
    assert not built.found
    found = store.find("teachers", RECIPE)
    assert found is not None
    assert found.content == built.content


@pytest.mark.parametrize("what", ["entry", "blob"])
def test_damage_in_a_bucket_is_built_again(
    store: Store,
    what: str,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = store.get_or_build("teachers", RECIPE, lambda work: weights(1.0))
    folder = store.storage.child("teachers", built.key)
    if what == "entry":
        folder.write("asset.json", folder.read("asset.json")[:-9])
    else:
        store.storage.child("blobs").write(f"{built.content}.safetensors", b"cut")
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "another machine"))
    found = build_at_once([store, store])
    assert len({asset.content for asset in found}) == 1
    assert sorted(asset.found for asset in found) == [False, True]
    assert "is damaged" in caplog.text
    again = store.find("teachers", RECIPE)
    assert again is not None
    assert again.content == found[0].content


def test_a_service_that_falters_is_no_damage(store: Store, faults: Faults) -> None:
    """An asset is never built again, for hours perhaps, since a bucket was not reached."""
    store.get_or_build("teachers", RECIPE, lambda work: weights(1.0))
    faults.inject(Rule("refuse", "GET", times=3), Rule("cut_download", "GET", times=2))
    found = store.get_or_build("teachers", RECIPE, lambda work: weights(2.0))
    assert found.found
    assert found.info == {"value": 1.0}


def test_presence_is_one_small_request_and_a_warm_machine_fetches_no_blob(
    store: Store, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not store.has("teachers", RECIPE)
    store.get_or_build("teachers", RECIPE, lambda work: weights(1.0))
    # A look at the index, then the blob, the entry, and a look for checkpoints to remove.
    assert faults.counts() == {"GET": 2, "LIST": 1, "PUT": 1, "PUT-IF": 1}
    faults.forget()
    assert store.has("teachers", RECIPE)
    (asked,) = faults.passed()
    assert (asked.kind, asked.path.rpartition("/")[2]) == ("GET", "asset.json")
    faults.forget()
    store.find("teachers", RECIPE)
    assert faults.counts() == {"GET": 1}  # what this machine has built it has kept
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "another machine"))
    faults.forget()
    store.find("teachers", RECIPE)
    store.find("teachers", RECIPE)
    assert faults.counts() == {"GET": 3}


def test_machine_without_room_for_a_cache_fetches_and_says_so_once(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING):
        store.get_or_build("teachers", RECIPE, lambda work: weights(1.0))
        for _ in range(3):
            found = store.find("teachers", RECIPE)
            assert found is not None
            assert found.info == {"value": 1.0}
    assert caplog.text.count("give RAYDISTILL_CACHE with a folder that can be written") == 1
