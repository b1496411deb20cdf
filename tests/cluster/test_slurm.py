"""The batch script for Slurm: what it refuses and says, and one job from start to requeue.

Slurm's own programs are played by small scripts that run their command on this machine; everything
else is real: bash, Ray, a driver that is sent SIGINT.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "cluster" / "slurm.sh"
SWEEP = ("sweeps/noise_injection.py", "--storage-path", "/shared", "--name", "noise")

SRUN = """#!/bin/bash
while [[ $1 == -* ]]; do echo "srun $1" >> "$SEEN"; shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then echo this_machine; else echo "scontrol $*" >> "$SEEN"; fi
"""
DRIVER = """
import os, stat, sys, time
import ray

address = sys.argv[sys.argv.index("--address") + 1]
ray.init(address=address, logging_level="ERROR")
token = os.environ["RAY_AUTH_TOKEN_PATH"]
print("mode", oct(stat.S_IMODE(os.stat(token).st_mode)), flush=True)
print("cpus", ray.cluster_resources()["CPU"], "arguments", *sys.argv[1:], flush=True)
print("ready", flush=True)
try:
    time.sleep(120)
except KeyboardInterrupt:
    print("kept everything", flush=True)
    sys.exit(130)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine with Slurm's programs and the project's environment."""
    programs = tmp_path / "programs"
    venv = tmp_path / "venv" / "bin"
    for folder in (programs, venv):
        folder.mkdir(parents=True)
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name in ("python", "ray"):
        program = Path(sys.executable).parent / name
        (venv / name).write_text(f'#!/bin/bash\nexec "{program}" "$@"\n')
        (venv / name).chmod(0o755)
    return os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "RAYDISTILL_VENV": str(venv.parent),
        "RAYDISTILL_RUN": str(tmp_path / "run"),
        "PYTHONPATH": str(ROOT),
        "SEEN": str(tmp_path / "seen"),
    }


def run(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The script, from the project's folder."""
    return subprocess.run(
        ["bash", str(SCRIPT), *words], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_dry_run_says_every_command_and_starts_none(environment: dict[str, str]) -> None:
    done = run("--dry-run", *SWEEP, environment=environment)
    assert done.returncode == 0, done.stderr
    first, _, head, workers, driver, last = done.stdout.splitlines()
    assert first.startswith("2 machines of 8 CPUs and 1 GPUs each, for at most 04:00:00")
    assert "ray start --head --block" in head
    assert "--dashboard-host=127.0.0.1" in head
    assert workers.startswith("each of 1 more: ")
    assert driver.rstrip().endswith("--name noise --address HEAD:PORT --resume auto")
    assert "SIGINT to the sweep, requeue" in last
    assert not Path(environment["RAYDISTILL_RUN"]).exists()
    assert not Path(environment["SEEN"]).exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "no sweep: give its script"),
        (("no_sweep.py",), "no_sweep.py: no such script here"),
        (SWEEP[:3], "--name: without it a requeued job starts anew"),
        ((SWEEP[0], "--name", "noise"), "--storage-path: give a folder that all machines see"),
        (SWEEP, "this is no Slurm job"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_one_line(
    words: tuple[str, ...], expected: str, environment: dict[str, str]
) -> None:
    environment.pop("SLURM_JOB_ID", None)
    environment.pop("RAYDISTILL_STORAGE", None)
    done = run(*words, environment=environment)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"slurm.sh: {expected}")


def test_another_version_of_ray_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("ray==0.1.0\n")
    (tmp_path / "sweep.py").touch()
    done = subprocess.run(
        ["bash", str(SCRIPT), "sweep.py", *SWEEP[1:]], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "constraints.txt names 0.1.0" in done.stderr


def test_the_storage_of_the_environment_is_passed_on(environment: dict[str, str]) -> None:
    environment["RAYDISTILL_STORAGE"] = "/a b"
    done = run("--dry-run", SWEEP[0], "--name=noise", environment=environment)
    assert "--name=noise --storage-path /a\\ b --address" in done.stdout


@pytest.mark.slow
@pytest.mark.ray
def test_a_job_near_its_limit_stops_its_sweep_and_comes_back(
    environment: dict[str, str], tmp_path: Path
) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    number = random.randrange(10_000, 90_000)
    job = subprocess.Popen(
        ["bash", str(SCRIPT), str(driver), "--storage-path", "/shared", "--name", "noise"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment | {
            "SLURM_JOB_ID": str(number), "SLURM_JOB_NUM_NODES": "1", "SLURM_CPUS_PER_TASK": "3",
            "SLURM_JOB_NODELIST": "this_machine", "RAYDISTILL_HEAD_ADDRESS": "127.0.0.1",
        },
    )  # fmt: skip
    said: list[str] = []
    assert job.stdout
    try:
        for line in job.stdout:
            said.append(line)
            if line == "ready\n":
                job.send_signal(signal.SIGUSR1)  # as Slurm does, to the batch shell alone
        assert job.wait(timeout=60) == 0, said
    finally:
        job.kill()
        shutil.rmtree(f"/tmp/raydistill-{number}", ignore_errors=True)  # Ray's logs
    text = "".join(said)
    assert "mode 0o600" in text
    assert "cpus 2.0 arguments --storage-path /shared --name noise --address 127.0.0.1:" in text
    assert "--resume auto" in text
    assert "kept everything" in text
    assert f"scontrol requeue {number}" in Path(environment["SEEN"]).read_text()
    assert not (tmp_path / "run" / str(number)).exists()  # the token is gone
    until = time.monotonic() + 30
    while processes(number):
        assert time.monotonic() < until, processes(number)
        time.sleep(0.2)


def processes(job: int) -> list[str]:
    """The command lines of what still runs of a job's Ray."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"raydistill-{job}/" in command:
            found.append(command[:200])
    return found
