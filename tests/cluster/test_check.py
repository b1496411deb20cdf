"""The check of `cluster.yaml`: it passes what ships, and names what would hurt."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from raydistill.cluster import check
from raydistill.cluster.cluster_file.rules import TOKEN_FILE

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "cluster.yaml"


@dataclass(frozen=True)
class Outcome:
    """What a run of the check said."""

    status: int
    out: str
    errors: list[str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the check in this process."""

    def call(file: Path, *flags: str) -> Outcome:
        capsys.readouterr()
        status = check.main([str(file), *flags])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err.splitlines())

    return call


def shipped() -> dict[str, Any]:
    """The shipped configuration, to be spoilt by a test."""
    config: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return config


def written(config: object, folder: Path) -> Path:
    """A configuration as a file."""
    file = folder / "cluster.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return file


def at(config: Any, path: str) -> Any:
    """The section of a configuration at a path such as `provider/region`."""
    for key in path.split("/"):
        config = config[int(key)] if isinstance(config, list) else config[key]
    return config


def filled(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The configuration as a user leaves it before `ray up`, with files of its own to send."""
    text = yaml.safe_dump(config, sort_keys=False).replace(check.PLACEHOLDER, "mine")
    ready: dict[str, Any] = yaml.safe_load(text)
    token = folder / "auth_token"
    token.write_text("secret", encoding="utf-8")
    token.chmod(0o600)
    constraints = folder / "constraints.txt"
    constraints.write_text("ray==2.60.0\n", encoding="utf-8")
    ready["file_mounts"] = {TOKEN_FILE: str(token), "~/constraints.txt": str(constraints)}
    return ready


def test_the_shipped_file_passes_and_lists_its_placeholders(run: Callable[..., Outcome]) -> None:
    outcome = run(SHIPPED)
    assert outcome.status == 0
    assert len(outcome.out.splitlines()) == 1
    assert "token authentication" in outcome.out
    (warning,) = outcome.errors
    for name in shipped()["metadata"]:
        assert f"metadata.{name}" in warning


def test_placeholders_are_errors_on_request(run: Callable[..., Outcome]) -> None:
    outcome = run(SHIPPED, "--require-filled")
    assert outcome.status == 2
    for name in shipped()["metadata"]:
        assert any(f"metadata.{name}" in line and "fill it in" in line for line in outcome.errors)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows files have no mode")
def test_a_filled_file_passes_until_its_token_is_readable(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    config = filled(shipped(), tmp_path)
    file = written(config, tmp_path)
    outcome = run(file, "--require-filled")
    assert (outcome.status, len(outcome.out.splitlines()), outcome.errors) == (0, 1, [])

    token = Path(config["file_mounts"][TOKEN_FILE])
    token.chmod(0o644)
    (error,) = run(file, "--require-filled").errors
    assert "chmod 600" in error

    token.unlink()
    (error,) = run(file, "--require-filled").errors
    assert "ray get-auth-token --generate" in error


@pytest.mark.parametrize(
    ("section", "key", "misspelt"),
    [
        ("", "max_workers", "max_workerz"),
        ("", "worker_start_ray_commands", "worker_start_ray_command"),
        ("available_node_types/l4", "max_workers", "max_workerz"),
        ("available_node_types/head", "node_config", "node_confg"),
        ("auth", "ssh_user", "ssh_usr"),
        ("provider", "region", "regions"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest(
    run: Callable[..., Outcome], tmp_path: Path, section: str, key: str, misspelt: str
) -> None:
    config = shipped()
    place = at(config, section) if section else config
    place[misspelt] = place.pop(key)
    outcome = run(written(config, tmp_path))
    assert outcome.status == 2
    (error,) = outcome.errors
    prefix = f"{section.replace('/', '.')}." if section else ""
    assert f"{prefix}{misspelt}: " in error
    assert f"nearest allowed one is {key!r}" in error


@dataclass(frozen=True)
class Mistake:
    """A value put into the shipped file (None takes the key out), and words of the error."""

    path: str
    value: object
    expected: tuple[str, ...]

    def __str__(self) -> str:
        """The name of the test."""
        return f"{self.path}={str(self.value)[:40]}"


HEAD_START = "export RAY_AUTH_MODE=token; ray start --head"
WORKER = "available_node_types/l4/node_config"
MISTAKES = [
    Mistake(
        "worker_start_ray_commands/1",
        "ray start --address=$RAY_HEAD_IP:6379",
        ("worker_start_ray_commands", "ray start --address", "RAY_AUTH_MODE=token"),
    ),
    # Set for one program only, and that one is not Ray.
    Mistake(
        "worker_start_ray_commands/1",
        "RAY_AUTH_MODE=token ulimit -n 65536; ray start --address=$RAY_HEAD_IP:6379",
        ("worker_start_ray_commands", "RAY_AUTH_MODE=token"),
    ),
    Mistake(
        "head_start_ray_commands",
        ["export RAY_AUTH_MODE=disabled; ray start --head"],
        ("head_start_ray_commands", "RAY_AUTH_MODE=token"),
    ),
    Mistake(
        "head_start_ray_commands",
        [f"{HEAD_START} --dashboard-host=0.0.0.0"],
        ("head_start_ray_commands[0] --dashboard-host", "'0.0.0.0'", "127.0.0.1"),
    ),
    Mistake(
        "head_start_ray_commands",
        [f"{HEAD_START} --dashboard-host 10.0.0.7"],
        ("--dashboard-host", "'10.0.0.7'"),
    ),
    Mistake(
        "head_start_ray_commands",
        [f"{HEAD_START} --node-ip-address=0.0.0.0"],
        ("head_start_ray_commands[0]", "opens it to the world"),
    ),
    Mistake(f"{WORKER}/IamInstanceProfile", None, ("l4", "IamInstanceProfile: missing", "S3")),
    Mistake(f"{WORKER}/SecurityGroupIds", [], ("l4", "SecurityGroupIds: []", "port 22")),
    Mistake(f"{WORKER}/ImageId", None, ("l4", "ImageId: missing")),
    Mistake(
        "provider/security_group",
        {"GroupName": "mine"},
        ("provider.security_group", "'GroupName': 'mine'", "SecurityGroupIds"),
    ),
    Mistake("provider/region", None, ("provider.region: missing",)),
    Mistake("provider/type", "gcp", ("provider.type: 'gcp'", "aws")),
    Mistake(
        "setup_commands/4",
        "uv pip install -c constraints.txt ray==2.0.0",
        ("setup_commands[4]", "ray==2.0.0"),
    ),
    Mistake(
        "head_setup_commands",
        ["pip install boto3"],
        ("head_setup_commands", "pip install boto3", "-c constraints.txt"),
    ),
    Mistake("file_mounts/~~raydistill~constraints.txt", None, ("constraints.txt reaches no node",)),
    Mistake(
        "setup_commands/0",
        "echo 'export RAYDISTILL_STORAGE=/data/raydistill' > ~/.raydistill_storage",
        ("RAYDISTILL_STORAGE: '/data/raydistill'", "another folder on each node"),
    ),
    Mistake(f"{WORKER}/SubnetIds", ["subnet-a", "subnet-a"], ("SubnetIds", "one a zone")),
    Mistake(f"{WORKER}/SubnetIds", None, ("SubnetIds: missing", "one a zone")),
    Mistake(f"{WORKER}/InstanceInitiatedShutdownBehavior", None, ("ShutdownBehavior", "terminate")),
    Mistake("available_node_types/head/resources/CPU", 4, ("head.resources.CPU: 4", "CPU: 0")),
    Mistake("worker_start_ray_commands/2", "true", ("raydistill.cluster.orphan", "dead head")),
    Mistake("worker_start_ray_commands/3", "true", ("raydistill.cluster.spot_notice", "lost")),
    Mistake("available_node_types/l4/resources/GPU", "one", ("l4.resources.GPU: 'one'", "integer")),
    Mistake("head_node_type", "brain", ("head_node_type",)),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_one_line_that_names_it(
    run: Callable[..., Outcome], tmp_path: Path, mistake: Mistake
) -> None:
    config = shipped()
    parent, _, key = mistake.path.rpartition("/")
    key = key.replace("~~", "~/").replace("raydistill~", "raydistill/")  # a path as a key
    section: Any = at(config, parent) if parent else config
    if mistake.value is None:
        del section[key]
    else:
        section[int(key) if isinstance(section, list) else key] = mistake.value
    file = written(config, tmp_path)
    outcome = run(file)
    assert outcome.status == 2
    assert not outcome.out
    (error,) = [line for line in outcome.errors if "INFO" not in line]
    assert error.startswith(f"{file}: ")
    for words in mistake.expected:
        assert words in error


def test_the_token_must_reach_the_nodes(run: Callable[..., Outcome], tmp_path: Path) -> None:
    config = shipped()
    del config["file_mounts"][TOKEN_FILE]
    (error,) = run(written(config, tmp_path)).errors
    assert f"file_mounts.{TOKEN_FILE}: missing" in error


def test_storage_must_be_named_on_both_kinds_of_node(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    config = shipped()
    config["setup_commands"][0] = "true"
    errors = run(written(config, tmp_path)).errors
    assert ["results would stay on a node" in error for error in errors] == [True, True]


def test_an_unpinned_ray_is_missed_on_both_kinds_of_node(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    config = shipped()
    config["setup_commands"] = ["pip install -c constraints.txt ray"]
    config["setup_commands"] += [config["metadata"]["storage"]]
    errors = run(written(config, tmp_path)).errors
    assert ["(head)" in error or "(worker)" in error for error in errors] == [True, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("# nothing but a comment\n", "is empty"),
        ("- a\n- list\n", "is not a mapping"),
        ("a: 1\n---\nb: 2\n", "several documents"),
        ("#!/bin/bash\necho\n", "is a script without #SBATCH"),
        ("cluster_name: [unclosed\n", "is not YAML"),
        ("available_node_types: {1: {}}\n", "put quotes around it"),
    ],
)
def test_what_is_no_cluster_file_is_refused_in_one_line(
    run: Callable[..., Outcome], tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text, encoding="utf-8")
    outcome = run(file)
    assert outcome.status == 2
    (error,) = outcome.errors
    assert expected in error


def test_what_cannot_be_read_is_refused(run: Callable[..., Outcome], tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    for file in (tmp_path / "absent.yaml", tmp_path, binary):
        outcome = run(file)
        assert outcome.status == 2
        (error,) = outcome.errors
        assert str(file) in error


def test_the_command_line_checks_the_file_in_its_folder() -> None:
    command = [sys.executable, "-m", "raydistill.cluster.check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stderr
    assert done.stdout.startswith("cluster.yaml: good for Ray ")
