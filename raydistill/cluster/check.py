"""Check `cluster.yaml` before `ray up` reads it, without contacting a cloud.

    python -m raydistill.cluster.check [cluster.yaml] [--require-filled]

Two questions are asked. Would Ray accept the file? That is its own schema after its own defaults,
as in `ray up` before the first call to AWS. And is the cluster closed to strangers and able to
store its results? That is ours: Ray's defaults leave it open, and a misspelt key brings them back.

Exit status: 0 when nothing is wrong, 2 otherwise, with one line a problem on standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import difflib
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import ray.autoscaler
import yaml

# Private to Ray, and imported nowhere else in the project: `ray up` has no dry run.
from ray.autoscaler._private import util as ray_util

Config = dict[str, Any]

PLACEHOLDER = "FILL_IN"
TOKEN_FILE = "~/.ray/auth_token"
TOKEN_SETTING = re.compile(r"^RAY_AUTH_MODE=(?P<mode>.*)$")
DASHBOARD_HOST = re.compile(r"--dashboard-host(?:=|\s+)(?P<host>[^\s;&|]+)")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
RAY_REQUIREMENT = re.compile(r"(?<![\w./-])ray(?:\[[^\]]*\])?\s*==\s*(?P<version>[\w.+!*-]+)")
CHECKED = (
    "schema, token authentication, loopback dashboard, security groups, instance profiles, "
    "images, no open address, pinned Ray"
)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the file: where, what stands there (None: nothing), what to do."""

    field: str
    value: object
    remedy: str

    def __str__(self) -> str:
        """The problem as one line, however long the value is."""
        shown = "missing" if self.value is None else repr(self.value)
        if len(shown) > 100:
            shown = f"{shown[:97]}..."
        return " ".join(f"{self.field}: {shown}: {self.remedy}".split())


