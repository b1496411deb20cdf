"""Whether Kubernetes would accept a manifest: the custom-resource definition's own schema."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from raydistill.cluster.cluster_file.documents import UnreadableError
from raydistill.cluster.cluster_file.problems import Config, Problem
from raydistill.cluster.cluster_file.schema import schema_problems, unknown_keys

LARGEST = 64 * 2**20
"""Bytes of a definition; KubeRay's have a million and a half."""


@dataclass(frozen=True)
class Definition:
    """Schemas of a kind of resource.

    Attributes:
        kind: such as RayJob.
        versions: schema by apiVersion, such as ray.io/v1.
    """

    kind: str
    versions: dict[str, Config]


def read(file: Path) -> Definition:
    """Read a CustomResourceDefinition, gzipped or not.

    Raises:
        UnreadableError: it is none.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            content = stream.read(LARGEST)
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        definition = yaml.load(content, loader)  # as safe_load, ten times as fast where C is there
        spec = definition["spec"]
        versions = {
            f"{spec['group']}/{version['name']}": _json_schema(version["schema"]["openAPIV3Schema"])
            for version in spec["versions"]
        }
        return Definition(spec["names"]["kind"], versions)
    except (OSError, EOFError) as error:
        raise UnreadableError(file, f"cannot be read ({error}): name another") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        what = f"is no CustomResourceDefinition ({type(error).__name__}: {error})"
        where = "`kubectl get crd rayjobs.ray.io -o yaml` writes one"
        raise UnreadableError(file, f"{what}: {where}") from None


def problems(parts: Sequence[Config], definition: Definition) -> Iterator[Problem]:
    """What the definition objects to in the manifests of its kind: unknown keys first."""
    for part in parts:
        if part.get("kind") != definition.kind:
            continue
        schema = definition.versions.get(str(part.get("apiVersion")))
        if schema is None:
            remedy = f"the definition has {', '.join(definition.versions)}: give one of these"
            yield Problem("apiVersion", part.get("apiVersion"), remedy)
            continue
        found = list(unknown_keys(part, schema)) or list(schema_problems(part, schema))
        yield from found


def _json_schema(node: Any) -> Any:
    """The schema as JSON Schema has it: closed, since Kubernetes drops unknown keys in silence."""
    if isinstance(node, list):
        return [_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    schema = {key: _json_schema(value) for key, value in node.items() if key != "description"}
    if "properties" in node and isinstance(node["properties"], dict):
        schema["properties"] = {k: _json_schema(v) for k, v in node["properties"].items()}
        if node.get("type") == "object" and not node.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        schema["patternProperties"] = {".*": schema["additionalProperties"]}  # for `unknown_keys`
    if node.get("nullable") and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema
