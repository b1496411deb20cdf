"""Whether a cluster is closed to strangers and able to store its results: our own rules.

Ray's defaults leave a cluster open to whoever reaches it. Each rule reads a file that the schema
has accepted and that Ray has completed, and yields what is wrong.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import ray

from raydistill.cluster.cluster_file.problems import Config, Problem, strings

TOKEN_FILE = "~/.ray/auth_token"
TOKEN_SETTING = re.compile(r"^RAY_AUTH_MODE=(?P<mode>.*)$")
DASHBOARD_HOST = re.compile(r"--dashboard-host(?:=|\s+)(?P<host>[^\s;&|]+)")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
RAY_REQUIREMENT = re.compile(r"(?<![\w./-])ray(?:\[[^\]]*\])?\s*==\s*(?P<version>[\w.+!*-]+)")


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