@dataclass(frozen=True)
class Entry:
    """A string somewhere in the file, and the path to it."""

    field: str
    text: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the file that the command line names; returns the exit status."""
    options = _parser().parse_args(arguments)
    config, problems = load(options.file)
    if not problems:
        problems = check(config)
    unfilled = placeholders(config)
    if options.require_filled and not problems:
        problems = [Problem(entry.field, entry.text, "fill it in") for entry in unfilled]
        problems += launch_problems(config)
    for problem in problems:
        print(f"{options.file}: {problem}", file=sys.stderr)
    if problems:
        return 2
    if unfilled:
        names = ", ".join(entry.field for entry in unfilled)
        print(f"{options.file}: warning: still to fill in: {names}", file=sys.stderr)
    print(f"{options.file}: good for Ray {ray.__version__}: {CHECKED}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m raydistill.cluster.check",
        description="Check a Ray cluster file without contacting a cloud.",
    )
    parser.add_argument("file", nargs="?", default="cluster.yaml", type=Path)
    parser.add_argument(
        "--require-filled",
        action="store_true",
        help="also refuse placeholders, missing local files and a readable token: for `ray up`",
    )
    return parser


def load(file: Path) -> tuple[Config, list[Problem]]:
    """Read a YAML mapping; an empty one and the reason where that is not possible."""
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, [Problem("file", str(file), f"cannot be read ({error.strerror}): name another")]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return {}, [Problem("file", str(file), f"is not YAML ({error}): mend it there")]
    if not isinstance(config, dict) or not config:
        found = "is empty" if config is None or config == {} else "is not a mapping of keys"
        return {}, [Problem("file", str(file), f"{found}: start from the project's cluster.yaml")]
    return config, []


def check(config: Config) -> list[Problem]:
    """All that is wrong with a configuration, as its file has it."""
    schema = ray_schema()
    # Keys first: one misspelt key makes the schema complain about three things that are right.
    problems = list(unknown_keys(config, schema)) or list(schema_problems(config, schema))
    provider = config.get("provider")
    if isinstance(provider, dict) and provider.get("type") not in (None, "aws"):
        remedy = "only 'aws' can be checked here: the rules are about its settings"
        problems.append(Problem("provider.type", provider["type"], remedy))
    if problems:
        return problems  # what follows reads sections that the schema has just vouched for
    try:
        # As `ray up` does before its first call to AWS: defaults filled in, then validated. What
        # it prints is advice for Docker, given with or without Docker.
        with contextlib.redirect_stdout(io.StringIO()):
            config = ray_util.prepare_config(copy.deepcopy(config))
            ray_util.validate_config(config)
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        return [Problem("as a whole", type(error).__name__, f"Ray refuses it: {error}")]
    return [problem for rule in RULES for problem in rule(config)]


def ray_schema() -> Config:
    """The schema that `ray up` of the installed version validates against."""
    file = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    schema: Config = json.loads(file.read_text(encoding="utf-8"))
    return schema


def unknown_keys(node: object, schema: Mapping[str, Any], path: str = "") -> Iterator[Problem]:
    """Keys that the schema does not have, each with the nearest that it has."""
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


def token_authentication(config: Config) -> Iterator[Problem]:
    """Both start commands turn the token on, and every node is given the token."""
    for role in ("head", "worker"):
        field = f"{role}_start_ray_commands"
        starts = [line for line in config[field] if "ray start" in line]
        if not starts:
            yield Problem(field, config[field], "must contain `ray start`")
        for line in starts:
            if _auth_mode_at_start(line) != "token":
                remedy = "without a token whoever reaches the node runs code: put"
                remedy += " `export RAY_AUTH_MODE=token;` before `ray start`"
                yield Problem(field, line, remedy)
    if TOKEN_FILE not in config["file_mounts"]:
        remedy = f"without the token no node starts: add `{TOKEN_FILE}: {TOKEN_FILE}`"
        yield Problem(f"file_mounts.{TOKEN_FILE}", None, remedy)


def _auth_mode_at_start(line: str) -> str | None:
    """The value of RAY_AUTH_MODE that the shell hands to the `ray start` of a command line."""
    exported: str | None = None
    for part in re.split(r"[;&|\n]+", line):
        try:
            words = shlex.split(part)
        except ValueError:  # an unbalanced quote: the shell would not start Ray either
            return None
        programs = [word.rsplit("/", 1)[-1] for word in words]
        before_ray = words[: programs.index("ray")] if "ray" in programs else words
        modes = [found["mode"] for word in before_ray if (found := TOKEN_SETTING.match(word))]
        if "ray" in programs and "start" in programs:
            return modes[-1] if modes else exported
        if modes and words[0] == "export":
            exported = modes[-1]
    return None


def loopback_dashboard(config: Config) -> Iterator[Problem]:
    """The dashboard, which runs whatever job it is handed, listens on loopback only."""
    for entry in strings(config):
        for found in DASHBOARD_HOST.finditer(entry.text):
            host = found["host"].strip("'\"")
            if host not in LOOPBACK:
                remedy = "use 127.0.0.1 and reach it by `ray dashboard cluster.yaml`"
                yield Problem(f"{entry.field} --dashboard-host", host, remedy)


def provider_settings(config: Config) -> Iterator[Problem]:
    """The region is named, and no security group is left for Ray to make."""
    provider = config["provider"]
    if not _is_given(provider.get("region")):
        yield Problem("provider.region", None, "name the one that your subnet and bucket are in")
    if "security_group" in provider:
        remedy = "its rules join a port 22 open to the world: use SecurityGroupIds instead"
        yield Problem("provider.security_group", provider["security_group"], remedy)


@dataclass(frozen=True)
class NodeSetting:
    """A setting of EC2 that every type of node must have, since Ray's own choice will not do."""

    key: str
    kind: type
    remedy: str


