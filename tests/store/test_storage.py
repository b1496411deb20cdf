"""Folders behind one interface: atomic writes, clear errors, a path and its file:// URI alike."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raydistill.store.storage import Storage, StorageError

SIZE = 2_000_000

WRITER = f"""
import sys
from raydistill.store.storage import Storage

storage = Storage.open(sys.argv[1])
while True:
    for byte in (b"a", b"b", b"c"):
        storage.write("target", byte * {SIZE})
"""


@pytest.fixture(params=["path", "uri"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """The same folder, that does not exist yet, by its path and by its URI."""
    path = tmp_path / "results" / "sweep"
    return Storage.open(path if request.param == "path" else path.as_uri())


def test_what_is_written_is_read(folder: Storage, tmp_path: Path) -> None:
    assert not folder.exists()
    assert not folder.exists("a.bin")
    assert folder.names() == []
    folder.write("a.bin", b"\x00first")
    folder.write("a.bin", b"second\xff")
    assert folder.read("a.bin") == b"second\xff"
    assert (tmp_path / "results" / "sweep" / "a.bin").read_bytes() == b"second\xff"
    assert folder.exists()
    assert folder.exists("a.bin")
    assert folder.names() == ["a.bin"]  # and nothing that a write left behind


def test_children_are_folders_inside(folder: Storage, tmp_path: Path) -> None:
    child = folder.child("trials", "one")
    child.write("b.bin", b"b")
    assert (tmp_path / "results" / "sweep" / "trials" / "one" / "b.bin").read_bytes() == b"b"
    assert folder.names() == ["trials"]
    assert folder.child("trials").names() == ["one"]
    assert folder.child("trials").child("one") == child
    assert folder.child("trials", "one").read("b.bin") == b"b"


def test_deleting_is_of_one_name_or_of_all(folder: Storage) -> None:
    folder.write("a.bin", b"a")
    folder.write("b.bin", b"b")
    folder.child("inner").write("c.bin", b"c")
    folder.delete("a.bin")
    folder.delete("a.bin")  # absent: nothing happens
    assert folder.names() == ["b.bin", "inner"]
    folder.delete("inner")
    assert folder.names() == ["b.bin"]
    folder.delete()
    assert not folder.exists()
    folder.delete()


def test_absent_file_is_file_not_found(folder: Storage) -> None:
    folder.write("a.bin", b"a")
    with pytest.raises(FileNotFoundError):
        folder.read("b.bin")


def test_folder_that_can_be_written_passes_the_check(folder: Storage) -> None:
    folder.check_writable()
    assert folder.names() == []


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Below a regular file: no user can write there, not even root, who runs tests in CI."""
    (tmp_path / "file").write_text("in the way")
    for location in (tmp_path / "file" / "results", (tmp_path / "file" / "results").as_uri()):
        with pytest.raises(StorageError) as caught:
            Storage.open(location).check_writable()
        message = str(caught.value)
        assert message.startswith("storage_path: ")
        assert str(tmp_path / "file" / "results") in message
        assert "cannot be written" in message
        assert "give a folder that you own" in message
        assert "\n" not in message


@pytest.mark.parametrize("location", ["foo://bucket/path", "http://host/path"])
def test_unknown_scheme_is_refused(location: str) -> None:
    with pytest.raises(StorageError, match=rf"^storage_path: '{location}' .*s3://bucket/path"):
        Storage.open(location)


def test_relative_paths_do_not_follow_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker starts in another directory than the driver."""
    monkeypatch.chdir(tmp_path)
    storage = Storage.open("results")
    monkeypatch.chdir("/")
    storage.write("a.bin", b"a")
    assert (tmp_path / "results" / "a.bin").read_bytes() == b"a"
    assert Storage.open(tmp_path / "results" / ".." / "results") == storage


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Storage.open("~/results").local_path == tmp_path / "results"


def test_path_and_uri_both_know_their_local_path(folder: Storage, tmp_path: Path) -> None:
    """Locks, TensorBoard events and atomic writes need it."""
    assert folder.local_path == tmp_path / "results" / "sweep"


def test_storage_travels(folder: Storage) -> None:
    assert pickle.loads(pickle.dumps(folder)) == folder


def test_failed_write_leaves_the_old_file_and_no_partial_one(folder: Storage) -> None:
    folder.write("a.bin", b"old")
    with pytest.raises(TypeError):
        folder.write("a.bin", "not bytes")  # type: ignore[arg-type]
    assert folder.read("a.bin") == b"old"
    assert folder.names() == ["a.bin"]


@contextmanager
def writer(location: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that overwrites one file as fast as it can, once its first version is there."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, location])
    try:
        target = Storage.open(location)
        deadline = time.monotonic() + 60.0
        while not target.exists("target"):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def assert_whole(content: bytes) -> None:
    assert len(content) == SIZE
    assert content.count(content[:1]) == SIZE


@pytest.mark.parametrize("form", ["path", "uri"])
def test_no_reader_and_no_crash_ever_sees_a_part(tmp_path: Path, form: str) -> None:
    """Read while a real process writes, then kill it at a moment that nobody chose."""
    # The folder exists, so that this test is of atomicity alone.
    tmp_path.joinpath("target-folder").mkdir()
    path = tmp_path / "target-folder"
    location = str(path) if form == "path" else path.as_uri()
    with writer(location) as process:
        seen = set()
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            content = (path / "target").read_bytes()
            assert_whole(content)
            seen.add(content[:1])
        assert len(seen) > 1  # it really was overwritten meanwhile
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert_whole((path / "target").read_bytes())
    # What is visible is whole; what a kill may leave is hidden, and no later write trips over it.
    assert [name for name in Storage.open(location).names() if not name.startswith(".")] == [
        "target"
    ]
    Storage.open(location).write("target", b"later")
    assert Storage.open(location).read("target") == b"later"


def test_create_writes_once(folder: Storage) -> None:
    assert folder.create("lease", b"one")
    assert not folder.create("lease", b"two")
    assert folder.read("lease") == b"one"
    assert folder.names() == ["lease"]


def test_replace_writes_over_the_version_that_was_read(folder: Storage) -> None:
    assert not folder.replace("lease", b"one", "tag")
    folder.write("lease", b"one")
    seen = folder.read_tagged("lease")
    assert seen.content == b"one"
    assert folder.replace("lease", b"two", seen.tag)
    assert not folder.replace("lease", b"three", seen.tag)
    assert folder.read("lease") == b"two"
    folder.delete("lease")
    assert not folder.replace("lease", b"four", seen.tag)
    with pytest.raises(FileNotFoundError):
        folder.read_tagged("lease")


CONTENDER = """
import sys
from raydistill.store.storage import Storage

storage, tag, own = Storage.open(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
tags = storage.create("lease", own), storage.replace("begun", own, tag)
print(*(each is not None for each in tags))
"""


def test_of_processes_that_write_at_once_one_succeeds(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    storage.write("begun", b"")
    tag = storage.read_tagged("begun").tag
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, str(tmp_path), tag, str(index)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(4)
    ]
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    for name, successes in zip(("lease", "begun"), zip(*said, strict=True), strict=True):
        (winner,) = [index for index, success in enumerate(successes) if success == "True"]
        assert storage.read(name) == str(winner).encode()


def test_parent_and_name_undo_child(folder: Storage) -> None:
    child = folder.child("trials", "one")
    assert child.name == "one"
    assert child.parent == folder.child("trials")
    root = Storage.open("/")
    assert root.parent is None
