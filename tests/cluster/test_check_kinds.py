"""The check of the other ways in: a list of hosts, a RayJob, a batch script."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from raydistill.cluster import check
from raydistill.cluster.cluster_file import crd
from raydistill.cluster.cluster_file.documents import Kind, read

ROOT = Path(__file__).resolve().parents[2]
HOSTS, RAYJOB, SLURM = (ROOT / "cluster" / n for n in ("hosts.yaml", "rayjob.yaml", "slurm.sh"))
CRD_VARIABLE = "RAYJOB_CRD"
"""Names the file of KubeRay's published definition of a RayJob (ray.io_rayjobs.yaml, or .gz)."""


@pytest.mark.parametrize(
    ("file", "kind"), [(HOSTS, Kind.RAY_UP), (RAYJOB, Kind.RAYJOB), (SLURM, Kind.SLURM)], ids=str
)
def test_what_ships_passes_and_says_what_would_run_where(
    file: Path, kind: Kind, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other_name = tmp_path / "a file"  # what it is stands in it
    other_name.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    assert read(other_name).kind == kind
    assert check.main([str(other_name), "--dry-run"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert "good for Ray" in lines[0]
    assert len(lines) > 2
    for secret in ("auth_token:", "AKIA"):
        assert secret not in said.out


def hosts(**changes: Any) -> dict[str, Any]:
    """The shipped list of hosts, filled in, with other settings of its provider."""
    config: dict[str, Any] = yaml.safe_load(HOSTS.read_text(encoding="utf-8"))
    config["provider"] |= {"head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "10.0.0.3"]} | changes
    return config


def problems(text: str, folder: Path) -> list[str]:
    """What the check says of a file of that text."""
    file = folder / "file"
    file.write_text(text, encoding="utf-8")
    return [str(problem) for problem in check.check(read(file))]


def test_two_hosts_are_good(tmp_path: Path) -> None:
    assert problems(yaml.safe_dump(hosts()), tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"head_ip": None}, "provider.head_ip: missing"),
        ({"worker_ips": "10.0.0.2"}, "provider.worker_ips: '10.0.0.2': '10.0.0.2' is not of"),
        ({"worker_ips": ["10.0.0.2", "10.0.0.2"]}, "worker_ips[1]: '10.0.0.2': named twice"),
        ({"worker_ips": ["10.0.0.1"]}, "worker_ips[0]: '10.0.0.1': named twice"),
        ({"head_ip": "127.0.0.1"}, "provider.head_ip: '127.0.0.1': is another machine on each"),
        ({"coordinator_address": "10.0.0.9:80"}, "hands out hosts without a token"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_list_of_hosts_is_one_of_different_machines(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    (line,) = problems(yaml.safe_dump(hosts(**changes)), tmp_path)
    assert expected in line


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("available_node_types", {"a": {}}, "available_node_types"),
        ("auth", {}, "auth.ssh_user: missing"),
        ("head_start_ray_commands",
         ["export RAY_AUTH_MODE=token; ray start --head --autoscaling-config=~/x.yaml"],
         "no worker would ever start"),
        ("worker_start_ray_commands", ["ray start --address=$RAY_HEAD_IP:6379"], "RAY_AUTH_MODE"),
        ("setup_commands", ["uv pip install -c constraints.txt ray==2.60.0"], "RAYDISTILL_STORAGE"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_the_rules_of_all_clusters_hold_for_hosts(
    key: str, value: object, expected: str, tmp_path: Path
) -> None:
    found = problems(yaml.safe_dump(hosts() | {key: value}), tmp_path)
    assert any(expected in line for line in found), found


def test_a_shared_folder_is_a_storage_path_of_hosts(tmp_path: Path) -> None:
    text = yaml.safe_dump(hosts()).replace("FILL_IN_URI_OR_SHARED_FOLDER", "/shared/results")
    assert problems(text, tmp_path) == []
    text = yaml.safe_dump(hosts()).replace("FILL_IN_URI_OR_SHARED_FOLDER", "results")
    (line,) = problems(text, tmp_path)
    assert "'results': is another folder on each node" in line


FROM_PODS = "    - from:\n        - podSelector:\n            matchLabels: {app: raydistill}\n"
HEAD = "          containers:\n            - name: ray-head"
ENVIRONMENT = "envFrom: &bucket\n"
JOB_MISTAKES = [
    (" --resume auto", "", "a second run would be refused"),
    ("s3://FILL_IN_BUCKET/raydistill", "/data", "results would end with their pod"),
    ("mode: token", "mode: disabled", "authOptions.mode: 'disabled'"),
    ("secretName: raydistill-token", "enableK8sTokenAuth: false", "secretName: missing"),
    ("serviceType: ClusterIP", "serviceType: LoadBalancer", "beyond the cluster"),
    ("serviceType: ClusterIP", "enableIngress: true", "enableIngress: True"),
    ('rayVersion: "2.60.0"', 'rayVersion: "2.59.0"', "rayVersion: '2.59.0'"),
    ('num-cpus: "0"', 'num-cpus: "4"', "num-cpus: '4'"),
    ("raydistill:FILL_IN_TAG", "raydistill:latest", "names no version"),
    ("policyTypes: [Ingress]", "policyTypes: [Egress]", "no NetworkPolicy of this file"),
    (FROM_PODS, "    - {}\n", "admits everybody"),
    (ENVIRONMENT, f"env: [{{name: RAY_AUTH_TOKEN, value: abc}}]\n              {ENVIRONMENT}",
     "holds no secret"),
    (HEAD, f"          hostNetwork: true\n{HEAD}", "hostNetwork"),
    ("kind: NetworkPolicy", "kind: Secret", "kubectl create secret"),
    ("kind: RayJob", "kind: RayCluster", "give one RayJob"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), JOB_MISTAKES, ids=lambda text: text[:30])
def test_a_mistake_in_a_job_is_named(old: str, new: str, expected: str, tmp_path: Path) -> None:
    text = RAYJOB.read_text(encoding="utf-8")
    assert old in text
    found = problems(text.replace(old, new, 1), tmp_path)
    assert found
    assert all(expected in line for line in found) or expected in found[0], found
    assert "abc" not in " ".join(found)  # no secret is repeated


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("RAY_AUTH_MODE=token ", "", "RAY_AUTH_MODE: missing"),
        ("umask 077", "umask 022", "umask: missing"),
        ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "--dashboard-host: '0.0.0.0'"),
        ("--disable-usage-stats", "--node-ip-address=0.0.0.0", "opens it to the world"),
        ("#SBATCH --requeue\n", "", "#SBATCH --requeue: missing"),
        ("#SBATCH --signal=B:USR1@300\n", "", "#SBATCH --signal: missing"),
        ("--address \"$address\" --resume auto", "--address \"$address\"", "--resume: missing"),
        ("\nfi\n", "\n", "bash cannot read it"),
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_mistake_in_a_batch_script_is_named(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    text = SLURM.read_text(encoding="utf-8")
    assert old in text
    found = problems(text.replace(old, new, 1), tmp_path)
    assert any(expected in line for line in found), found


SMALL_DEFINITION = {
    "spec": {
        "group": "ray.io",
        "names": {"kind": "RayJob"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"},
                "metadata": {"type": "object"},
                "spec": {"type": "object", "required": ["entrypoint"], "properties": {
                    "entrypoint": {"type": "string", "description": "a command"},
                    "backoffLimit": {"type": "integer"},
                    "cpu": {"x-kubernetes-int-or-string": True, "anyOf": []},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                }},
            },
        }}}],
    }
}  # fmt: skip
"""What a CustomResourceDefinition is made of."""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"entrypoint": "x", "cpu": "4", "labels": {"a": "b"}, "free": {"any": 1}}, []),
        ({"entrypoint": "x", "cpu": 4}, []),
        ({"entrypoint": "x", "backofLimit": 1}, ["nearest allowed one is 'backoffLimit'"]),
        ({"entrypoint": "x", "backoffLimit": "1"}, ["spec.backoffLimit: '1'"]),
        ({"entrypoint": "x", "labels": {"a": 1}}, ["spec.labels.a: 1"]),
        ({}, ["'entrypoint' is a required property"]),
    ],
    ids=str,
)
def test_a_definition_is_held_against_a_manifest(
    spec: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "crd.yaml.gz"
    file.write_bytes(gzip.compress(yaml.safe_dump(SMALL_DEFINITION).encode()))
    manifest = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {}, "spec": spec}
    found = [str(problem) for problem in crd.problems([manifest], crd.read(file))]
    assert len(found) == len(expected)
    assert all(words in line for words, line in zip(expected, found, strict=True)), found
    old = manifest | {"apiVersion": "ray.io/v1alpha1"}
    (line,) = (str(problem) for problem in crd.problems([old], crd.read(file)))
    assert "the definition has ray.io/v1" in line