NODE_SETTINGS = (
    NodeSetting("SecurityGroupIds", list, "list yours, or Ray's opens port 22 to the world"),
    NodeSetting("IamInstanceProfile", dict, "give Name or Arn, or S3 refuses the node's results"),
    NodeSetting("ImageId", str, "name a current one, or Ray takes an Ubuntu 18.04"),
)


def node_settings(config: Config) -> Iterator[Problem]:
    """Every type of node has its own security group, instance profile and image."""
    for name, node in config["available_node_types"].items():
        for setting in NODE_SETTINGS:
            value = node["node_config"].get(setting.key)
            if not isinstance(value, setting.kind) or not _is_given(value):
                field = f"available_node_types.{name}.node_config.{setting.key}"
                yield Problem(field, value, setting.remedy)


def _is_given(value: object) -> bool:
    if isinstance(value, dict):
        return _is_given(value.get("Name") or value.get("Arn"))
    if isinstance(value, list):
        return bool(value) and all(_is_given(item) for item in value)
    return isinstance(value, str) and bool(value.strip())


def no_open_address(config: Config) -> Iterator[Problem]:
    """Nothing listens on, or admits, every address."""
    for entry in strings(config):
        # The dashboard's address has a rule and a remedy of its own.
        rest = DASHBOARD_HOST.sub("", entry.text)
        if "0.0.0.0" in rest or "::/0" in rest:
            yield Problem(entry.field, entry.text, "opens it to the world: name one address")


def pinned_ray(config: Config) -> Iterator[Problem]:
    """Every node installs the version of Ray that this project runs: no other can talk to it."""
    remedy = f'pip install "ray[default,tune,train]=={ray.__version__}", the version run here'
    wrong: dict[str, Problem] = {}  # Ray copies `setup_commands` into each role's: report it once
    for entry in strings(config):
        for version in RAY_REQUIREMENT.findall(entry.text):
            if version != ray.__version__:
                wrong.setdefault(entry.text, Problem(entry.field, entry.text, remedy))
    yield from wrong.values()
    installs = {f"setup_commands ({r})": config[f"{r}_setup_commands"] for r in ("head", "worker")}
    for name, node in config["available_node_types"].items():
        if "worker_setup_commands" in node:  # replaces the common commands for that type
            field = f"available_node_types.{name}.worker_setup_commands"
            installs[field] = node["worker_setup_commands"]
    for field, lines in installs.items():
        if not any(RAY_REQUIREMENT.search(line) for line in lines):
            yield Problem(field, None, f"pins no version of Ray: {remedy}")


RULES = (
    token_authentication,
    loopback_dashboard,
    provider_settings,
    node_settings,
    no_open_address,
    pinned_ray,
)


def placeholders(config: Config) -> list[Entry]:
    """Values still to fill in, each where it stands first."""
    first: dict[str, Entry] = {}
    for entry in strings(config):
        if PLACEHOLDER in entry.text:
            first.setdefault(entry.text, entry)
    return list(first.values())


def launch_problems(config: Config) -> Iterator[Problem]:
    """What `ray up` would send from this machine and cannot, or should not yet."""
    for remote, local in config.get("file_mounts", {}).items():
        field = f"file_mounts.{remote}"
        path = Path(str(local)).expanduser()
        if not path.exists():
            remedy = "start from the folder that has it"
            if remote == TOKEN_FILE:
                remedy = f"ray get-auth-token --generate > /dev/null && chmod 600 {local}"
            yield Problem(field, local, f"no such file here: {remedy}")
        elif remote == TOKEN_FILE and os.name == "posix" and path.stat().st_mode & 0o077:
            yield Problem(field, local, f"others on this machine can read it: chmod 600 {local}")


def strings(node: object, path: str = "") -> Iterator[Entry]:
    """Every string of a configuration, in the order of the file."""
    if isinstance(node, str):
        yield Entry(path, node)
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from strings(child, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from strings(child, f"{path}[{index}]")


if __name__ == "__main__":
    sys.exit(main())
