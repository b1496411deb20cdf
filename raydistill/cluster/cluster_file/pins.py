"""The version of Ray that every node must have: the one that `constraints.txt` names."""

from __future__ import annotations

import re
from pathlib import Path

import ray

import raydistill
from raydistill.cluster.cluster_file.problems import Problem

CONSTRAINTS = "constraints.txt"
PIN = re.compile(r"^ray==(?P<version>\S+)", re.MULTILINE)


def pinned_version(file: Path) -> tuple[str, list[Problem]]:
    """The version, and what is wrong with it.

    `constraints.txt` is looked for beside the cluster file, a folder above it, and in the checkout
    that runs; where there is none, the installed version counts.

    Args:
        file: the cluster file.
    """
    checkout = Path(raydistill.__file__).resolve().parents[1]
    for folder in (file.resolve().parent, file.resolve().parent.parent, checkout):
        try:
            text = (folder / CONSTRAINTS).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if found := PIN.search(text):
            version = found["version"]
            remedy = f"here runs {ray.__version__}, and Ray talks to its own version only: install "
            remedy += f"with `-c {CONSTRAINTS}`, or correct its line"
            wrong = Problem(f"{CONSTRAINTS}: ray", version, remedy)
            return version, [] if version == ray.__version__ else [wrong]
    return ray.__version__, []
