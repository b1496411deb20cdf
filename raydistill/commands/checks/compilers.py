"""The two compilers: numba's, which every sweep on CPUs needs, and a C++ one for torch.compile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from raydistill.commands.checks.findings import Problem, Section
from raydistill.commands.checks.isolated import Probe, ProbeError

COMPILERS = ("g++", "clang++", "c++")
SOURCE = "#include <Python.h>\n#include <cmath>\nint main() { return 0; }\n"
"""What torch.compile writes includes both."""
SECONDS = 30.0


def start_probe() -> Probe:
    """Begin to compile a loop by numba elsewhere."""
    return Probe(f"{__name__}:compile_a_loop")


def compile_a_loop() -> dict[str, Any]:
    """Compile and run a loop as the kernels do; where numba keeps it, or None."""
    import numpy as np

    from raydistill.kernels.compiled import compiled

    loop: Any = compiled(_double)
    values = np.ones(3)
    loop(values)
    if values.tolist() != [2.0, 2.0, 2.0]:
        raise ArithmeticError(f"numba doubles 1 to {values[0]}")
    return {"cache": loop.stats.cache_path}


def _double(values: Any) -> None:
    for index in range(len(values)):
        values[index] *= 2.0


def check_compilers(probe: Probe) -> Section:
    """Whether numba compiles and keeps what it compiled, and whether C++ can be compiled."""
    facts: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        cache = probe.result()["cache"]
        facts["numba"] = f"compiles, and keeps it below {cache}" if cache else "compiles, no cache"
        if not cache:
            problems.append(
                Problem(
                    "numba: has no folder to keep compiled loops in, so that every process "
                    "compiles them anew",
                    "set NUMBA_CACHE_DIR to a folder that you can write",
                )
            )
    except ProbeError as error:
        facts["numba"] = f"does not compile: {error}"
        problems.append(
            Problem(
                f"numba: {error}",
                "install numba and numpy again, in the versions of constraints.txt",
                essential=True,
            )
        )
    name, reason = _cpp_compiler()
    facts["C++ compiler"] = name if reason is None else f"{name}: {reason}"
    if reason is not None:
        problems.append(
            Problem(
                f"C++ compiler: {reason}; needed only where a teacher is trained with "
                "teacher.compile=true",
                "apt install g++ python3-dev, or leave teacher.compile at false",
            )
        )
    return Section("compilers", facts, tuple(problems))


def _cpp_compiler() -> tuple[str, str | None]:
    """The compiler, and why it cannot be used for torch.compile (None: it can)."""
    named = os.environ.get("CXX")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, COMPILERS)), None)
    if found is None:
        return named or "none", "not found" if named else f"none of {', '.join(COMPILERS)} is found"
    include = Path(sysconfig.get_path("include"))
    command = [found, "-x", "c++", "-fsyntax-only", f"-I{include}", "-"]
    try:
        finished = subprocess.run(
            command, input=SOURCE, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return found, f"cannot be run ({error})"
    if finished.returncode == 0:
        return found, None
    if not (include / "Python.h").is_file():
        return found, f"no Python.h in {include}"
    lines = finished.stderr.strip().splitlines()
    return found, f"does not compile ({lines[0] if lines else 'no reason given'})"
