"""What a stranger on the same network reaches: nothing without the token."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.bed.bed import HEAD, address
from tests.bed.cluster import Cluster
from tests.bed.hosts import Host

PROBE = """
import json, sys, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor
import grpc

METHODS = [
    "NodeInfoGcsService/GetAllNodeInfo", "NodeManagerService/GetSystemConfig",
    "ObjectManagerService/Pull", "CoreWorkerService/NumPendingTasks", "RayletDriver/ClusterInfo",
    "ReporterService/HealthCheck", "LogService/ListLogs",
]  # one a service: which of them listens on a port is not known, and none of these does harm
places, token = json.loads(sys.argv[1]), sys.argv[2]

def http(place):
    request = urllib.request.Request(f"http://{place}/api/jobs/")
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return f"http {answer.status}"
    except urllib.error.HTTPError as error:
        return f"http {error.code}"
    except Exception as error:
        return type(error).__name__

def rpc(place):
    metadata = [("authorization", "Bearer " + token)] if token else []
    found = set()
    with grpc.insecure_channel(place) as channel:
        for method in METHODS:
            try:
                channel.unary_unary("/ray.rpc." + method)(b"", timeout=5, metadata=metadata)
                found.add("rpc OK")
            except grpc.RpcError as error:
                found.add("rpc " + error.code().name)
            if found & {"rpc UNAVAILABLE", "rpc DEADLINE_EXCEEDED"}:
                break  # nobody here who speaks this protocol
    return sorted(found)

with ThreadPoolExecutor(16) as pool:
    answers = zip(places, pool.map(http, places), pool.map(rpc, places))
    print(json.dumps({place: [one, *others] for place, one, others in answers}))
"""
CLOSED = {"http 401", "http 403", "rpc UNAUTHENTICATED"}
"""How an endpoint refuses who does not show the token; each must."""
NO_ANSWER = {
    "BadStatusLine",
    "ConnectionResetError",
    "RemoteDisconnected",
    "TimeoutError",
    "URLError",
    "rpc DEADLINE_EXCEEDED",
    "rpc UNAVAILABLE",
    "rpc UNIMPLEMENTED",
}
"""How one answers who speaks another protocol, or asks for what it does not do."""


def listening(host: Host) -> dict[int, str]:
    """Port -> program, of all that listens beyond the loopback of a host, but sshd."""
    found = {}
    for line in host.run(
        "ss --listening --tcp --numeric --processes --no-header"
    ).stdout.splitlines():
        place, users = line.split()[3], line.partition('users:(("')[2].partition('"')[0]
        interface, _, port = place.rpartition(":")
        if not interface.startswith("127.") and interface != "[::1]" and users != "sshd":
            found[int(port)] = users
    return found


def probe(cluster: Cluster, places: list[str], token: str = "") -> dict[str, set[str]]:
    """What endpoints, each host:port, answer to the stranger, by HTTP and by gRPC."""
    words = ["python", "-c", PROBE, json.dumps(places), token]
    answers = json.loads(cluster.bed.hosts["stranger"].run(shlex.join(words)).stdout)
    return {place: set(got) for place, got in answers.items()}


def test_every_endpoint_of_every_host_refuses_who_lacks_the_token(cluster: Cluster) -> None:
    programs = {
        f"{host.address}:{port}": f"{program} of {host.name}"
        for host in (cluster.bed.head, *cluster.bed.workers)
        for port, program in listening(host).items()
    }
    answers = probe(cluster, list(programs))
    assert {f"{address(HEAD)}:6379", f"{address(HEAD)}:10001"} <= answers.keys()
    open_ones = {
        f"{place}, {programs[place]}": got
        for place, got in answers.items()
        if not (got & CLOSED and got <= CLOSED | NO_ANSWER)
    }
    assert open_ones == {}


def test_with_the_token_the_same_call_is_answered(cluster: Cluster) -> None:
    token = cluster.bed.laptop.run("cat ~/.ray/auth_token").stdout.strip()
    store = f"{address(HEAD)}:6379"
    assert "rpc OK" in probe(cluster, [store], token)[store]
    assert "rpc UNAUTHENTICATED" in probe(cluster, [store], "0" * len(token))[store]


def test_the_dashboard_listens_on_loopback_only_and_asks_for_the_token(cluster: Cluster) -> None:
    head = cluster.bed.head
    assert 8265 not in listening(head)
    ask = "curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8265/api/jobs/"
    assert head.run(ask).stdout == "401"
    with_token = f'{ask} -H "Authorization: Bearer $(cat ~/.ray/auth_token)"'
    assert head.run(with_token).stdout == "200"


@pytest.mark.parametrize("kind", ["laptop", "head", "workers"])
def test_the_token_is_private_on_every_host(cluster: Cluster, kind: str) -> None:
    hosts = cluster.bed.workers if kind == "workers" else [cluster.bed.hosts[kind]]
    for host in hosts:
        assert host.run("stat -c %a ~/.ray/auth_token").stdout.strip() == "600", host.name
