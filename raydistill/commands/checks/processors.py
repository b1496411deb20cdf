"""Processors and accelerators: what there is, and what this process may use of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from raydistill.cluster.control_groups import processor_quota, usable_cpus
from raydistill.commands.checks.findings import Problem, Section, gib
from raydistill.commands.checks.isolated import Probe, ProbeError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                    "NUMBA_NUM_THREADS", "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES")  # fmt: skip
NVIDIA_DEVICE = Path("/dev/nvidia0")


def start_probe() -> Probe:
    """Begin to ask torch elsewhere."""
    return Probe(f"{__name__}:ask_torch")


def ask_torch() -> dict[str, Any]:
    """What torch computes on: its CUDA version, the GPUs, their memory; each GPU is tried out."""
    import torch

    gpus = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        square = torch.eye(8, device=f"cuda:{index}") @ torch.eye(8, device=f"cuda:{index}")
        gpus.append(
            {"name": properties.name, "free": free, "total": total, "works": square.sum().item()}
        )
    return {
        "cpu": float((torch.eye(8) @ torch.eye(8)).sum()),
        "cuda": torch.version.cuda,
        "available": torch.cuda.is_available(),
        "gpus": gpus,
    }


def check_processors(probe: Probe) -> Section:
    """Cores, limits, thread settings, GPUs."""
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    quota = processor_quota()
    facts = {
        "cores": f"{cores}, of which this process may use {usable}",
        "control group": "no limit" if quota is None else f"{quota:g} cores' worth of time",
        "CPUs for trials": f"{usable_cpus()}, where a sweep starts Ray on this machine",
    }
    facts |= {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    problems = []
    try:
        found = probe.result()
    except ProbeError as error:
        facts["torch"] = f"does not compute: {error}"
        problems.append(
            Problem(
                f"torch: {error}",
                "install a torch that fits this machine (https://pytorch.org/get-started)",
                essential=True,
            )
        )
        return Section("processors", facts, tuple(problems))
    gpus = found["gpus"]
    facts |= {
        f"GPU {index}": f"{gpu['name']}, {gib(gpu['free'])} of {gib(gpu['total'])} free"
        for index, gpu in enumerate(gpus)
    }
    if not gpus:
        built = f"torch is built for CUDA {found['cuda']}" if found["cuda"] else "a CPU-only torch"
        facts["GPU"] = f"none ({built}); everything runs on CPUs"
    if not gpus and NVIDIA_DEVICE.exists():
        problems.append(
            Problem(
                f"GPU: {NVIDIA_DEVICE} is there, but torch sees no GPU",
                "run nvidia-smi; look at CUDA_VISIBLE_DEVICES, the driver's version and whether "
                "torch is built for CUDA",
            )
        )
    return Section("processors", facts, tuple(problems))
