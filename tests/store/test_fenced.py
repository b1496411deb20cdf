"""A process that was away replaces nothing that others have written since."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydistill.store.errors import SupersededError
from raydistill.store.fenced import FencedFolder
from raydistill.store.storage import Storage
from tests.s3.faults import Faults, Rule


@pytest.fixture(params=["disk", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "disk":
        return Storage.open(tmp_path / "trial")
    bucket: Storage = request.getfixturevalue("bucket")
    return bucket.child("trial")


def test_whoever_is_alone_writes_as_often_as_it_likes(folder: Storage) -> None:
    fenced = FencedFolder(folder.uri)
    with pytest.raises(FileNotFoundError):
        fenced.read("record")
    for content in (b"1", b"1", b"2", b"1"):
        fenced.write("record", content)
        assert folder.read("record") == fenced.read("record") == content


def test_who_comes_back_writes_nothing(folder: Storage) -> None:
    away = FencedFolder(folder.uri)
    with pytest.raises(FileNotFoundError):
        away.read("record")
    away.write("record", b"100 updates")

    successor = FencedFolder(folder.uri)
    assert successor.read("record") == b"100 updates"
    successor.write("record", b"200 updates")
    with pytest.raises(SupersededError, match="record: another process has written it meanwhile"):
        away.write("record", b"101 updates")
    successor.write("record", b"300 updates")
    assert folder.read("record") == b"300 updates"


def test_of_two_that_begin_together_one_is_refused(folder: Storage) -> None:
    first, second = FencedFolder(folder.uri), FencedFolder(folder.uri)
    for each in (first, second):
        with pytest.raises(FileNotFoundError):
            each.read("record")
    first.write("record", b"first")
    with pytest.raises(SupersededError):
        second.write("record", b"second")
    assert folder.read("record") == b"first"


def test_a_file_that_is_gone_is_another_version(folder: Storage) -> None:
    folder.write("record", b"1")
    fenced = FencedFolder(folder.uri)
    fenced.read("record")
    folder.delete("record")
    with pytest.raises(SupersededError):
        fenced.write("record", b"2")


def test_what_was_not_read_is_written_as_in_any_folder(folder: Storage) -> None:
    fenced = FencedFolder(folder.uri)
    fenced.write("samples.png", b"1")
    folder.write("samples.png", b"2")
    fenced.write("samples.png", b"3")
    fenced.child("events").write("one", b"4")
    assert folder.read("samples.png") == b"3"


def test_an_answer_that_was_lost_refuses_nobody(faults: Faults, bucket: Storage) -> None:
    fenced = FencedFolder(bucket.child("trial").uri)
    with pytest.raises(FileNotFoundError):
        fenced.read("record")
    for content in (b"1", b"2", b"3"):
        faults.inject(Rule("lose_answer", "PUT-IF .*record", times=1))
        fenced.write("record", content)
    assert [one.action for one in faults.passed()].count("lose_answer") == 3
    assert fenced.read("record") == b"3"
