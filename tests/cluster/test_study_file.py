"""Where a sweep's journal lies, and which of two copies a driver goes on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raydistill.cluster.study_file import driver_folder, study_file, take_longer
from raydistill.store.journal import Journal
from raydistill.store.lease import Lease
from raydistill.store.segments import SegmentWriter, read_published
from raydistill.store.storage import Storage


def records(*numbers: int) -> bytes:
    return b"".join(
        json.dumps({"op_code": 4, "worker_id": "a", "n": n}).encode() + b"\n" for n in numbers
    )


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "cache" / "study.journal"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.mark.parametrize("published", [b"", records(0), records(0, 1)])
def test_this_machine_s_copy_is_taken_where_it_extends_the_bucket_s(path, said, published):
    path.parent.mkdir()
    path.write_bytes(records(0, 1))
    take_longer(path, published, said.append)
    assert path.read_bytes() == records(0, 1)
    assert said == []


@pytest.mark.parametrize("own", [None, b"", records(0)])
def test_the_bucket_s_copy_is_taken_where_it_extends_this_machine_s(path, said, own):
    path.parent.mkdir()
    if own is not None:
        path.write_bytes(own)
    take_longer(path, records(0, 1), said.append)
    assert path.read_bytes() == records(0, 1)
    assert said == []


def test_where_they_part_the_bucket_s_is_taken_and_the_other_is_kept(path, said):
    path.parent.mkdir()
    for number in (1, 2):
        path.write_bytes(records(0, 7))
        take_longer(path, records(0, 1), said.append)
        assert path.read_bytes() == records(0, 1)
        assert path.with_name(f"study.journal.aside-{number}").read_bytes() == records(0, 7)
        assert f"aside-{number}" in said[-1]
    assert len(said) == 2


def test_a_torn_copy_is_healed_first(path, said):
    path.parent.mkdir()
    path.write_bytes(records(0, 1, 2)[:-9])
    take_longer(path, records(0), said.append)
    assert path.read_bytes() == records(0, 1)
    assert len(said) == 1


def test_a_damaged_copy_gives_way_to_the_bucket_s(path, said):
    path.parent.mkdir()
    path.write_bytes(records(0) + b"damage\n" + records(1))
    take_longer(path, records(0), said.append)
    assert path.read_bytes() == records(0)
    assert "line 2 of 3" in said[0]
    assert "aside-1" in said[0]


def test_the_journal_of_a_local_sweep_lies_in_its_folder(tmp_path):
    folder = Storage.open(tmp_path)
    with study_file(folder, None, new=True, say=pytest.fail) as path:
        assert path == tmp_path / "study.journal"


def test_a_sweep_in_a_bucket_has_one_place_on_a_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path))
    one, same, other = (driver_folder(Storage(f"s3://bucket/{n}")) for n in ("a", "a", "b"))
    assert one == same != other
    assert one.is_relative_to(tmp_path)


def test_what_a_driver_writes_is_what_the_next_one_finds(tmp_path, monkeypatch, said):
    """The bucket is a folder here: tests/s3 has a real one."""
    monkeypatch.setattr("raydistill.cluster.study_file.driver_folder", lambda f: tmp_path / "head")
    folder = Storage.open(tmp_path / "bucket")
    lease = Lease(folder, "here")
    lease.acquire(pytest.fail)
    SegmentWriter(folder, read_published(folder)).publish(records(0))
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "study.journal").write_bytes(records(5))  # of a sweep deleted since
    with study_file(folder, lease, new=True, say=said.append) as path:
        assert path.read_bytes() == records(0)
        Journal(path).append([{"op_code": 4, "worker_id": "a", "n": 1}])
    assert read_published(folder).journal == path.read_bytes()
    assert path.read_bytes().count(b"\n") == 2
    assert said == []
    lease.release()
