"""One driver at a time owns a sweep: holders that live, die, hang, and are replaced."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raydistill.store.lease import (
    LEASE,
    Holder,
    Lease,
    LeaseHeldError,
    lock_identity,
    read_holder,
)
from raydistill.store.storage import Storage

SECONDS = 1.0

HOLDER = """
import sys
from raydistill.store.lease import Lease
from raydistill.store.storage import Storage
lease = Lease(Storage.open(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
lease.acquire(print)
print("holds", flush=True)
sys.stdin.readline()
print(lease.lost or "still mine", flush=True)
"""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path) -> Storage:
    return Storage.open(tmp_path)


@pytest.fixture
def holder(folder) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder.uri, "elsewhere", str(SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def held(folder: Storage) -> dict:
    return json.loads(folder.read(LEASE))


def test_a_second_driver_is_refused_and_told_who_has_it(folder, holder):
    said: list[str] = []
    with pytest.raises(LeaseHeldError, match=rf"^process {holder.pid} on "):
        Lease(folder, "here", SECONDS).acquire(said.append)
    assert len(said) == 1
    assert f"process {holder.pid}" in said[0]


def test_a_driver_that_was_killed_is_replaced_after_its_time(folder, holder):
    holder.kill()
    holder.wait()
    lease = Lease(folder, "here", SECONDS)
    began = time.monotonic()
    lease.acquire(lambda line: None)
    assert time.monotonic() - began >= SECONDS
    assert not lease.lost
    lease.release()


def test_a_driver_that_was_killed_on_this_machine_is_replaced_at_once(folder, holder):
    """The lock of the kernel that it held is ours now, so that it cannot live."""
    holder.kill()
    said: list[str] = []
    lease = Lease(folder, "elsewhere", SECONDS)
    lease.acquire(said.append)
    assert said == []
    lease.release()


def test_a_driver_that_hangs_is_replaced_and_stops_when_it_wakes(folder, holder):
    holder.send_signal(signal.SIGSTOP)
    lease = Lease(folder, "here", SECONDS)
    lease.acquire(lambda line: None)
    holder.send_signal(signal.SIGCONT)
    answer, _ = holder.communicate("\n", timeout=10)
    assert answer != "still mine\n"
    time.sleep(SECONDS)
    assert not lease.lost
    assert held(folder)["process"] == os.getpid()
    lease.release()


def test_it_is_free_once_it_is_released(folder):
    for _ in range(2):
        lease = Lease(folder, "here", SECONDS)
        lease.acquire(pytest.fail)
        assert held(folder)["host"]
        lease.release()
        assert held(folder)["owner"] == ""


def test_of_many_that_want_a_dead_driver_s_sweep_one_gets_it(folder):
    folder.create(LEASE, json.dumps({"owner": "dead", "seconds": SECONDS}).encode())
    leases = [Lease(folder, f"machine {n}", SECONDS) for n in range(6)]
    got: list[Lease] = []

    def contend(lease: Lease) -> None:
        try:
            lease.acquire(lambda line: None)
        except LeaseHeldError:
            return
        got.append(lease)

    threads = [threading.Thread(target=contend, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    got[0].release()


def test_a_holder_that_finds_another_stops(folder):
    lease = Lease(folder, "here", SECONDS)
    lease.acquire(pytest.fail)
    folder.write(LEASE, json.dumps({"owner": "b", "host": "far", "process": 7}).encode())
    wait_for(lambda: lease.lost)
    assert lease.lost == "process 7 on far has taken it over"
    lease.release()
    assert held(folder)["owner"] == "b"  # and leaves it alone


def test_a_holder_whose_bucket_is_out_of_reach_stops_before_others_may_begin(folder):
    lease = Lease(folder, "here", SECONDS)
    lease.acquire(pytest.fail)
    place = Path(folder.uri)
    place.rename(place.with_name("unreachable"))
    place.write_text("no folder")
    began = time.monotonic()
    wait_for(lambda: lease.lost)
    assert time.monotonic() - began < SECONDS
    assert "could not be renewed" in lease.lost
    place.unlink()
    place.with_name("unreachable").rename(place)


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"[]", b'{"owner": 3, "seconds": "x"}', b'{"unknown": 1}',
     b'{"owner": "a", "host": "b\\nc", "seconds": 1e99}'],
)  # fmt: skip
def test_a_lease_that_is_damaged_belongs_to_somebody(folder, content):
    folder.write(LEASE, content)
    holder = read_holder(folder.read_tagged(LEASE))
    assert holder.owner
    assert "\n" not in holder.describe()


def test_a_damaged_lease_ends_too(folder):
    folder.write(LEASE, b"garbage")
    said: list[str] = []
    lease = Lease(folder, "here", SECONDS)
    lease.acquire(said.append, longest=SECONDS)
    assert len(said) == 1
    lease.release()


def test_a_lock_is_known_by_its_file(tmp_path):
    for name in "ab":
        (tmp_path / name).touch()
    names = {lock_identity(tmp_path / name) for name in "aab"}
    assert len(names) == 2
    assert pickle.loads(pickle.dumps(Holder("a"))) == Holder("a")
