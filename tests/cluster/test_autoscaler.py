"""What an autoscaler may start: on a cloud, on a list of hosts, with KubeRay."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.autoscaler._private.local.config import prepare_local

from raydistill.cluster.autoscaler import autoscaling_of, config_here
from raydistill.cluster.design.resources import ClusterCapacity, NodeGroup

ROOT = Path(__file__).resolve().parents[2]


def test_the_cluster_file_of_the_project_from_zero() -> None:
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    head = NodeGroup(float(config["available_node_types"]["head"]["resources"]["CPU"]))
    found = autoscaling_of(config, (head,), head)
    cluster = ClusterCapacity((head,), found)
    assert cluster.gpus == 4.0  # of eight that the two types allow
    assert cluster.workers(1.0) == 4


def test_a_list_of_hosts_says_nothing_of_their_size() -> None:
    provider = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "10.0.0.3"]}
    config, _ = prepare_local({"cluster_name": "hosts", "provider": provider})
    head = NodeGroup(0.0)
    assert ClusterCapacity((head,), autoscaling_of(config, (head,), head)).cpus == 0.0
    worker = NodeGroup(8.0, 1.0)
    cluster = ClusterCapacity((head, worker), autoscaling_of(config, (head, worker), head))
    assert (cluster.cpus, cluster.gpus) == (16.0, 2.0)  # the host that is still to come, too


def ray_cluster() -> dict[str, Any]:
    def group(resources: dict[str, str], **more: Any) -> dict[str, Any]:
        container = {"name": "ray", "resources": {"limits": resources}}
        template = {"spec": {"containers": [container]}}
        return {"rayStartParams": {}, "template": template, **more}

    head = group({"cpu": "2"})
    head["rayStartParams"] = {"num-cpus": "0"}
    limits = {"cpu": "4", "nvidia.com/gpu": "1"}
    gpus = group(limits, groupName="gpu", minReplicas=0, maxReplicas=3, replicas=0)
    return {
        "metadata": {"name": "sweeps", "namespace": "default"},
        "spec": {
            "enableInTreeAutoscaling": True,
            "headGroupSpec": head,
            "workerGroupSpecs": [gpus],
        },
    }


def test_the_worker_groups_of_a_ray_cluster() -> None:
    config = _derive_autoscaling_config_from_ray_cr(ray_cluster())
    head = NodeGroup(0.0)
    cluster = ClusterCapacity((head,), autoscaling_of(config, (head,), head))
    assert (cluster.cpus, cluster.gpus, cluster.workers(1.0)) == (12.0, 3.0, 3)


@pytest.mark.parametrize("damaged", [{}, {"available_node_types": []}, {"max_workers": "many"}])
def test_a_configuration_that_is_none_is_an_error_and_no_number(damaged: dict[str, Any]) -> None:
    head = NodeGroup(1.0)
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        autoscaling_of(damaged, (head,), head)


def test_the_monitor_of_this_ray_says_where_its_configuration_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert config_here("10.1.2.3:6379") is None
    (tmp_path / "ray_bootstrap_config.yaml").write_text("cluster_name: left by another\n")
    assert config_here("10.1.2.3:6379") == {"cluster_name": "left by another"}

    own = tmp_path / "own.yaml"
    own.write_text("cluster_name: own\n")
    monitor = tmp_path / "monitor.py"
    monitor.write_text("import time\ntime.sleep(60)\n")
    for options, expected in (
        ([f"--autoscaling-config={own}"], {"cluster_name": "own"}),
        ([], None),  # a Ray that does not scale, whatever lies in HOME
    ):
        command = [sys.executable, str(monitor), "--gcs-address=10.1.2.3:6379", *options]
        with subprocess.Popen(command) as process:
            try:
                deadline = time.monotonic() + 5.0
                while config_here("10.1.2.3:6379") != expected and time.monotonic() < deadline:
                    time.sleep(0.01)  # until the new process has its command line
                assert config_here("10.1.2.3:6379") == expected
            finally:
                process.kill()