def test_what_is_no_definition_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (b"", b"a: 1", b"\xff\xfe", b"[1]", b"spec: {group: a, versions: [1]}"):
        file = tmp_path / "crd.yaml"
        file.write_bytes(content)
        assert check.main([str(RAYJOB), "--crd", str(file)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "is no CustomResourceDefinition" in line
    assert check.main([str(RAYJOB), "--crd", str(tmp_path / "absent")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.skipif(
    CRD_VARIABLE not in os.environ,
    reason=f"{CRD_VARIABLE} names no file: KubeRay's helm-chart/kuberay-operator/crds has it",
)
def test_the_shipped_job_satisfies_the_published_definition(tmp_path: Path) -> None:
    definition = crd.read(Path(os.environ[CRD_VARIABLE]))
    text = RAYJOB.read_text(encoding="utf-8")

    def objections(text: str) -> list[str]:
        parts = [part for part in yaml.safe_load_all(text) if part["kind"] == "RayJob"]
        return [str(problem) for problem in crd.problems(parts, definition)]

    assert objections(text) == []
    mistakes = {"backoffLimit": "backofLimit", "envFrom": "envFrm", "cpu: 200m": "cpu: [1]",
                "minReplicas: 0": "minReplicas: none"}  # fmt: skip
    for old, new in mistakes.items():
        assert old in text
        found = objections(text.replace(old, new, 1))
        assert any(new.split(":")[0] in line for line in found)


def test_one_version_of_ray_and_of_uv_stands_in_all_files() -> None:
    files = [ROOT / "cluster.yaml", *sorted((ROOT / "cluster").iterdir())]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    (pinned,) = re.findall(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert set(re.findall(r"ray\[[\w,]+\]==([\w.]+)|rayVersion: \"(.*)\"", text)) == {
        (pinned, ""), ("", pinned),
    }  # fmt: skip
    assert len(set(re.findall(r"uv(?:==|/)(\d[\w.]+)", text))) == 1
    installs = re.findall(r"pip install (?!--no-cache-dir uv==)(.*)", text)
    assert len(installs) == 4  # two of cluster.yaml, one of the hosts, one of the image
    assert all("--constraint" in line and "constraints.txt" in line for line in installs)
