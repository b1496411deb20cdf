"""Sweeps with an unusual terminal, HOME, temporary folder or storage path."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from raydistill.cluster.commands import (
    dashboards_command,
    report_command,
    resume_command,
    sample_command,
    watch_command,
)
from raydistill.cluster.ray_environment import (
    SOCKET_BELOW_TMPDIR,
    SOCKET_PATH_BYTES,
    check_temporary_folder,
    requested_address,
)
from raydistill.config.errors import ConfigError
from raydistill.record import Record
from raydistill.store.storage import Storage
from tests.cluster import scripts
from tests.cluster.scripts import ROOT, Finished, trials

ONE_TRIAL = (
    "--preset", "smoke", "--dimensions", "2", "--matrices", "standard", "--objectives", "oracle",
    "--set", "budget.updates=20",
)  # fmt: skip
ASCII = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
NASTY = "a b$x'y\"[bold]`z`é"


def run_dimensionality(*arguments: str, **environment: str) -> Finished:
    """The Gaussian study's script in a process of its own, of that environment."""
    finished = subprocess.run(
        [sys.executable, str(ROOT / "sweeps" / "dimensionality.py"), *ONE_TRIAL, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        check=False,
        timeout=300,
    )
    return Finished(
        finished.returncode,
        finished.stdout.decode(errors="surrogateescape"),
        finished.stderr.decode(errors="surrogateescape"),
    )


def in_shell(command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command as a user pastes it."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def printed(output: str, label: str) -> str:
    """What a sweep printed after a label."""
    (line,) = re.findall(rf"^{label}: (.*)$", output, re.MULTILINE)
    return str(line)


@pytest.mark.slow
@pytest.mark.ray
def test_ascii_output_no_home_and_a_nasty_path_at_once(tmp_path):
    storage = tmp_path / NASTY.replace("é", "")
    finished = run_dimensionality(
        "--storage-path", str(storage), "--name", "it's", **ASCII, HOME="/dev/null/home"
    )
    assert finished.code == 0, finished.errors
    assert finished.output.isascii()
    assert "Traceback" not in finished.errors
    assert "HOME: '/dev/null/home' cannot be written" in finished.errors
    assert "KS log p" in finished.output  # the table
    (record,) = trials(storage / "it's").values()
    assert record["status"] == "finished"

    configuration = in_shell(f"cat {printed(finished.output, 'its configuration')}")
    assert json.loads(configuration.stdout) == record["config"]
    report = in_shell(printed(finished.output, "report"))
    assert report.returncode == 0, report.stderr
    assert (storage / "it's" / "report.html").is_file()
    sample = shlex.split(printed(finished.output, "sample it"))
    trial = str(storage / "it's" / "trial_00000")
    assert sample[-6:] == ["sample", trial, "--count", "64", "--out", "samples.npy"]


@pytest.mark.parametrize("folder", ["/tmp/r", f"/data/{NASTY}", "/data/*?~#;&|<>(){}!\\ \t\n"])
def test_printed_commands_reach_their_program_as_they_were_meant(folder, tmp_path):
    sweep = Storage(f"{folder}/my sweep")
    record = Record("trial_00007", "finished", {"task": "vocoder"}, "")
    expected = {
        resume_command("noise_injection", sweep, "my sweep"): [
            "--storage-path", folder, "--name", "my sweep", "--resume",
        ],
        report_command(sweep): ["report", folder, "--name", "my sweep"],
        dashboards_command(sweep): ["dashboard", folder, "--name", "my sweep"],
        watch_command(sweep): ["watch", folder, "--name", "my sweep"],
        sample_command(sweep, record): [
            "sample", f"{folder}/my sweep/trial_00007", "--count", "4", "--out", "samples.wav",
        ],
    }  # fmt: skip
    for command, words in expected.items():
        seen = in_shell(f"printf '%s\\0' {command}").stdout.split("\0")[:-1]
        assert seen[-len(words) :] == words


def test_printed_commands_keep_a_uri_and_its_options():
    sweep = Storage.open("s3://bucket/a%20b?region=eu-west-1").child("one")
    for command in (report_command(sweep), dashboards_command(sweep), watch_command(sweep)):
        words = shlex.split(command)
        assert words[-3:] == ["s3://bucket/a%20b?region=eu-west-1", "--name", "one"]


def test_a_script_is_named_so_that_it_is_found_from_any_folder(tmp_path, monkeypatch):
    for folder in (ROOT, tmp_path):
        monkeypatch.chdir(folder)
        command = resume_command("loss_type", Storage("/s/one"), "one")
        found = in_shell(f"ls {shlex.split(command)[1]}", cwd=folder)
        assert found.returncode == 0, found.stderr


def too_long() -> str:
    """A temporary folder whose sockets would have paths that no kernel takes."""
    longest = SOCKET_PATH_BYTES - len(SOCKET_BELOW_TMPDIR.format(process=os.getpid()))
    return "/tmp/".ljust(longest + 10, "x")


def test_a_temporary_folder_too_long_for_sockets_is_named_before_ray_starts(tmp_path):
    folder = too_long()
    finished = run_dimensionality("--storage-path", str(tmp_path / "storage"), RAY_TMPDIR=folder)
    assert finished.code == 2
    (line,) = finished.errors.strip().splitlines()
    assert line.startswith(f"RAY_TMPDIR: {folder!r} has {len(folder)} bytes")
    assert line.endswith("for example RAY_TMPDIR=/tmp")
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("variable", "folder", "words"),
    [
        ("TMPDIR", too_long(), f"has {len(too_long())} bytes"),
        ("RAY_TMPDIR", "/dev/null/ray", "cannot be written (Not a directory)"),
        ("RAY_TMPDIR", "relative", "is no absolute path"),
        ("RAY_TMPDIR", "", "is no absolute path"),
    ],
)
def test_a_temporary_folder_that_ray_cannot_use_is_refused(monkeypatch, variable, folder, words):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, folder)
    with pytest.raises(ConfigError) as refusal:
        check_temporary_folder()
    assert str(refusal.value).startswith(f"{variable}: {folder!r} {words}")


