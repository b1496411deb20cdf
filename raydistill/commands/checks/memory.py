"""Free memory, and free space where sweeps and Ray write."""

from __future__ import annotations

import shutil
from pathlib import Path

from raydistill.cluster import control_groups
from raydistill.commands.checks.findings import GIB, Problem, Section, gib
from raydistill.commands.checks.folders import existing_parent, local_folder

LEAST_MEMORY = 2 * GIB
"""Below, a sweep of the default size does not fit: Ray's own processes take about one GiB."""
FULL = 0.95
"""Share from which Ray ends trials (of memory) or stops storing objects (of a disk)."""
LEAST_DISK = GIB
SHARED = Path("/dev/shm")
SHARED_SHARE = 0.3
"""Of the memory: the size of Ray's object store, which wants to lie in shared memory."""


def check_memory(storage_path: str, ray_folder: Path) -> Section:
    """Memory, disk and shared memory.

    Args:
        storage_path: of the sweeps.
        ray_folder: where Ray puts its sessions.
    """
    facts: dict[str, str] = {}
    problems: list[Problem] = []
    total, available = _memory()
    if total is not None and available is not None:
        facts["memory"] = f"{gib(available)} of {gib(total)} available"
        if available < LEAST_MEMORY or available < (1.0 - FULL) * total:
            problems.append(
                Problem(
                    f"memory: {gib(available)} of {gib(total)} available; Ray ends trials when "
                    f"{FULL:.0%} are in use",
                    "end other programs, or use a machine with more memory",
                    essential=available < LEAST_MEMORY / 2,
                )
            )
    else:
        facts["memory"] = "not known on this system"
    places = {"storage path": local_folder(storage_path), "Ray's temporary folder": ray_folder}
    for name, folder in places.items():
        parent = existing_parent(folder) if folder is not None else None
        if parent is None or not parent.is_dir():
            continue
        try:
            disk = shutil.disk_usage(parent)
        except OSError as error:
            facts[f"disk, {name}"] = f"{parent}: {error.strerror}"
            continue
        facts[f"disk, {name}"] = f"{gib(disk.free)} of {gib(disk.total)} free at {parent}"
        if disk.free < LEAST_DISK or disk.free < (1.0 - FULL) * disk.total:
            problems.append(
                Problem(
                    f"{name}: {gib(disk.free)} of {gib(disk.total)} free at {parent}; Ray stops "
                    f"storing objects when {FULL:.0%} of a disk are in use",
                    "make room, or choose another disk by --storage-path or RAY_TMPDIR",
                    essential=disk.free < LEAST_DISK / 4,
                )
            )
    problems += _shared_memory(facts, total)
    return Section("memory and disk", facts, tuple(problems))


def _memory() -> tuple[int | None, int | None]:
    """Bytes in all, and bytes that new programs can have; the control group's where it is less."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        total, available = sizes["MemTotal"], sizes["MemAvailable"]
    except (OSError, ValueError, KeyError, IndexError):
        return None, None
    limit, used = control_groups.memory_limit(), control_groups.memory_used()
    if limit is None or limit >= total:
        return total, available
    return limit, min(available, max(0, limit - (used or 0)))


def _shared_memory(facts: dict[str, str], total: int | None) -> list[Problem]:
    """Ray's object store falls back to a disk, and gets slow, where shared memory is small."""
    try:
        shared = shutil.disk_usage(SHARED)
    except OSError:
        facts["shared memory"] = f"no {SHARED}"
        return []
    facts["shared memory"] = f"{gib(shared.free)} of {gib(shared.total)} free at {SHARED}"
    if total is None or shared.free >= SHARED_SHARE * total:
        return []
    return [
        Problem(
            f"shared memory: {gib(shared.free)} free at {SHARED}, less than the {gib(0.3 * total)} "
            "of Ray's object store, which then lies on a disk and is slower",
            f"start the container with --shm-size={int(0.3 * total / GIB) + 1}g",
        )
    ]
