"""A sweep is watched by its files: written here as trials write them, in a folder and a bucket."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from raydistill.cli import main
from raydistill.cluster.watching.find import find_sweep
from raydistill.cluster.watching.progress import MOST_POINTS, TeacherProgress, parse_progress
from raydistill.cluster.watching.screen import cost_line, render, sparkline
from raydistill.cluster.watching.view import SweepReader
from raydistill.config.errors import ConfigError
from raydistill.record import Evaluation, Record, Spent
from raydistill.store.storage import Storage
from tests.s3.faults import Faults, Rule
from tests.s3.fixtures import bucket, faults, s3

__all__ = ["bucket", "faults", "s3"]

PLAN = {"question": "noise_injection", "metric": "fd", "trials": 4}
CONFIG = {"budget": {"updates": 100}}


def validated(*values: float) -> tuple[Evaluation, ...]:
    """Evaluations on the validation split, 25 updates apart."""
    return tuple(
        Evaluation(25 * (index + 1), "validation", {"fd": value})
        for index, value in enumerate(values)
    )


RUNNING = Record(
    "trial_00001", "running", CONFIG, "t", Spent(50, device="NVIDIA L4", began=100.0, ended=160.0),
    history=validated(9.0, 3.0),
)  # fmt: skip
FINISHED = Record(
    "trial_00000", "finished", CONFIG, "t", Spent(100, 3000.0, 600.0, "NVIDIA L4", workers=2),
    history=(*validated(9.0, 4.0, 2.0, 1.5), Evaluation(100, "test", {"fd": 1.6})),
)  # fmt: skip
FAILED = Record("trial_00002", "failed", CONFIG, "t", Spent(), "the loss is nan after update 7")


def write(folder: Storage, *records: Record) -> None:
    """Records as trials write them."""
    folder.write("sweep.json", json.dumps(PLAN).encode())
    for record in records:
        folder.child(record.trial).write("record.json", record.to_json().encode())


def text(folder: Storage, price: float | None = None, encoding: str = "utf-8") -> str:
    """What is drawn of a sweep."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(file=stream, width=120)
    console.print(render(SweepReader(folder).read(), console, price))
    stream.seek(0)
    return stream.read()


def test_all_that_a_sweep_says_of_itself_is_shown(tmp_path: Path) -> None:
    folder = Storage.open(tmp_path / "noise")
    teacher = TeacherProgress("digits", 300, 1200, 3600.0, {"loss": [(1, 2.0)], "bits": [(9, 3.5)]})
    folder.child("teacher", "digits-1").write("progress.json", teacher.to_json().encode())
    write(folder, FINISHED, RUNNING, FAILED)
    folder.child("trial_00003").write("config.json", b"{}")  # begun, and no record yet
    shown = text(folder, price=0.5)
    assert "noise (noise_injection), 4 trials: 1 finished, 1 failed, 1 running, 1 waiting" in shown
    assert "50/100" in shown
    assert "█▁" in shown
    assert "trial_00002 failed: the loss is nan after update 7" in shown
    assert "best so far: trial_00000, fd 1.5 on validation" in shown
    assert "300/1200" in shown
    assert "bits" in shown
    assert "2.0 h of NVIDIA L4, 60 min for teachers; at 0.5 an hour: 1.51" in shown
    assert "█" not in text(folder, encoding="ascii")


def test_a_trial_of_two_workers_costs_two_devices(tmp_path: Path) -> None:
    folder = Storage.open(tmp_path)
    write(folder, FINISHED)
    view = SweepReader(folder).read()
    assert view.device_seconds == {"NVIDIA L4": 7200.0}
    assert cost_line(view, 2.0) == "device time so far: 2.0 h of NVIDIA L4; at 2 an hour: 4.00"
    write(folder, RUNNING)
    assert SweepReader(folder).read().device_seconds["NVIDIA L4"] == 7260.0


def test_a_damaged_record_is_said_and_ends_nothing(tmp_path: Path) -> None:
    folder = Storage.open(tmp_path)
    write(folder, FINISHED)
    folder.child("trial_00001").write("record.json", b"{")
    folder.child("teacher", "x").write("progress.json", b"[]")
    shown = text(folder)
    assert "1 finished, 1 damaged, 2 waiting" in shown
    assert "trial_00001: its record cannot be read" in shown


def test_it_ends_when_all_trials_have_ended(tmp_path: Path) -> None:
    folder = Storage.open(tmp_path)
    more = [replace(FINISHED, trial=f"trial_0000{n}") for n in (1, 3)]
    write(folder, FINISHED, FAILED, more[0])
    command = [sys.executable, "-m", "raydistill", "watch", str(tmp_path), "--period", "0.05"]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert watch.stdout
        assert "2 finished, 1 failed, 1 waiting" in watch.stdout.readline()
        write(folder, more[1])
        assert watch.wait(timeout=60) == 3  # as the sweep: some trials failed
        assert "ended: 3 finished, 1 failed" in watch.stdout.read()
    finally:
        watch.kill()


