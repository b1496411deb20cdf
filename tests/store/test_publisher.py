"""The thread that publishes a journal: through failures, until the lease is lost, to the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raydistill.store.journal import Journal
from raydistill.store.lease import Lease
from raydistill.store.publisher import Publisher
from raydistill.store.segments import SegmentWriter, read_published
from raydistill.store.storage import Storage


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("PERIOD", 0.05), ("SILENT", 0.2), ("LAST_SECONDS", 0.3)):
        monkeypatch.setattr(f"raydistill.store.publisher.{name}", seconds)


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path / "driver" / "study.journal")


@pytest.fixture
def bucket(tmp_path) -> Storage:
    return Storage.open(tmp_path / "bucket")


@pytest.fixture
def lease(bucket) -> Iterator[Lease]:
    lease = Lease(bucket, "here")
    lease.acquire(pytest.fail)
    yield lease
    lease.release()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def publisher(journal, bucket, lease, said) -> Publisher:
    writer = SegmentWriter(bucket, read_published(bucket))
    made = Publisher(journal.path, writer, lease, said.append)
    made.start()
    return made


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def published(bucket: Storage) -> bytes:
    return read_published(bucket).journal


def test_what_is_appended_is_published_without_the_rest_of_a_line(journal, bucket, publisher):
    journal.append([{"line": 0}])
    with journal.path.open("ab") as stream:
        stream.write(b'{"line"')
    wait_for(lambda: published(bucket) == b'{"line":0}\n')
    with journal.path.open("ab") as stream:
        stream.write(b": 1}\n")
    assert publisher.close() == ""
    assert published(bucket) == journal.path.read_bytes()


def test_a_bucket_that_fails_is_tried_again_and_mentioned_after_a_while(
    journal, bucket, publisher, said
):
    segments = Path(bucket.uri) / "study"
    segments.write_text("no folder")
    journal.append([{"line": 0}])
    wait_for(lambda: said)
    assert "the sweep goes on" in said[0]
    assert len(said) == 1
    segments.unlink()
    wait_for(lambda: len(said) == 2)
    assert "takes the study again" in said[1]
    assert publisher.close() == ""
    assert published(bucket) == journal.path.read_bytes()


def test_the_end_says_what_the_bucket_lacks(journal, bucket, publisher, said):
    (Path(bucket.uri) / "study").write_text("no folder")
    journal.append([{"line": 0}, {"line": 1}])
    lacking = publisher.close()
    assert "lacks the last 2 lines of the study" in lacking
    assert str(journal.path) in lacking
    assert "\n" not in lacking


def test_nothing_is_published_once_the_lease_is_lost(journal, bucket, publisher, lease):
    lease.lose("for a test")
    journal.append([{"line": 0}])
    assert publisher.close() == ""
    assert published(bucket) == b""


def test_lines_of_another_driver_end_it(journal, bucket, publisher, lease):
    SegmentWriter(bucket, read_published(bucket)).publish(b'{"other": 0}\n')
    journal.append([{"line": 0}])
    wait_for(lambda: lease.lost)
    assert "another driver has written the segment 0000000000.0" in lease.lost
    assert publisher.close() == ""
    assert published(bucket) == b'{"other": 0}\n'
