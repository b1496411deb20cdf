"""A worker ends itself when its head is gone: real processes, real sockets on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raydistill.cluster import orphan
from raydistill.config.errors import ConfigError

SECOND = 1 / 60


@pytest.fixture
def head() -> Iterator[socket.socket]:
    """Something that accepts connections, as a head's control store does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port(server: socket.socket) -> int:
    """The port that a socket listens on."""
    return int(server.getsockname()[1])


def start(folder: Path, head_port: int, minutes: float) -> subprocess.Popen[str]:
    """The watch as a worker's start command runs it; it leaves a file where it would power off."""
    return subprocess.Popen(
        [sys.executable, "-m", "raydistill.cluster.orphan", f"127.0.0.1:{head_port}",
         "--minutes", str(minutes), "--period", "0.05", "--folder", str(folder),
         "--", "touch", str(folder / "powered_off")],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def test_a_worker_outlives_a_head_that_answers_and_ends_after_it(
    head: socket.socket, tmp_path: Path
) -> None:
    watch = start(tmp_path, port(head), minutes=0.3 * SECOND)
    try:
        head.settimeout(30)
        for _ in range(8):  # it has asked for longer than a silence may last
            head.accept()[0].close()
        assert watch.poll() is None
        head.close()
        assert watch.wait(timeout=30) == 0
    finally:
        watch.kill()
    assert (tmp_path / "powered_off").exists()
    said = watch.stdout.read() if watch.stdout else ""
    assert "no answer from the head" in said
    assert "the head is gone" in said


def test_a_second_watch_hands_over_its_address_and_ends(
    head: socket.socket, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        old = port(gone)
    watch = start(tmp_path, old, minutes=60.0)  # a head of yesterday
    try:
        assert watch.stdout
        assert "no answer" in watch.stdout.readline()  # it has the lock
        second = start(tmp_path, port(head), minutes=60.0)
        assert second.stdout
        assert "runs here already" in second.stdout.readline()
        assert second.wait(timeout=30) == 0
        head.settimeout(30)
        head.accept()[0].close()  # the first asks the new head
        assert watch.poll() is None
    finally:
        watch.kill()
        watch.wait()


def test_a_silence_counts_only_without_breaks(tmp_path: Path) -> None:
    heard = iter([False, True, False, True, *[False] * 9])
    (tmp_path / orphan.ADDRESS_FILE).write_text("[::1]:6379")
    said: list[str] = []

    def answers(address: tuple[str, int]) -> bool:
        assert address == ("::1", 6379)
        return next(heard)

    orphan.Watch(tmp_path, 0.1 * SECOND, 0.06).wait_until_gone(answers, said.append)
    assert len([line for line in said if "again" in line]) == 2
    assert "gone" in said[-1]


@pytest.mark.parametrize("text", ["", "head", "head:", ":6379", "head:0", "head:65536", "head:x"])
def test_what_is_no_address_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"head: .* is no address"):
        orphan.parse_address(text)
    assert orphan.main([text, "--", "true"]) == 2
    assert "give host:port" in capsys.readouterr().err