def test_the_longest_temporary_folder_and_the_usual_one_are_accepted(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    check_temporary_folder()
    longest = Path(too_long()[:-10])
    monkeypatch.setenv("RAY_TMPDIR", f"{longest}/")
    check_temporary_folder()
    (longest / "ray").rmdir()
    longest.rmdir()


def test_an_address_from_the_environment_is_named_as_such(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(
        ConfigError, match=r"^RAY_ADDRESS: '127\.0\.0\.1:1' does not answer"
    ) as refusal:
        requested_address(None).check_answers()
    assert str(refusal.value).endswith("or unset RAY_ADDRESS")


def test_an_address_of_rays_client_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(ConfigError, match=r"^RAY_ADDRESS: 'ray://head:10001' .*`ray job submit`"):
        requested_address(None).check_answers()
    with pytest.raises(ConfigError, match=r"^address: 'ray://head:10001'"):
        requested_address("ray://head:10001").check_answers()


@pytest.mark.parametrize("name", ["a/b", "..", "store", "", "new\nline", "-x"])
def test_a_name_that_is_no_folder_of_a_sweep_is_refused(tmp_path, name):
    finished = scripts.run_dimensionality("--storage-path", str(tmp_path), f"--name={name}")
    assert finished.code == 2
    (line,) = finished.errors.strip().splitlines()
    assert line.startswith(f"name: {name!r} ")
    assert list(tmp_path.iterdir()) == []


def test_help_is_ascii_where_it_must_be_and_lists_the_exit_statuses():
    finished = run_dimensionality("--help", **ASCII)
    assert finished.code == 0, finished.errors
    assert finished.output.isascii()
    text = " ".join(finished.output.split())
    assert "exit status: 0 all trials ended well, 2 refused" in text


def test_a_closed_pipe_is_no_traceback(tmp_path):
    script = ROOT / "sweeps" / "dimensionality.py"
    plan = shlex.join([sys.executable, str(script), *ONE_TRIAL, "--dry-run"])
    piped = in_shell(f"set -o pipefail; {plan} --storage-path {shlex.quote(str(tmp_path))} | true")
    assert (piped.returncode, piped.stderr) == (0, "")
