"""Limits that a container or a service manager sets on this process, by Linux control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
UNLIMITED = 2**60
"""Bytes from which a limit is none: version 1 writes a very large number for it."""


def processor_quota() -> float | None:
    """Cores' worth of time that all processes of the group share; None without a limit."""
    quotas = []
    for folder in _folders("cpu"):
        words = _read(folder / "cpu.max").split()  # version 2
        if not words:
            words = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def usable_cpus() -> int:
    """CPUs that this process may keep busy by its affinity (`taskset`) and quota; at least one.

    Ray itself counts those of the machine, but for some of a container's limits.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on every system
        cores = len(os.sched_getaffinity(0))
    quota = processor_quota()
    return max(1, cores if quota is None else min(cores, int(quota)))


def memory_limit() -> int | None:
    """Bytes that all processes of the group may use; None without a limit."""
    limits = []
    for folder in _folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name)
            if text.isdigit() and int(text) < UNLIMITED:
                limits.append(int(text))
    return min(limits, default=None)


def memory_used() -> int | None:
    """Bytes in use by the group that has the limit, caches included; None if nobody says."""
    for folder in _folders("memory"):
        for name in ("memory.current", "memory.usage_in_bytes"):
            text = _read(folder / name)
            if text.isdigit():
                return int(text)
    return None


def _folders(controller: str) -> Iterator[Path]:
    """Folders of this process's group and of those around it, the innermost first.

    Inside a container the own group can be the root of what is mounted, so the root is looked at
    whatever the path is.
    """
    for line in _read(OWN).splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        root = ROOT / controller if names else ROOT
        inner = root / path.strip("/")
        yield inner
        yield from (parent for parent in inner.parents if parent.is_relative_to(root))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""
