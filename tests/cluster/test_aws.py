"""cluster.yaml against a mock of AWS, as far as nodes, where the only network is loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raydistill.cluster import check

ROOT = Path(__file__).resolve().parents[2]
APART = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def can_be_apart() -> bool:
    """Whether this system lets a process have a network of its own."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_be_apart(), reason="needs `unshare --net` and `ip`, as root is allowed")
def test_the_nodes_are_what_the_file_says_and_nothing_is_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o600)
    done = subprocess.run(
        [*APART, sys.executable, "-m", "tests.cluster.aws_launch"],
        cwd=ROOT, env=os.environ | {"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled"},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    created = json.loads(done.stdout.splitlines()[-1])
    nodes = {node["type"]: node for node in created["nodes"]}
    assert sorted(nodes) == ["a10g", "head", "l4"]
    assert (nodes["head"]["instance"], nodes["head"]["profile"]) == ("m6i.xlarge", "head")
    assert nodes["head"]["market"] == "on demand"
    for worker in (nodes["l4"], nodes["a10g"]):
        assert worker["profile"] == "worker"
        assert worker["market"] == "spot"
    assert {node["subnet"] for node in nodes.values()} <= set(created["subnets"])
    assert all(node["groups"] == ["mine"] for node in nodes.values())
    assert created["groups"]["mine"] == []  # Ray has opened nothing in it
    assert not [name for name in created["groups"] if name.startswith("ray")]
    assert check.main([created["file"]]) == 0
    assert "warning" not in capsys.readouterr().err
