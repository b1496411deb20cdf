"""Loops are compiled also where their machine code cannot be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import raydistill.kernels.samplernn.decode

ROOT = Path(__file__).resolve().parents[2]

LOOPS = """
import numpy as np
from numba.core.caching import NullCache
from raydistill.kernels.compiled import compiled

@compiled
def double(x):
    for i in range(len(x)):
        x[i] *= 2.0

x = np.arange(3.0)
double(x)
assert x.tolist() == [0.0, 2.0, 4.0]
assert isinstance(double._cache, NullCache)
"""


def test_loops_run_where_neither_package_nor_home_can_be_written(tmp_path):
    """SampleRNN's own file and a loop of ours, in a folder in which there can be no cache."""
    samplernn = Path(raydistill.kernels.samplernn.decode.__file__).read_text(encoding="utf-8")
    (tmp_path / "own_loop.py").write_text(LOOPS, encoding="utf-8")
    (tmp_path / "own_samplernn.py").write_text(samplernn, encoding="utf-8")
    (tmp_path / "__pycache__").write_text("a file where numba wants a folder", encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"}
    environment |= {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "HOME": "/dev/null/home"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import own_loop, own_samplernn"],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
