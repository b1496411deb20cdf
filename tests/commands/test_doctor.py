"""`raydistill doctor` on machines that lack this or that: what is said, and never a traceback."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydistill.cluster import control_groups
from raydistill.commands.checks import (
    compilers,
    data_sets,
    folders,
    isolated,
    packages,
    processors,
    ray_start,
    terminal,
)
from raydistill.commands.checks.isolated import Probe, ProbeError
from raydistill.data.sources import DATA_SETS
from raydistill.data.speech_sets import DEBIAN
from tests.commands.processes import ASCII, Finished, shell

PROBED = "tests.commands.probed"


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder with a path that leaves room for Ray's sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:
        yield Path(folder)


def problems_of(finished: Finished) -> dict[str, Any]:
    """What is complained of -> the problem, of a run with --json."""
    assert "Traceback" not in finished.errors
    return {problem["what"]: problem for problem in json.loads(finished.output)["problems"]}


def test_a_machine_on_which_much_is_broken(tmp_path: Path) -> None:
    folder = "/tmp/" + "x" * 63
    finished = shell(
        "doctor", "--json", "--debian-root", str(tmp_path), "--storage-path", "/dev/null/x",
        cwd=tmp_path,
        HOME="/dev/null/home", RAY_TMPDIR=folder, NUMBA_CACHE_DIR="/dev/null/numba",
        CXX="/nowhere/g++", CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(Path.cwd()), **ASCII,
    )  # fmt: skip
    assert finished.code == 1
    assert finished.errors == ""
    assert finished.output.isascii()
    problems = problems_of(finished)
    essential = {what for what, problem in problems.items() if problem["essential"]}
    assert all(problem["remedy"] for problem in problems.values())
    for start, is_essential in (
        ("storage path: '/dev/null/x' cannot be written", True),
        (f"RAY_TMPDIR: '{folder}' has 68 bytes", True),
        ("HOME: '/dev/null/home' cannot be written", False),
        ("NUMBA_CACHE_DIR: '/dev/null/numba' cannot be written", False),
        ("C++ compiler: not found", False),
        ("data set mnist: not found", False),
        ("speech: none is found", False),
        ("encoding: ascii lacks", False),
    ):
        (what,) = (what for what in problems if what.startswith(start))
        assert (what in essential) == is_essential
    found = json.loads(finished.output)["sections"]
    assert set(found["data sets"]) == {*DATA_SETS, *DEBIAN, "ljspeech"}
    assert found["data sets"]["digits"] == "found, 1,797 images of 8x8: --dataset digits"
    assert found["data sets"]["fashion-mnist"].startswith("not found; apt install dataset-fashion")
    assert "asterisk-core-sounds-it-wav" in found["data sets"]["asterisk-it"]
    assert found["processors"]["GPU"].startswith("none")


def test_a_machine_that_is_fit_is_said_to_be(tmp_path: Path, short_folder: Path) -> None:
    finished = shell("doctor", "--storage-path", str(tmp_path), RAY_TMPDIR=str(short_folder),
                     RAY_ADDRESS="")  # fmt: skip
    assert (finished.code, finished.errors) == (0, "")
    for title in ("python and packages", "processors", "memory and disk", "folders", "Ray",
                  "compilers", "data sets", "terminal", "what would go wrong"):  # fmt: skip
        assert f"\n{title}\n" in f"\n{finished.output}"
    assert finished.output.endswith("the main job would run\n")


def test_a_probe_says_how_its_process_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    for function, reason in (
        ("kill_this_process", "SIGKILL"),
        ("leave_early", "ends early"),
        ("no_such_function", "no_such_function"),
    ):
        with pytest.raises(ProbeError, match=reason):
            Probe(f"{PROBED}:{function}").result()
    monkeypatch.setattr(isolated, "SECONDS", 0.5)
    with pytest.raises(ProbeError, match="no answer within"):
        Probe(f"{PROBED}:sleep_long").result()
    monkeypatch.setattr(isolated.sys, "executable", "/nowhere/python")
    with pytest.raises(ProbeError, match="no process can be started"):
        Probe(f"{PROBED}:leave_early").result()


def test_packages_that_cannot_be_imported_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("raise OSError('libcudart.so: not there')")
    monkeypatch.syspath_prepend(tmp_path)
    assert packages.failed_imports(["json", "no_such_package", "broken_package"]) == {
        "no_such_package": "ModuleNotFoundError: No module named 'no_such_package'",
        "broken_package": "OSError: libcudart.so: not there",
    }


def write_idx(folder: Path, part: str, count: int) -> None:
    """Images and labels of a part of MNIST, all of them dark."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = np.array([count, 28, 28], ">u4").tobytes()
    images = bytes([0, 0, 8, 3]) + sizes + bytes(count * 28 * 28)
    labels = bytes([0, 0, 8, 1]) + sizes[:4] + bytes(count)
    (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def test_what_torch_and_numba_answer_becomes_facts_and_problems() -> None:
    section = processors.check_processors(Probe(f"{PROBED}:find_a_gpu"))
    assert section.facts["GPU 0"] == "A GPU, 3.0 GiB of 4.0 GiB free"
    section = compilers.check_compilers(Probe(f"{PROBED}:find_no_cache"))
    assert section.problems[0].what.startswith("numba: has no folder to keep compiled loops in")
    for check in (processors.check_processors, compilers.check_compilers,
                  data_sets.check_data_sets, packages.check_packages):  # fmt: skip
        problems = check(Probe(f"{PROBED}:kill_this_process")).problems
        assert any("SIGKILL" in problem.what and problem.essential for problem in problems)


def find(root: Path, debian: Path) -> dict[str, data_sets.Found]:
    found = data_sets.find_data_sets([str(root)], str(debian))
    return {values["name"]: data_sets.Found(**values) for values in found}


def test_data_sets_are_found_in_the_standard_layout_or_said_to_be_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydistill.data.speech_sets.DOCS", tmp_path / "no packages")
    root, debian = tmp_path / "my data", tmp_path / "share"
    raw = root / "MNIST" / "raw"
    write_idx(raw, "train", 3)
    write_idx(raw, "t10k", 2)
    write_idx(root / "FashionMNIST" / "raw", "train", 3)
    speech = debian / "asterisk" / "sounds" / DEBIAN["asterisk-it"].speaker
    speech.mkdir(parents=True)
    found = find(root, debian)
    assert found["mnist"].content == "5 images of 28x28"
    assert found["mnist"].options == f"--dataset mnist --set 'data.root={raw}'"
    assert found["fashion-mnist"].content is None
    assert "no t10k-images" in (found["fashion-mnist"].trouble or "")
    assert found["cifar-10"].trouble is None
    assert "no transcripts" in (found["asterisk-it"].trouble or "")
    assert found["asterisk-en"].trouble is None
    assert found["asterisk-en"].how_to_get.startswith("apt install asterisk-core-sounds-en-wav")


@pytest.mark.parametrize("source", ["environment", "file"])
def test_a_cluster_that_is_gone_is_essential(
    source: str, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"  # bound, but nobody listens
        monkeypatch.setenv("RAY_TMPDIR", str(short_folder))
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        if source == "environment":
            monkeypatch.setenv("RAY_ADDRESS", address)
        else:
            (short_folder / "ray").mkdir()
            (short_folder / "ray" / ray_start.CURRENT_CLUSTER).write_text(address)
        section = ray_start.check_ray()
        (problem,) = (problem for problem in section.problems if address in problem.what)
        assert problem.essential
        assert problem.what.endswith("does not answer")
        closed.listen()
        section = ray_start.check_ray()
        assert section.facts["running cluster"].endswith("a sweep joins it")


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's list of sockets")
def test_who_listens_on_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        owner = ray_start.port_owner(port)
        assert owner is not None
        assert (owner.process, owner.ray) == (os.getpid(), False)
        monkeypatch.setattr(ray_start, "PORTS", {port: "cluster"})
        monkeypatch.setattr(ray_start, "OPTIONS", {port: "--port"})
        section = ray_start.check_ray()
        assert section.facts[f"port {port} (cluster)"].startswith(f"taken by process {os.getpid()}")
        assert any(problem.what.startswith(f"port {port}: taken") for problem in section.problems)
    assert ray_start.port_owner(port) is None


def test_limits_of_control_groups_of_both_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    monkeypatch.setattr(control_groups, "ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "OWN", own)
    assert (control_groups.processor_quota(), control_groups.memory_limit()) == (None, None)

    own.write_text("0::/outer/inner\n")
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000\n")
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    (inner.parent / "memory.max").write_text("1000\n")
    assert (control_groups.processor_quota(), control_groups.memory_limit()) == (1.5, 1000)

    own.write_text("4:memory:/there\n1:cpu,cpuacct:/there\n")
    for controller, name, text in (
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("memory", "memory.limit_in_bytes", "2000"),
    ):
        folder = tmp_path / controller / "there"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(str(2**63 - 4096))
    assert (control_groups.processor_quota(), control_groups.memory_limit()) == (0.5, 2000)
    assert control_groups.usable_cpus() == 1


def test_cpus_that_may_be_used_are_those_of_the_affinity_and_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_groups, "OWN", tmp_path / "none")
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert control_groups.usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert control_groups.usable_cpus() == len(allowed)


def test_folders_are_tried_and_none_is_made(tmp_path: Path) -> None:
    assert folders.why_unwritable(tmp_path / "not" / "yet") is None
    assert not (tmp_path / "not").exists()
    file = tmp_path / "file"
    file.write_text("")
    assert folders.why_unwritable(file / "below") is not None
    for odd in ("~nobody-of-this-name/x", "a\0b", "x" * 5000, "s3://bucket/x"):
        section = folders.check_folders(odd)
        assert section.title == "folders"


def test_a_compiler_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho out of order >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    include = tmp_path / "include"
    include.mkdir()
    monkeypatch.setattr(compilers.sysconfig, "get_path", lambda name: str(include))
    assert compilers._cpp_compiler() == (str(broken), f"no Python.h in {include}")
    (include / "Python.h").write_text("")
    assert compilers._cpp_compiler() == (str(broken), "does not compile (out of order)")
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "/nowhere")
    assert compilers._cpp_compiler()[0] == "none"


def test_no_output_at_all_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.sys, "stdout", None)
    assert terminal.check_terminal().facts["output"] == "no terminal"
