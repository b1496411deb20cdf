"""Dashboards of a sweep in a bucket: what they read is copied, kept fresh, served on loopback."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from raydistill.cluster.design.study import open_study
from raydistill.cluster.teacher_curves import TeacherCurves, teacher_folder
from raydistill.cluster.watching.mirror import SweepMirror
from raydistill.cluster.watching.view import SweepReader
from raydistill.record import Evaluation, Record
from raydistill.store.segments import SegmentWriter, read_published
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.job import Progress
from tests.cluster.test_watching import FINISHED, RUNNING, write
from tests.s3.faults import Faults, Rule
from tests.s3.fixtures import bucket, faults, s3

__all__ = ["bucket", "faults", "s3"]


EVENTS_FILE = "events.out.tfevents.1"
"""TensorBoard knows its files by the middle of their names."""


def events(folder: Path, *values: float) -> bytes:
    """A file of TensorBoard events with that curve."""
    writer = SummaryWriter(str(folder))
    for update, value in enumerate(values):
        writer.add_scalar("validation/fd", value, update)
    writer.close()
    (file,) = folder.iterdir()
    return file.read_bytes()


def curve(folder: Path, tag: str) -> list[float]:
    """A curve as TensorBoard reads it."""
    accumulator = EventAccumulator(str(folder)).Reload()
    return [event.value for event in accumulator.Scalars(tag)]


def publish_study(sweep: Storage, folder: Path, trials: int) -> None:
    """Publish a study with that many finished trials, as its driver does."""
    found = open_study(folder / "study.journal", "noise")
    for _ in range(trials - len(found.trials)):
        found.tell(found.ask(), 1.0)
    writer = SegmentWriter(sweep, read_published(sweep))
    writer.publish((folder / "study.journal").read_bytes()[writer.size :])


@pytest.fixture
def sweep(bucket: Storage, tmp_path: Path) -> Storage:
    """A sweep in a bucket: one finished trial, one running, a study."""
    folder = bucket.child("noise")
    write(folder, FINISHED, RUNNING)
    for record in (FINISHED, RUNNING):
        content = events(tmp_path / record.trial, 3.0, 2.0)
        folder.child(record.trial, "events").write(EVENTS_FILE, content)
    publish_study(folder, tmp_path / "study", 1)
    return folder


def test_copies_grow_with_what_they_are_of(sweep: Storage, tmp_path: Path, faults: Faults) -> None:
    target = tmp_path / "copy"
    target.mkdir()
    mirror = SweepMirror(sweep, target)
    mirror.refresh()
    before = mirror.study.stat()
    assert curve(target / RUNNING.trial / "events", "validation/fd") == [3.0, 2.0]

    faults.forget()
    longer = events(tmp_path / "more", 3.0, 2.0, 1.0)
    sweep.child(RUNNING.trial, "events").write(EVENTS_FILE, longer)
    publish_study(sweep, tmp_path / "study", 2)
    mirror.refresh()
    assert mirror.study.stat().st_ino == before.st_ino  # a reader goes on in the same file
    assert len(open_study(mirror.study, "noise").trials) == 2
    assert not any(FINISHED.trial in passed.path for passed in faults.passed())
    mirror.study.write_bytes(b"of a driver that has lost the sweep")
    mirror.refresh()
    assert len(open_study(mirror.study, "noise").trials) == 2


def test_a_bucket_that_fails_is_asked_again(sweep: Storage, tmp_path: Path, faults: Faults) -> None:
    target = tmp_path / "copy"
    target.mkdir()
    mirror = SweepMirror(sweep, target)
    faults.inject(Rule("refuse", times=2), Rule("cut_download", "events", times=1))
    mirror.refresh()
    assert curve(target / RUNNING.trial / "events", "validation/fd") == [3.0, 2.0]


def gaussian() -> TrialConfig:
    """A trial, for its teacher."""
    return parse_trial({"task": "gaussian"})


def report(updates: int) -> Progress:
    """A report of a teacher's training."""
    judged = Evaluation(updates, "validation", {"bits": 1.0 / updates})
    return Progress(updates, 100, {"loss": float(updates)}, judged)


def test_curves_of_a_teacher_reach_a_bucket_and_go_on_after_an_interruption(
    sweep: Storage, tmp_path: Path
) -> None:
    config = gaussian()
    for begin, end in ((1, 5), (4, 8)):  # the second attempt goes on from a checkpoint
        curves = TeacherCurves(sweep.child("teacher"), config)
        for updates in range(begin, end):
            curves.add(report(updates))
        curves.close()
    (teacher,) = SweepReader(sweep).read().teachers
    assert (teacher.label, teacher.updates, teacher.total) == (config.describe(), 7, 100)
    assert [updates for updates, _ in teacher.curves["loss"]] == [1, 2, 3, 4, 5, 6, 7]
    target = tmp_path / "copy"
    target.mkdir()
    SweepMirror(sweep, target).refresh()
    folder = target / "teacher" / teacher_folder(config)
    assert len(list(folder.iterdir())) == 2  # the events of both attempts, and no progress.json
    assert 7.0 in curve(folder, "teacher/loss")


def test_a_storage_that_takes_no_curves_is_worth_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = gaussian()
    (tmp_path / teacher_folder(config)).write_text("in the way")
    curves = TeacherCurves(Storage.open(tmp_path), config)
    with caplog.at_level(logging.WARNING):
        for updates in (1, 2, 3):
            curves.add(report(updates))
        curves.close()
    assert len([r for r in caplog.records if "curves cannot be written" in r.message]) == 1


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def page(port: int, path: str = "/") -> str:
    """What a dashboard serves, once it does."""
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


LOOPBACK = "0100007F"
"""127.0.0.1 as the kernel writes it."""


def addresses(port: int) -> set[str]:
    """The addresses on which something listens at a port; see proc(5)."""
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, number in local if int(number, 16) == port}


@pytest.mark.slow
def test_the_command_serves_a_bucket_on_loopback_alone_until_it_is_ended(
    sweep: Storage, tmp_path: Path
) -> None:
    tensorboard, dashboard = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "raydistill", "dashboard", sweep.uri, "--period", "0.5",
         "--tensorboard-port", str(tensorboard), "--optuna-port", str(dashboard)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    try:
        assert "noise" in page(dashboard, "/api/studies")
        assert "trial_00001" in page(tensorboard, "/data/runs")
        assert addresses(tensorboard) == addresses(dashboard) == {LOOPBACK}

        content = events(tmp_path / "new", 1.0)
        write(sweep, Record("trial_00002", "running", {}, ""))
        sweep.child("trial_00002", "events").write(EVENTS_FILE, content)
        until = time.monotonic() + 60
        while "trial_00002" not in page(tensorboard, "/data/runs"):
            assert time.monotonic() < until
            time.sleep(0.5)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert list(tmp_path.glob("raydistill-dashboard-*")) == []
