"""Files kept on a machine's disk: by content, checked, bounded, shared by processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from raydistill.store.node_cache import cache_folder, cached, keep
from raydistill.store.storage import StorageError

CONTENT = b"weights" * 1000


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


DIGEST = digest_of(CONTENT)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAYDISTILL_CACHE_GB", raising=False)
    return tmp_path / "cache" / "blobs"


def never() -> bytes:
    raise AssertionError("it is on the disk")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_content_is_fetched_once(folder: Path) -> None:
    assert cached(DIGEST, lambda: CONTENT) == CONTENT
    assert cached(DIGEST, never) == CONTENT
    assert files(folder) == [f"{DIGEST}.blob"]


def test_what_was_made_here_is_not_fetched() -> None:
    keep(DIGEST, CONTENT)
    assert cached(DIGEST, never) == CONTENT


def test_folder_is_the_user_s_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAYDISTILL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "raydistill"


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_damaged_file_is_fetched_again(folder: Path, damage: str) -> None:
    cached(DIGEST, lambda: CONTENT)
    path = folder / f"{DIGEST}.blob"
    path.write_bytes({"flipped": b"!" + CONTENT[1:], "cut": CONTENT[:-1], "empty": b""}[damage])
    assert cached(DIGEST, lambda: CONTENT) == CONTENT
    assert cached(DIGEST, never) == CONTENT


def test_what_cannot_be_fetched_is_not_kept(folder: Path) -> None:
    def fail() -> bytes:
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        cached(DIGEST, fail)
    assert files(folder) == []


def test_least_recently_used_files_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [bytes([number]) * 1000 for number in range(5)]
    monkeypatch.setenv("RAYDISTILL_CACHE_GB", "3e-6")  # three of them
    for age, content in enumerate(contents[:3]):
        keep(digest_of(content), content)
        then = time.time() - 100.0 + age
        os.utime(folder / f"{digest_of(content)}.blob", (then, then))
    cached(digest_of(contents[0]), never)  # used again
    for content in contents[3:]:
        keep(digest_of(content), content)
    kept = [contents[0], *contents[3:]]
    assert files(folder) == sorted(f"{digest_of(content)}.blob" for content in kept)
    keep(DIGEST, CONTENT)  # larger than all that may be kept
    assert len(files(folder)) == 3


def test_nothing_is_kept_if_nothing_may(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYDISTILL_CACHE_GB", "0")
    keep(DIGEST, CONTENT)
    assert cached(DIGEST, lambda: CONTENT) == CONTENT
    assert not folder.exists()


@pytest.mark.parametrize("size", ["plenty", "inf", "nan"])
def test_size_that_is_no_number_is_refused(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYDISTILL_CACHE_GB", size)
    with pytest.raises(StorageError, match=f"^RAYDISTILL_CACHE_GB: '{size}' is no number"):
        cached(DIGEST, lambda: CONTENT)


def ask(log: Path) -> None:
    def fetch() -> bytes:
        with log.open("a") as stream:
            stream.write("fetched\n")
        time.sleep(0.3)
        return CONTENT

    assert cached(DIGEST, fetch) == CONTENT


def test_processes_that_ask_at_once_fetch_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=ask, args=(tmp_path / "log",)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60.0)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "log").read_text() == "fetched\n"
