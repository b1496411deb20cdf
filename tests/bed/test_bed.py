"""The bed itself: hosts are apart, and nothing is left of one, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bed.bed import BELOW, HEAD, PREFIX, ROOT, WORKERS, Bed, address, open_bed
from tests.bed.bucket import FOLDER, open_bucket, shell, storage
from tests.bed.network import ADDRESSES
from tests.s3.faults import Rule

WRITE = """
from raydistill.store.storage import Storage
Storage.open("{storage}").write("kept", b"whole")
"""
HELD = """
import sys, time
from tests.bed.bed import open_bed
with open_bed() as bed:
    print(bed.folder, *[pid for host in bed.hosts.values() for pid in host.pids], flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def bed():
    with open_bed(shell()) as bed:
        yield bed


def traces(folder: Path, pids: list[int]) -> list[str]:
    """What is left of a bed on this machine."""
    found = [str(folder)] if folder.exists() else []
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if PREFIX in line]
    found += [f"process {pid}" for pid in pids if Path(f"/proc/{pid}").exists()]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().decode()
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found


def links() -> str:
    """The machine's own network."""
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def test_hosts_have_a_name_a_home_and_temporary_folders_of_their_own(bed: Bed) -> None:
    for host in bed.hosts.values():
        host.write("~/mark", host.name)
        host.write("/tmp/mark", host.name)
        host.write("/dev/shm/mark", host.name)
    for host in bed.hosts.values():
        read = host.run("hostname; for f in ~ /tmp /dev/shm; do cat $f/mark; echo; done").stdout
        assert read.split() == [host.name] * 4


def test_hosts_see_no_process_but_their_own_and_write_on_no_disk_that_another_reads(bed: Bed):
    assert int(bed.head.run("ls /proc | grep -c '^[0-9]'").stdout) < 9
    for place in (ROOT, "/etc", "/var/tmp", bed.folder):
        refused = bed.head.run(f"touch {place}/mark", check=False)
        assert "Read-only file system" in refused.stderr


def test_the_network_reaches_the_hosts_and_nothing_else(bed: Bed) -> None:
    for name in WORKERS:
        bed.head.run(f"timeout 5 bash -c '< /dev/tcp/{address(name)}/22'")
    assert bed.head.run("ip route").stdout.split()[:2] == [f"{ADDRESSES}.0/24", "dev"]
    for outside in ("1.1.1.1", "169.254.169.254"):
        refused = bed.head.run(f"timeout 5 bash -c '< /dev/tcp/{outside}/53'", check=False)
        assert "Network is unreachable" in refused.stderr
    assert "worker" not in links()


def test_the_laptop_has_a_key_for_the_hosts_and_the_stranger_has_none(bed: Bed) -> None:
    ssh = f"ssh -o StrictHostKeyChecking=no -o BatchMode=yes {address(HEAD)} hostname"
    assert bed.laptop.run(ssh).stdout.strip() == HEAD
    refused = bed.hosts["stranger"].run(ssh, check=False)
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_a_partition_is_silent_and_ends(bed: Bed) -> None:
    worker = bed.workers[0]
    reach = f"timeout 2 bash -c '< /dev/tcp/{worker.address}/22'"
    bed.network.part(worker)
    assert bed.head.run(reach, check=False).returncode == 124  # no answer, no refusal
    bed.network.join(worker)
    bed.head.run(reach)


def test_a_host_whose_power_was_cut_comes_back_with_its_disk_or_with_a_fresh_one(bed: Bed) -> None:
    worker = bed.workers[1]
    worker.write("~/kept", "kept")
    sleeper = worker.start("exec sleep 600", bed.log("sleeper"))
    bed.power_off(worker.name)
    sleeper.wait(5)
    assert bed.add(worker.name, fresh=False).run("cat ~/kept").stdout == "kept"
    bed.power_off(worker.name)
    assert bed.add(worker.name, fresh=True).run("cat ~/kept", check=False).returncode == 1


def test_the_bucket_fails_when_told_to_and_remembers_all_that_was_written(bed: Bed) -> None:
    bucket, script = open_bucket(bed), WRITE.format(storage=storage())
    bucket.inject(Rule("refuse", "PUT.*kept", times=2))
    for _ in range(2):
        bed.laptop.run(f"PYTHONPATH={ROOT} python -c '{script}'")
    assert [passed.status for passed in bucket.passed()] == [503, 503, 200, 200]
    assert bucket.versions(f"{FOLDER}/kept") == [b"whole", b"whole"]
    assert bucket.names() == [f"{FOLDER}/kept"]


def test_nothing_is_left_of_a_bed() -> None:
    before = links()
    with open_bed() as bed:
        folder, pids = bed.folder, [pid for host in bed.hosts.values() for pid in host.pids]
        running = bed.head.start("exec sleep 600", bed.log("sleeper"))
        assert traces(folder, pids)
    running.wait(5)
    assert traces(folder, pids) == []
    assert links() == before


def test_nothing_runs_after_the_owner_was_killed_and_the_next_start_removes_the_folder() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HELD], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as owner:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10.0
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "the hosts outlive their owner"
        time.sleep(0.05)
    assert Path(folder).exists()
    with open_bed() as bed:
        assert [str(path) for path in BELOW.glob(PREFIX + "*")].count(folder) == 0
        assert bed.folder.exists()
