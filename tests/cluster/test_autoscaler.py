"""What an autoscaler may start: on a cloud, on a list of hosts, with KubeRay."""

from __future__ import annotations

import json
import shlex
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.kuberay import node_provider
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.autoscaler._private.local.config import prepare_local

from raydistill.cluster import autoscaler
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


def test_the_ray_cluster_of_the_project() -> None:
    documents = yaml.safe_load_all((ROOT / "cluster" / "rayjob.yaml").read_text())
    (job,) = (document for document in documents if document["kind"] == "RayJob")
    cluster = {"metadata": ray_cluster()["metadata"], "spec": job["spec"]["rayClusterSpec"]}
    config = _derive_autoscaling_config_from_ray_cr(cluster)
    head = NodeGroup(0.0)
    found = ClusterCapacity((head,), autoscaling_of(config, (head,), head))
    assert found.gpus >= 1.0
    assert found.workers(1.0) == found.gpus
    assert found.several_nodes


class _Kubernetes(BaseHTTPRequestHandler):
    """Answers as the API server does, to who has the pod's token."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "Bearer of-this-pod"
        asked = self.path == "/apis/ray.io/v1/namespaces/default/rayclusters/sweeps"
        content = json.dumps(ray_cluster()).encode()
        self.send_response(200 if known and asked else 403)
        self.end_headers()
        self.wfile.write(content if known and asked else b"{}")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An API server over TLS, and a pod's account beside it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.crt"
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 1"
    command += f" -keyout {key} -out {certificate} -subj /CN=127.0.0.1"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    (tmp_path / "token").write_text("of-this-pod")
    (tmp_path / "namespace").write_text("default\n")
    monkeypatch.setattr(autoscaler, "NAMESPACE", tmp_path / "namespace")
    monkeypatch.setattr(node_provider, "IN_CLUSTER_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(node_provider, "IN_CLUSTER_CA_CERT_PATH", str(certificate))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("RAY_CLUSTER_NAME", "sweeps")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Kubernetes) as server:
        secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure.load_cert_chain(certificate, key)
        server.socket = secure.wrap_socket(server.socket, server_side=True)
        host = f"https://127.0.0.1:{server.server_port}"
        # A default argument of the function that makes addresses, taken when it is imported.
        defaults = (node_provider.KUBERAY_CRD_VER, host)
        monkeypatch.setattr(node_provider.url_from_resource, "__defaults__", defaults)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path
        server.shutdown()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_a_pod_of_a_ray_cluster_asks_kubernetes(kubernetes: Path) -> None:
    found = config_here("10.1.2.3:6379")
    assert found is not None
    assert found["available_node_types"]["gpu"]["max_workers"] == 3
    (kubernetes / "token").write_text("of-another-pod")
    assert config_here("10.1.2.3:6379") is None


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
