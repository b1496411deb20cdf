"""The processes of Ray that a test has started, and no other Ray's of the same machine."""

from __future__ import annotations

import signal
import time

import psutil

TRIAL = "ray::ImplicitFunc"
TRAIN_WORKER = "RayTrainWorker"
RAYLET = "raylet/raylet"
"""What the command line of a trial's process, of a worker of a nested trial, and of a node's daemon
holds: all of them are descendants of the process that started Ray."""


def ours(title: str) -> list[psutil.Process]:
    """Descendants of this process whose command line holds a title, the oldest first."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if title in " ".join(process.cmdline()):
                found.append((process.create_time(), process.pid, process))
        except psutil.Error:
            continue
    return [process for _, _, process in sorted(found, key=lambda entry: entry[:2])]


def kill_all(title: str) -> int:
    """SIGKILL to all of ours with a title; how many there were."""
    victims = ours(title)
    for victim in victims:
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    return len(victims)


def await_end(processes: list[psutil.Process], seconds: float = 60.0) -> None:
    """Wait for the end of processes whose parent may be gone."""
    until = time.monotonic() + seconds
    while any(_runs(process) for process in processes):
        assert time.monotonic() < until, processes
        time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
