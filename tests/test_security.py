"""Nothing private in the repository, and nothing that a file can make this program run."""

from __future__ import annotations

import ast
import io
import os
import pickle
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from raydistill.cli import main
from raydistill.cluster import check
from raydistill.commands.inputs import read_array
from raydistill.config.errors import ConfigError
from raydistill.store.storage import Storage
from raydistill.training.checkpoint import CHECKPOINT, load_checkpoint
from raydistill.training.job import TrainingState
from tests.training.jobs import regression

ROOT = Path(__file__).resolve().parents[1]
CODE = ("raydistill", "analysis", "sweeps", "benchmarks", "examples")

PRIVATE = {
    "an access key of AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "an account of AWS": r"arn:aws[\w-]*:[\w-]*:[\w-]*:\d{12}\b|\b\d{12}\.dkr\.ecr\b",
    "a resource of AWS": r"\b(?:ami|subnet|sg|vpc|eni|vol|i)-[0-9a-f]{8}(?:[0-9a-f]{9})?\b",
    "a host of a cloud": r"\bip-\d+-\d+-\d+-\d+\b|\.compute\.(?:internal|amazonaws\.com)\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a token of a service": r"\b(?:ghp|gho|github_pat|glpat|hf|xox[bap]|sk)[_-][A-Za-z0-9_]{20,}",
    "a token of Ray": r"(?i)(?:token|secret|password)\W{1,5}(?:[=:]\W{0,3})?\b[0-9a-f]{32,64}\b",
    "a home": r"/(?:home|Users)/(?!ray\b|USER\b)[a-z]\w+",
    "an address of mail": r"\b[\w.+-]+@(?!example\.)[\w-]+\.(?:com|org|net|edu|io|de)\b",
}
"""What must stand in no file."""

SHORTEST_NAME = 5
"""Of a machine: shorter ones are words."""


def files() -> Iterator[tuple[Path, str]]:
    """Every text file that git would commit, or, in an export, every one that there is."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [*ROOT.glob("*"), *ROOT.glob("[a-z]*/**/*")]
    for path in paths:
        if path.is_file() and path != Path(__file__):
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a picture


def test_no_file_names_an_account_a_machine_or_a_secret() -> None:
    patterns = {what: re.compile(pattern) for what, pattern in PRIVATE.items()}
    machine = socket.gethostname().split(".")[0]
    if len(machine) >= SHORTEST_NAME and machine not in ("localhost", "runner", "buildkitsandbox"):
        patterns["this machine"] = re.compile(rf"\b{re.escape(machine)}\b")
    found = [
        f"{path.relative_to(ROOT)}: {what}: {match.group()[:40]}"
        for path, text in files()
        for what, pattern in patterns.items()
        if (match := pattern.search(text))
    ]
    assert found == []


def test_the_patterns_see_what_they_are_for() -> None:
    examples = {
        "an access key of AWS": "AKIA" + "IOSFODNN7EXAMPLE",
        "an account of AWS": "arn:aws:iam::" + "123456789012:role/x",
        "a resource of AWS": "ami-" + "0123456789abcdef0",
        "a host of a cloud": "ip-10-0-0-1.ec2.internal",
        "a private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
        "a token of a service": "ghp_" + "a" * 36,
        "a token of Ray": 'auth_token: "' + "0f" * 32 + '"',
        "a home": "/home/somebody/raydistill",
        "an address of mail": "somebody@" + "gmail.com",
    }
    assert {w for w, text in examples.items() if re.search(PRIVATE[w], text)} == set(PRIVATE)


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls of dotted names, such as `torch.load`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


UNPICKLING = re.compile(
    r"^(?:(?:c?[Pp]ickle|cloudpickle|dill|joblib|marshal|jsonpickle)\.loads?|pd\.read_pickle"
    r"|pandas\.read_pickle|shelve\.open|pickle\.Unpickler|eval|exec|yaml\.(?:unsafe_|full_)?load)$"
)
SAFE_YAML = re.compile(r"SafeLoader|loader")
OWN_OUTPUT = "raydistill/export/checks.py"
"""Runs the program that an export has just written, to compare it with the model."""


def test_no_code_unpickles_or_evaluates_what_it_reads() -> None:
    wrong = []
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            for name, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
                text = ast.unparse(call)
                if name == "torch.load" and "weights_only=True" not in text:
                    wrong.append(f"{path}:{call.lineno}: {text}")
                if name in ("np.load", "numpy.load") and "allow_pickle=False" not in text:
                    wrong.append(f"{path}:{call.lineno}: {text}")
                if name == "yaml.load" and SAFE_YAML.search(text):
                    continue
                if UNPICKLING.match(name) and path != ROOT / OWN_OUTPUT:
                    wrong.append(f"{path}:{call.lineno}: {text}")
    assert wrong == []


class Malice:
    """Whatever unpickles it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.place),)


def malicious(place: Path) -> dict[str, bytes]:
    """Files that make a folder when they are read by a careless program, by their format."""
    torch_file, array = io.BytesIO(), io.BytesIO()
    torch.save({"weights": Malice(place)}, torch_file)
    np.save(array, np.array([Malice(place)], dtype=object), allow_pickle=True)
    document = f"a: !!python/object/apply:os.mkdir [{place}]\n".encode()
    return {
        "pickle": pickle.dumps(Malice(place)),
        "torch": torch_file.getvalue(),
        "numpy": array.getvalue(),
        "yaml": document,
    }


@pytest.fixture(params=["pickle", "torch", "numpy", "yaml"])
def content(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[bytes]:
    """A malicious file's content; afterwards it must not have run."""
    place = tmp_path / "harm"
    yield malicious(place)[request.param]
    assert not place.exists()


TRIAL = ("record.json", "config.json", "checkpoint.safetensors", "student.safetensors")


def test_a_trial_of_malicious_files_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Storage.open(tmp_path / "results" / "sweep" / "trial_00000")
    for name in TRIAL:
        folder.write(name, content)
    assert main(["sample", folder.uri]) == 2
    assert main(["run", str(tmp_path / "results/sweep/trial_00000/config.json")]) == 2
    folder.parent.write("sweep.json", content)  # type: ignore[union-attr]
    assert main(["watch", str(tmp_path / "results"), "--once"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_arrays_and_cluster_files_are_no_programs(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("codes.npy", "codes.npz", "codes.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match="codes: "):
            read_array("codes", tmp_path / name)
    assert check.main([str(tmp_path / name)]) == 2
    assert check.main([str(ROOT / "cluster" / "rayjob.yaml"), "--crd", str(tmp_path / name)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_malicious_checkpoint_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    job = regression()
    optimiser = torch.optim.Adam(job.module.parameters())
    folder = Storage.open(tmp_path)
    folder.write(CHECKPOINT, content)
    assert load_checkpoint(job, optimiser, folder, torch.device("cpu")) == TrainingState()
