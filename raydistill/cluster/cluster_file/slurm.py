"""The rules of a batch script for Slurm: closed to the other users of its machines, and resumable.

A script is no data: these rules look for the lines that matter. What it would run where, the
script says itself: `bash cluster/slurm.sh --dry-run SCRIPT`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from raydistill.cluster.cluster_file.documents import SLURM_DIRECTIVE, Document
from raydistill.cluster.cluster_file.problems import Problem
from raydistill.cluster.cluster_file.rules import DASHBOARD_HOST, LOOPBACK

CHECKED = "private token, loopback dashboard, no open address, pinned Ray, resumable, requeued"

WANTED = {
    "RAY_AUTH_MODE": (r"\bRAY_AUTH_MODE=token\b",
                      "other users of a machine could run code: export RAY_AUTH_MODE=token"),
    "RAY_AUTH_TOKEN_PATH": (r"\bRAY_AUTH_TOKEN_PATH=",
                            "the token belongs into a file, not into an environment that "
                            "`scontrol` shows: export RAY_AUTH_TOKEN_PATH"),
    "umask": (r"^\s*umask 0?077\b", "others could read the token: umask 077 before it is written"),
    "--resume": (r"--resume[= ]auto\b",
                 "a requeued job would be refused, since the sweep's name exists: --resume auto"),
    "#SBATCH --requeue": (r"^#SBATCH\s+--requeue\b",
                          "a preempted job would not come back: add it"),
    "#SBATCH --signal": (r"^#SBATCH\s+--signal=B:",
                         "at the time limit everything is killed: --signal=B:USR1@300"),
    "constraints.txt": (r"constraints\.txt", "compare the environment's Ray with constraints.txt"),
    "--storage-path": (r"--storage-path", "without it results stay on one machine: pass it on"),
}  # fmt: skip
"""What must be found, and what its absence would cost."""


def directives(text: str) -> dict[str, str]:
    """The options of a script's `#SBATCH` lines; those without a value are empty."""
    found = re.findall(rf"^{SLURM_DIRECTIVE}\s+--([\w-]+)(?:[=\s]+([^\s#]+))?", text, re.MULTILINE)
    return dict(found)


def problems(document: Document) -> Iterator[Problem]:
    """What is wrong with a batch script."""
    if shutil.which("bash"):
        parsed = subprocess.run(
            ["bash", "-n"], input=document.text, capture_output=True, text=True, check=False
        )
        if parsed.returncode:
            yield Problem("file", str(document.file), f"bash cannot read it: {parsed.stderr}")
    lines = document.text.splitlines()
    code = "\n".join(line for line in lines if not re.match(r"\s*#(?!SBATCH)", line))
    for field, (pattern, remedy) in WANTED.items():
        if not re.search(pattern, code, re.MULTILINE):
            yield Problem(field, None, remedy)
    hosts = [found["host"].strip("'\"") for found in DASHBOARD_HOST.finditer(code)]
    for host in hosts:
        if host not in LOOPBACK:
            remedy = "use 127.0.0.1 and reach it by `ssh -L 8265:127.0.0.1:PORT NODE`"
            yield Problem("--dashboard-host", host, remedy)
    rest = DASHBOARD_HOST.sub("", code)
    for line in rest.splitlines():
        if "0.0.0.0" in line or "::/0" in line:
            yield Problem("a line", line.strip(), "opens it to the world: name one address")
