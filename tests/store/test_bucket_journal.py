"""The lease and the journal's segments in a real bucket, through what buckets do to requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from raydistill.store.journal import Journal
from raydistill.store.lease import LEASE, Lease, LeaseHeldError
from raydistill.store.publisher import Publisher
from raydistill.store.segments import OtherWriterError, SegmentWriter, read_published
from raydistill.store.storage import Storage
from tests.s3.faults import Faults, Rule


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@pytest.fixture
def folder(bucket: Storage) -> Storage:
    return bucket.child("sweep")


def test_one_of_many_drivers_owns_a_bucket_s_sweep(folder: Storage) -> None:
    got: list[Lease] = []

    def contend(number: int) -> None:
        lease = Lease(folder, f"machine {number}", 2.0)
        try:
            lease.acquire(lambda line: None)
        except LeaseHeldError:
            return
        got.append(lease)

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (lease,) = got
    assert not lease.lost
    lease.release()
    Lease(folder, "another machine", 2.0).acquire(pytest.fail)  # free at once


def test_a_lease_outlives_answers_that_are_lost_and_ends_with_the_bucket(
    folder: Storage, faults: Faults
) -> None:
    lease = Lease(folder, "here", 2.0)
    faults.inject(Rule("lose_answer", f"PUT-IF .*{LEASE}", times=1))
    lease.acquire(pytest.fail)
    faults.inject(Rule("lose_answer", f"PUT-IF .*{LEASE}", times=2))
    time.sleep(1.0)
    assert not lease.lost
    faults.inject(Rule("drop", LEASE))
    wait_for(lambda: lease.lost)
    assert "could not be renewed" in lease.lost
    faults.inject()


@pytest.mark.parametrize("fault", ["refuse", "lose_answer", "cut_upload"])
def test_segments_survive_failures_of_single_requests(
    folder: Storage, faults: Faults, fault: str
) -> None:
    writer = SegmentWriter(folder, read_published(folder))
    content = b""
    for line in range(4):
        body = b'{"line": %d}\n' % line
        faults.inject(Rule(fault, r"PUT.*study", times=1))
        writer.publish(body)
        content += body
    assert read_published(folder).journal == content
    assert len(folder.child("study").names()) == 4


def test_two_drivers_collide_in_a_bucket(folder: Storage) -> None:
    one, other = (SegmentWriter(folder, read_published(folder)) for _ in range(2))
    one.publish(b'{"line": 0}\n')
    with pytest.raises(OtherWriterError):
        other.publish(b'{"other": 0}\n')


def test_a_journal_costs_a_request_for_each_second_of_news(
    folder: Storage, faults: Faults, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydistill.store.publisher.PERIOD", 0.2)
    journal = Journal(tmp_path / "study.journal")
    lease = Lease(folder, "here")
    lease.acquire(pytest.fail)
    publisher = Publisher(
        journal.path, SegmentWriter(folder, read_published(folder)), lease, pytest.fail
    )
    publisher.start()
    faults.forget()
    began = time.monotonic()
    for number in range(200):
        journal.append([{"line": number}])
        time.sleep(0.005)
    assert publisher.close() == ""
    sent = [p for p in faults.passed() if "/study/" in p.path]
    assert {p.kind for p in sent} == {"PUT-IF"}
    assert len(sent) <= (time.monotonic() - began) / 0.2 + 2
    assert read_published(folder).journal == journal.path.read_bytes()
    lease.release()
