"""What probes call in processes of their own, and machines that answer as such probes would."""

from __future__ import annotations

import os
import signal
import time
from typing import Any


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_long() -> None:
    time.sleep(60.0)


def leave_early() -> None:
    os._exit(0)


def find_no_cache() -> dict[str, Any]:
    """As numba where it can write nowhere."""
    return {"cache": None}


def find_a_gpu() -> dict[str, Any]:
    """As torch on a machine with one GPU."""
    gpu = {"name": "A GPU", "free": 3 * 2**30, "total": 4 * 2**30, "works": 8.0}
    return {"cpu": 8.0, "cuda": "13.0", "available": True, "gpus": [gpu]}
