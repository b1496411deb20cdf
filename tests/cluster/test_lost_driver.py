"""A driver that is killed when the study knows of a trial's end and the bucket does not."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raydistill.cluster.design.study import SEARCHED_METRIC, count_ended, open_study
from raydistill.cluster.search import StudySearch
from raydistill.cluster.study_file import study_file
from raydistill.cluster.sweep_folder import only_driver
from raydistill.store.segments import read_published
from raydistill.store.storage import Storage
from tests.cluster.test_search import space

SECONDS = 2.0
"""Length of the lease."""

KILLED = """
import os, signal, sys, time
from raydistill.cluster.design.study import open_study
from raydistill.cluster.search import StudySearch
from raydistill.cluster.study_file import study_file
from raydistill.cluster.sweep_folder import only_driver
from raydistill.store import publisher
from raydistill.store.segments import read_published
from raydistill.store.storage import Storage
from tests.cluster.test_search import finish, space

folder = Storage.open(sys.argv[1])
with only_driver(folder, "one", print, float(sys.argv[2])) as driver:
    with study_file(folder, driver.lease, new=True, say=print) as path:
        search = StudySearch(open_study(path, "one"), space, seed=3, startup=3)
        search.suggest("a")
        finish(search, "a", 1.0)
        search.suggest("b")
        while read_published(folder).journal != path.read_bytes():
            time.sleep(0.05)
        publisher.PERIOD = 3600.0
        time.sleep(1.5)
        finish(search, "b", 2.0)
        assert read_published(folder).journal != path.read_bytes()
        print("told", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(bucket: Storage) -> Storage:
    """Of a sweep whose driver was killed between telling and publishing."""
    folder = bucket.child("one")
    driver = subprocess.run(
        [sys.executable, "-c", KILLED, folder.uri, str(SECONDS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert driver.returncode == -signal.SIGKILL, driver.stderr
    assert driver.stdout == "told\n"
    return folder


@contextmanager
def resumed(folder: Storage, said: list[str]) -> Iterator[StudySearch]:
    with (
        only_driver(folder, "one", said.append, SECONDS) as driver,
        study_file(folder, driver.lease, new=False, say=said.append) as path,
    ):
        yield StudySearch(open_study(path, "one"), space, seed=3, startup=3)


def states(search: StudySearch) -> list[str]:
    return [trial.state.name for trial in search.study.trials]


def test_the_same_head_knows_what_the_bucket_does_not_and_sends_it(folder: Storage) -> None:
    said: list[str] = []
    with resumed(folder, said) as search:
        assert states(search) == ["COMPLETE", "COMPLETE"]
    assert said == []
    assert b'"values":[2.0]' in read_published(folder).journal


def test_a_fresh_head_hands_the_trial_out_again(
    folder: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is in its folder, which `run_trial` returns at once: nothing runs twice."""
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "fresh-head"))
    said: list[str] = []
    with resumed(folder, said) as search:
        assert states(search) == ["COMPLETE", "RUNNING"]
        point = search.study.trials[1].params
        assert search.suggest("c") == {"trial": "trial_00001", "point": point, "retry": False}
        search.on_trial_complete("c", {SEARCHED_METRIC: 2.0, "status": "finished"})
        assert count_ended(search.study) == 2
    assert len(said) == 1  # it waited for the old head
    # The old head wakes up with a study of its own: the bucket's is taken, its own is kept.
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "node-cache"))
    with resumed(folder, said) as search:
        assert states(search) == ["COMPLETE", "COMPLETE"]
    assert "this machine's is kept in" in said[-1]
