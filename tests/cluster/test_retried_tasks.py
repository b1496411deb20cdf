"""Real Ray tasks that fail, are lost, and are repeated."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from raydistill.cluster.errors import failures_told
from raydistill.cluster.mailbox import Mailbox, open_mailbox
from raydistill.cluster.retried_tasks import Attempt, RetriedTask, TaskGivenUpError, run_tasks
from raydistill.cluster.retry_rule import ATTEMPTS
from raydistill.cluster.runtime import connect
from raydistill.training.job import TrainingDivergedError, TrainingStoppedError

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Work = Callable[[int], Any]
"""What an attempt does, given how many came before it."""


@pytest.fixture(scope="module", autouse=True)
def _ray() -> None:
    connect(None)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydistill.cluster.retried_tasks.pause_after", lambda failures: 0.0)


@pytest.fixture(scope="module")
def mailbox(_ray: None) -> Iterator[Mailbox]:
    with open_mailbox() as opened:
        yield opened


@ray.remote(num_cpus=0.1, max_retries=0)
def run_attempt(work: Work, folder: str) -> Any:
    number = len(os.listdir(folder))
    Path(folder, str(number)).touch()
    with failures_told():
        return work(number)


def task(work: Work, folder: Path, **more: Any) -> RetriedTask:
    folder.mkdir(exist_ok=True)
    return RetriedTask("the part", lambda attempt: run_attempt.remote(work, str(folder)), **more)


def ignore(left: int) -> None:
    """Nothing to do while tasks run."""


def test_failures_and_lost_processes_are_repeated(tmp_path: Path) -> None:
    def work(number: int) -> str:
        if number == 0:
            raise OSError("the bucket refuses")
        if number == 1:
            os._exit(1)
        return "done"

    tasks = [task(work, tmp_path / "a"), task(lambda number: number, tmp_path / "b")]
    assert run_tasks(tasks, ignore) == ["done", 0]


def test_what_goes_on_failing_ends_in_one_line(tmp_path: Path) -> None:
    def work(number: int) -> None:
        raise OSError(f"request {number} was refused")

    with pytest.raises(TaskGivenUpError) as caught:
        run_tasks([task(work, tmp_path / "a", place=lambda: " at update 20")], ignore)
    assert "\n" not in str(caught.value)
    assert f"the part: {ATTEMPTS} attempts in a row failed at update 20" in str(caught.value)
    assert "OSError: request 4 was refused (test_retried_tasks.py:" in str(caught.value)


def test_a_task_that_gets_further_is_repeated_for_ever(tmp_path: Path) -> None:
    def work(number: int) -> str:
        if number < 3 * ATTEMPTS:
            raise OSError("gone")
        return "done"

    assert run_tasks([task(work, tmp_path / "a", advanced=lambda: True)], ignore) == ["done"]


def test_a_task_whose_node_goes_is_not_charged(tmp_path: Path) -> None:
    def work(number: int) -> str:
        if number < 3 * ATTEMPTS:
            raise TrainingStoppedError("this node is about to go")
        return "done"

    assert run_tasks([task(work, tmp_path / "a")], ignore) == ["done"]


def test_a_final_error_ends_everything_at_once(tmp_path: Path) -> None:
    def work(number: int) -> None:
        raise TrainingDivergedError("loss is nan")

    with pytest.raises(TrainingDivergedError, match=r"^loss is nan$"):
        run_tasks([task(work, tmp_path / "a")], ignore)
    assert len(os.listdir(tmp_path / "a")) == 1


def test_what_polling_raises_ends_the_tasks(tmp_path: Path) -> None:
    def work(number: int) -> None:
        import time

        time.sleep(600)

    def poll(left: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tasks([task(work, tmp_path / "a")], poll)


def test_a_task_on_a_node_that_is_gone_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut: nobody has told that the attempt will never answer."""
    monkeypatch.setattr("raydistill.cluster.retried_tasks.NODES_SECONDS", 0.5)
    nodes: dict[str, str] = {}
    said: list[str] = []
    here = ray.get_runtime_context().get_node_id()

    def wait(number: int) -> str:
        import time

        time.sleep(600)
        return "too late"

    def start(attempt: Attempt) -> Any:
        first = not nodes
        nodes[attempt.name] = "0" * len(here) if first else here
        return run_attempt.remote(wait if first else lambda number: "done", str(tmp_path))

    lost = RetriedTask("the part", start)
    assert run_tasks([lost], ignore, said.append, nodes) == ["done"]
    assert len(said) == 1
    assert "the part is tried again" in said[0]
    assert "its node is not part of the cluster any more" in said[0]


def test_a_mailbox_keeps_what_a_lost_process_has_told(mailbox: Mailbox, tmp_path: Path) -> None:
    def work(number: int) -> str:
        mailbox.put(f"attempt {number}")
        mailbox.flush()
        if number == 0:
            os._exit(1)
        return "done"

    assert run_tasks([task(work, tmp_path / "a")], ignore) == ["done"]
    assert mailbox.take() == ["attempt 0", "attempt 1"]
    assert mailbox.take() == []