def test_once_prints_once_and_refusals_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Storage.open(tmp_path / "results" / "noise"), FINISHED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYDISTILL_STORAGE", raising=False)
    for words in (["noise"], ["results/noise"], ["results", "--name", "noise"], ["results"], []):
        assert main(["watch", *words, "--once"]) == 0
        assert capsys.readouterr().out.startswith("noise (noise_injection)")
    for words, named in (
        (["absent"], "storage_path: no sweep in "),
        (["results", "--name", "x"], "name: no sweep 'x'"),
        (["--period", "0"], "period: 0.0 s"),
        (["--price", "nan"], "price: nan is no price"),
    ):
        assert main(["watch", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(named)
    Storage.open("results/noise").write("sweep.json", b"{}")
    assert main(["watch", "--once"]) == 2
    assert "damaged" in capsys.readouterr().err


def test_the_newest_sweep_is_meant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b", "a"):
        write(Storage.open(tmp_path / name))
        time.sleep(0.02)
    (tmp_path / "store").mkdir()
    assert find_sweep(str(tmp_path)).name == "a"
    monkeypatch.setenv("RAYDISTILL_STORAGE", str(tmp_path))
    assert find_sweep(None).name == "a"
    assert find_sweep("b").name == "b"
    with pytest.raises(ConfigError, match="no sweep"):
        find_sweep(str(tmp_path / "store"))


def test_of_a_bucket_only_what_may_change_is_read_again(bucket: Storage, faults: Faults) -> None:
    write(bucket.child("noise"), FINISHED, RUNNING, FAILED)
    sweep = find_sweep(bucket.uri)
    reader = SweepReader(sweep)
    assert reader.read().counts["finished"] == 1
    write(sweep, replace(RUNNING, status="finished"))
    faults.forget()
    assert reader.read().counts["finished"] == 2
    assert sum(faults.counts().values()) == 4  # the list, the plan, and two records
    faults.inject(Rule("drop", times=1))
    assert reader.read().counts["finished"] == 2


def test_who_runs_a_sweep_in_a_bucket_is_shown(bucket: Storage) -> None:
    sweep = bucket.child("noise")
    write(sweep, RUNNING)
    reader = SweepReader(sweep)
    assert reader.read().driver == ""
    holder = {"owner": "x", "host": "head", "process": 7, "lock": "", "beat": 0, "seconds": 0.05}
    sweep.write("driver.lease", json.dumps(holder).encode())
    assert reader.read().driver == "process 7 on head"
    time.sleep(0.1)
    assert reader.read().driver == "nobody; process 7 on head has shown no sign of life"
    sweep.write("driver.lease", json.dumps(holder | {"beat": 1}).encode())
    assert reader.read().driver == "process 7 on head"
    sweep.write("driver.lease", json.dumps(holder | {"owner": ""}).encode())
    assert "run by nobody\nthe command that started it continues it" in text(sweep)


def test_watching_starts_at_once() -> None:
    modules = ("find", "mirror", "screen", "view")
    imports = ", ".join(f"raydistill.cluster.watching.{module}" for module in modules)
    heavy = "{'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {imports}; print({heavy})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "set()\n"


def test_a_curve_in_a_line() -> None:
    assert sparkline([]) == ""
    assert sparkline([(1, 5.0)]) == "▁"
    assert sparkline([(1, math.nan), (2, 1.0), (3, math.inf)]) == "?▁?"
    assert sparkline([(1, math.nan)]) == "?"
    long = sparkline([(n, float(n)) for n in range(1000)], width=10)
    assert (len(long), long[0], long[-1]) == (10, "▁", "█")


def test_progress_of_a_teacher_survives_its_file_and_stays_small() -> None:
    progress = TeacherProgress("digits")
    for update in range(10 * MOST_POINTS):
        progress.add("loss", update, math.nan if update % 7 == 0 else 1.0)
    curve = progress.curves["loss"]
    assert len(curve) <= MOST_POINTS
    assert (curve[0][0], curve[-1][0]) == (0, 10 * MOST_POINTS - 1)
    back = parse_progress(progress.to_json())
    assert back is not None
    assert [u for u, _ in back.curves["loss"]] == [u for u, _ in curve]
    for damaged in ("", "[]", "{}", '{"label": 1, "updates": "x"}', "\x00", "[" * 100_000):
        assert parse_progress(damaged) is None
