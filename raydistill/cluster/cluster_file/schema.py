"""Whether Ray would accept a cluster file: its schema after its defaults, as in `ray up`."""

from __future__ import annotations

import contextlib
import copy
import difflib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import ray.autoscaler

# Private to Ray, and imported nowhere else in the project: `ray up` has no dry run.
from ray.autoscaler._private import util as ray_util

from raydistill.cluster.cluster_file.problems import Config, Problem


def ray_schema() -> Config:
    """The schema that `ray up` of the installed version validates against."""
    file = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    schema: Config = json.loads(file.read_text(encoding="utf-8"))
    return schema


def unknown_keys(node: object, schema: Mapping[str, Any], path: str = "") -> Iterator[Problem]:
    """Keys that the schema does not have, each with the nearest that it has."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from unknown_keys(item, schema.get("items", {}), f"{path}[{index}]")
    if not isinstance(node, dict):
        return
    known: Mapping[str, Any] = schema.get("properties", {})
    anything = schema.get("patternProperties", {}).get(".*")
    closed = schema.get("additionalProperties") is False
    for key, child in node.items():
        field = f"{path}.{key}" if path else str(key)
        if not isinstance(key, str):
            yield Problem(field, child, "keys are text: put quotes around it")
        elif key in known:
            yield from unknown_keys(child, known[key], field)
        elif anything is not None:
            yield from unknown_keys(child, anything, field)
        # Ray lets a provider carry keys of its own, but near misses of known ones are mistakes.
        elif nearest := difflib.get_close_matches(key, known, 1, 0.6 if closed else 0.85):
            remedy = f"Ray has no such key, the nearest allowed one is {nearest[0]!r}"
            yield Problem(field, child, remedy)
        elif closed:
            yield Problem(field, child, f"Ray has no such key, allowed: {', '.join(sorted(known))}")


def schema_problems(config: Config, schema: Config) -> Iterator[Problem]:
    """What else the schema objects to: types, ranges, missing keys."""
    for error in jsonschema.Draft7Validator(schema).iter_errors(config):
        field = ".".join(str(part) for part in error.absolute_path) or "file"
        if error.validator == "required":
            yield Problem(field, None, error.message)
        elif error.validator != "additionalProperties":  # `unknown_keys` says it better
            yield Problem(field, error.instance, error.message)


def fill_defaults(config: Config) -> Config:
    """The file as `ray up` completes it before its first call to AWS, validated.

    Raises:
        ValueError, TypeError, RuntimeError, AssertionError: Ray refuses it.
    """
    # What Ray prints here is advice for Docker, given with or without Docker.
    with contextlib.redirect_stdout(io.StringIO()):
        completed: Config = ray_util.prepare_config(copy.deepcopy(config))
        ray_util.validate_config(completed)
    return completed
