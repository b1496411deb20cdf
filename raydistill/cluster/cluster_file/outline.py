"""What a cluster file would run where, as lines to read before anything is started."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from raydistill.cluster.cluster_file.documents import Document, Kind
from raydistill.cluster.cluster_file.problems import Config, strings
from raydistill.cluster.cluster_file.rayjob import jobs, pod_groups
from raydistill.cluster.cluster_file.rules import STORAGE_SETTING
from raydistill.cluster.cluster_file.schema import fill_defaults
from raydistill.cluster.cluster_file.slurm import directives


def outline(document: Document) -> Iterator[str]:
    """Lines on the machines, what each offers to trials, and the commands that they run."""
    if document.kind == Kind.SLURM:
        yield from _slurm(document)
    elif document.kind == Kind.RAYJOB:
        for job in jobs(document.parts):
            yield from _rayjob(job["spec"])
    elif document.config["provider"]["type"] == "local":
        yield from _hosts(document.config)
    else:
        yield from _aws(document.config)
    if document.kind == Kind.RAY_UP:
        yield from _commands(fill_defaults(document.config))


def _aws(config: Config) -> Iterator[str]:
    head = config["head_node_type"]
    for name, node in config["available_node_types"].items():
        settings = node["node_config"]
        market = "spot" if "InstanceMarketOptions" in settings else "on demand"
        least, most = node.get("min_workers", 0), node.get("max_workers", 0)
        number = "1" if name == head else f"{least} to {most}"
        zones = len(settings.get("SubnetIds", []))
        offers = _offers(node.get("resources", {}))
        yield (
            f"{name}: {number} x {settings.get('InstanceType')} ({market}, {zones} zones to choose "
            f"from), each offers {offers}"
        )
    yield f"workers together: at most {config.get('max_workers', 0)}"


def _hosts(config: Config) -> Iterator[str]:
    provider = config["provider"]
    yield f"head: {provider['head_ip']}: the search and Ray's services, no trials"
    for host in provider["worker_ips"]:
        yield f"worker: {host}: offers all CPUs and GPUs that Ray finds there"


def _offers(resources: Mapping[str, Any]) -> str:
    found = [f"{value} {name}" for name, value in resources.items() if value]
    return " and ".join(found) if found else "nothing to trials"


def _commands(config: Config) -> Iterator[str]:
    places = [m["place"] for e in strings(config) for m in STORAGE_SETTING.finditer(e.text)]
    yield f"storage: {places[0].rstrip(chr(39))}"
    setups = {role: config[f"{role}_setup_commands"] for role in ("head", "worker")}
    common = [line for line in setups["head"] if line in setups["worker"]]
    for line in common:
        yield f"each sets up: {_one_line(line)}"
    for role, lines in setups.items():
        for line in lines:
            if line not in common:
                yield f"{role} sets up: {_one_line(line)}"
        for line in config[f"{role}_start_ray_commands"]:
            yield f"{role} runs: {_one_line(line)}"


def _one_line(command: str) -> str:
    return " ".join(command.split())


def _rayjob(spec: Config) -> Iterator[str]:
    for field, group in pod_groups(spec).items():
        container = group["template"]["spec"]["containers"][0]
        name = group.get("groupName", "head")
        number = f"{group.get('minReplicas', 0)} to {group.get('maxReplicas', 0)}"
        resources = container.get("resources", {})
        asked = {**resources.get("requests", {}), **resources.get("limits", {})}
        asks = ", ".join(f"{key} {value}" for key, value in asked.items())
        count = "1" if field.endswith("headGroupSpec") else number
        cpus = group.get("rayStartParams", {}).get("num-cpus")
        offers = ", offers nothing to trials" if cpus == "0" else ""
        yield f"{name}: {count} x {container.get('image')} ({asks}){offers}"
    yield f"head runs: {spec['entrypoint']}"
    again = spec.get("backoffLimit", 0)
    yield f"after a failure: again on a fresh cluster, at most {again} times"


def _slurm(document: Document) -> Iterator[str]:
    options = directives(document.text)
    yield (
        f"{options.get('nodes', '1')} machines, each {options.get('cpus-per-task', '1')} CPUs, "
        f"{options.get('gpus-per-node', '0')} GPUs, {options.get('mem', 'some')} of memory, for at "
        f"most {options.get('time', 'the partition')}"
    )
    script = shlex.quote(str(document.file))
    yield f"the commands on each: bash {script} --dry-run sweeps/noise_injection.py ..."
