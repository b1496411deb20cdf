"""The rules of a KubeRay RayJob: closed to strangers, resumable, its results in a bucket."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raydistill.cluster.cluster_file.problems import Config, Problem, strings

CHECKED = (
    "token from a Secret, network policy, no ingress, pinned Ray, resumable, storage in a bucket"
)
STORAGE_PATH = re.compile(r"--storage-path(?:=|\s+)(?P<place>\S+)")
RESUME = re.compile(r"--resume(?:=|\s+)auto\b")
EXPOSED = ("NodePort", "LoadBalancer")
TOKEN_VARIABLE = "RAY_AUTH_TOKEN"


def jobs(parts: Sequence[Config]) -> list[Config]:
    """The RayJobs among the documents of a manifest."""
    return [part for part in parts if part.get("kind") == "RayJob"]


def problems(parts: Sequence[Config], version: str) -> Iterator[Problem]:
    """What is wrong with a manifest.

    Args:
        parts: its documents.
        version: of Ray, that its image must hold.
    """
    if len(jobs(parts)) != 1:
        yield Problem("kind", [part.get("kind") for part in parts], "give one RayJob")
    for part in parts:
        if part.get("kind") == "Secret":
            remedy = "a file that is shared holds no secret: `kubectl create secret`, see the docs"
            yield Problem("kind", "Secret", remedy)
    for job in jobs(parts):
        spec = _at(job, "spec")
        yield from _entrypoint(spec)
        yield from _token(spec)
        yield from _closed(spec)
        yield from _network_policy(spec, parts)
        yield from _versions(spec, version)
        yield from _head_for_drivers(spec)


def _at(node: object, path: str) -> Any:
    """What stands at a dotted path; an empty mapping where there is nothing."""
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return {} if node is None else node


def pod_groups(spec: Config) -> dict[str, Config]:
    """The pods that a job starts, by the field that describes them."""
    groups = {"rayClusterSpec.headGroupSpec": _at(spec, "rayClusterSpec.headGroupSpec")}
    workers = _at(spec, "rayClusterSpec.workerGroupSpecs") or []
    for index, group in enumerate(workers):
        groups[f"rayClusterSpec.workerGroupSpecs[{index}]"] = group
    return {f"spec.{field}": group for field, group in groups.items()}


def _entrypoint(spec: Config) -> Iterator[Problem]:
    command = spec.get("entrypoint") or ""
    found = STORAGE_PATH.search(command)
    if found is None or "://" not in found["place"] or found["place"].startswith("file:"):
        remedy = "results would end with their pod: --storage-path s3://bucket/path"
        yield Problem("spec.entrypoint", command, remedy)
    if not RESUME.search(command):
        remedy = "a second run would be refused, since the sweep's name exists: --resume auto"
        yield Problem("spec.entrypoint", command, remedy)


def _token(spec: Config) -> Iterator[Problem]:
    options = _at(spec, "rayClusterSpec.authOptions")
    mode = options.get("mode")
    if mode != "token":
        remedy = "without a token every pod of the cluster's network runs code: give token"
        yield Problem("spec.rayClusterSpec.authOptions.mode", mode, remedy)
    if not options.get("secretName"):
        remedy = "name the Secret that holds the token, under its key auth_token"
        yield Problem("spec.rayClusterSpec.authOptions.secretName", None, remedy)
    for field, group in pod_groups(spec).items():
        for container in _at(group, "template.spec.containers") or []:
            for variable in container.get("env") or []:
                if variable.get("name") == TOKEN_VARIABLE and "value" in variable:
                    remedy = "a shared file holds no secret: authOptions.secretName brings it"
                    yield Problem(f"{field} env {TOKEN_VARIABLE}", "(a token)", remedy)


def _closed(spec: Config) -> Iterator[Problem]:
    head = _at(spec, "rayClusterSpec.headGroupSpec")
    field = "spec.rayClusterSpec.headGroupSpec"
    if head.get("serviceType") in EXPOSED:
        remedy = "opens Ray's ports beyond the cluster: ClusterIP, and `kubectl port-forward`"
        yield Problem(f"{field}.serviceType", head["serviceType"], remedy)
    if head.get("enableIngress"):
        remedy = "opens the dashboard beyond the cluster: false, and `kubectl port-forward`"
        yield Problem(f"{field}.enableIngress", True, remedy)
    for group_field, group in pod_groups(spec).items():
        if _at(group, "template.spec").get("hostNetwork"):
            remedy = "puts Ray's ports on the machine, past every network policy: leave it out"
            yield Problem(f"{group_field}.template.spec.hostNetwork", True, remedy)


def _network_policy(spec: Config, parts: Sequence[Config]) -> Iterator[Problem]:
    """Some policy selects every pod of the job, and none of them admits everybody."""
    if _at(spec, "rayClusterSpec.networkPolicy").get("mode", "") in ("DenyAll", "DenyAllIngress"):
        return  # KubeRay writes one itself
    policies = [part for part in parts if part.get("kind") == "NetworkPolicy"]
    for policy in policies:
        for index, rule in enumerate(_at(policy, "spec.ingress") or []):
            if not rule or not rule.get("from"):
                remedy = "admits everybody: name who may come, under `from`"
                yield Problem(f"NetworkPolicy spec.ingress[{index}]", rule, remedy)
    for field, group in pod_groups(spec).items():
        labels = _at(group, "template.metadata.labels")
        if not any(_selects(policy, labels) for policy in policies):
            remedy = "no NetworkPolicy of this file selects it, so that every pod reaches its "
            remedy += "ports, and the token travels unencrypted: see cluster/rayjob.yaml"
            yield Problem(f"{field}.template.metadata.labels", labels, remedy)


def _selects(policy: Config, labels: Config) -> bool:
    """Whether a policy of ingress is about pods of these labels."""
    types = _at(policy, "spec.policyTypes") or ["Ingress"]
    wanted = _at(policy, "spec.podSelector.matchLabels")
    return "Ingress" in types and all(labels.get(key) == value for key, value in wanted.items())


def _versions(spec: Config, version: str) -> Iterator[Problem]:
    found = _at(spec, "rayClusterSpec").get("rayVersion")
    if found != version:
        remedy = f"the image has what constraints.txt names: give '{version}'"
        yield Problem("spec.rayClusterSpec.rayVersion", found, remedy)
    for entry in strings(spec, "spec"):
        if entry.field.endswith(".image") and re.search(r"(^|[:/])latest$|^[^:]+$", entry.text):
            remedy = "names no version, so that two pods may differ: give a tag or a digest"
            yield Problem(entry.field, entry.text, remedy)


def _head_for_drivers(spec: Config) -> Iterator[Problem]:
    field = "spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus"
    found = _at(spec, "rayClusterSpec.headGroupSpec.rayStartParams").get("num-cpus")
    if found != "0":
        remedy = "trials would run beside the search and take it down with them: give '0'"
        yield Problem(field, found, remedy)
