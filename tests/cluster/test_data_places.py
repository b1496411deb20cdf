"""Where a sweep's data are read: on the one machine that there is, or staged for others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from raydistill.cluster.data_places import (
    PLACES,
    DataPlaces,
    check_places,
    place_data,
    read_places,
)
from raydistill.config.errors import ConfigError
from raydistill.data import staging
from raydistill.data.raw import DataError
from raydistill.record import Record
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial, space_of
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.book import TrialRun
from raydistill.trials.run import run_trial
from tests.data.test_staging import write_idx
from tests.helpers import merge
from tests.voices import small_trial, write_voices


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Storage.open(tmp_path / "results" / "store"))


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrialConfig:
    """A trial whose data lie in a folder of the driver, which it names as a relative one."""
    staging._fetched.cache_clear()
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "cache"))
    write_idx(tmp_path / "driver" / "mine")
    monkeypatch.chdir(tmp_path / "driver")
    return parse_trial({"data": {"name": "mnist", "root": "mine", "size": 8}})


def root_of(config: TrialConfig) -> str:
    """Where a trial reads; what it says of that is what the user gave."""
    assert config.model_dump()["data"]["root"] == "mine"
    assert config.data_folder is not None
    return config.data_folder


def test_on_one_machine_nothing_is_copied_and_folders_are_absolute(
    trial: TrialConfig, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = place_data([trial], DataPlaces(), store, elsewhere=False)
    assert store.storage.names() == []
    monkeypatch.chdir("/")
    assert root_of(places.here(trial, store)) == str(tmp_path / "driver" / "mine")
    shutil.rmtree(tmp_path / "driver")
    with pytest.raises(DataError, match=r"data\.root: .*mine is not on .* --resume"):
        places.here(trial, store)


def test_for_other_machines_they_are_staged_and_read_there(
    trial: TrialConfig, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller = parse_trial({"data": {"name": "mnist", "root": "mine", "size": 4}})
    said: list[str] = []
    places = place_data([trial, smaller], DataPlaces(), store, elsewhere=True, say=said.append)
    assert set(said) == {"data set mnist: its 4 files are in the store, for all machines"}
    assert len(store.storage.child(staging.KIND).names()) == 1
    monkeypatch.chdir("/")
    shutil.rmtree(tmp_path / "driver")
    there = root_of(places.here(trial, store))
    assert Path(there).is_relative_to(tmp_path / "cache")
    assert root_of(places.here(smaller, store)) == there
    check_places([places.here(trial, store)], DataPlaces())


def test_what_is_said_of_speech_that_is_read_elsewhere_is_what_the_user_gave(
    tmp_path: Path,
) -> None:
    write_voices(tmp_path / "copy", 0.45)
    trial = parse_trial(small_trial(tmp_path / "given"))
    moved = trial.reading_from(str(tmp_path / "copy"))
    assert moved.to_json() == trial.to_json()
    check_places([moved], DataPlaces())
    with pytest.raises(DataError):
        check_places([trial], DataPlaces())
    assert space_of(moved).model_dump()["data"]["root"] == str(tmp_path / "given")


def test_sets_that_come_with_packages_stay_where_they_are(store: Store) -> None:
    digits = parse_trial({"data": {"name": "digits", "size": 8}, "student": {"kind": "resnet"}})
    gaussian = parse_trial({"task": "gaussian", "dimension": 4})
    places = place_data([digits, gaussian], DataPlaces(), store, elsewhere=True)
    assert places == DataPlaces()
    for config in (digits, gaussian):
        assert places.here(config, store) is config


def test_a_head_that_takes_over_needs_no_data(
    trial: TrialConfig, store: Store, tmp_path: Path
) -> None:
    sweep = Storage.open(tmp_path / "results" / "sweep")
    sweep.write(PLACES, place_data([trial], DataPlaces(), store, elsewhere=True).to_json().encode())
    shutil.rmtree(tmp_path / "driver" / "mine")
    with pytest.raises(DataError):
        check_places([trial], DataPlaces())
    before = read_places(sweep)
    check_places([trial], before)
    assert place_data([trial], before, store, elsewhere=True) == before
    assert place_data([trial], before, store, elsewhere=False) == before


def test_data_that_changed_since_the_sweep_began_are_refused(
    trial: TrialConfig, store: Store
) -> None:
    before = place_data([trial], DataPlaces(), store, elsewhere=True)
    shutil.rmtree("mine")
    write_idx(Path("mine"), count=90)
    with pytest.raises(ConfigError, match=r"data\.root: .*another --name"):
        place_data([trial], before, store, elsewhere=True)


@pytest.mark.slow
def test_a_trial_comes_to_the_same_to_the_last_bit(
    smoke_values: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trial: TrialConfig,
) -> None:
    small = parse_trial(merge(smoke_values, {"data": trial.model_dump()["data"]}))

    def record(name: str, places: DataPlaces, store: Store) -> Record:
        def here(config: TrialConfig) -> TrialConfig:
            return places.here(config, store)

        return run_trial(small, TrialRun("one", Storage.open(tmp_path / name), store, here=here))

    mine, theirs = (Store(Storage.open(tmp_path / name / "store")) for name in ("mine", "theirs"))
    at_home = record("mine", place_data([small], DataPlaces(), mine, elsewhere=False), mine)
    places = place_data([small], DataPlaces(), theirs, elsewhere=True)
    shutil.rmtree(tmp_path / "driver")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    travelled = record("theirs", places, theirs)
    assert travelled.status == "finished"
    for part in ("config", "teacher", "history", "reference"):
        assert getattr(travelled, part) == getattr(at_home, part)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"staged": 1}', b"\xff"])
def test_a_damaged_list_is_as_none(tmp_path: Path, content: bytes) -> None:
    sweep = Storage.open(tmp_path)
    sweep.write(PLACES, content)
    assert read_places(sweep) == DataPlaces()
    assert read_places(sweep.child("absent")) == DataPlaces()
