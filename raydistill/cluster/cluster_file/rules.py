"""Whether a cluster is closed to strangers and able to store its results: our own rules.

Ray's defaults leave a cluster open to whoever reaches it. Each rule reads a file that the schema
has accepted and that Ray has completed, and yields what is wrong.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from raydistill.cluster.cluster_file.pins import CONSTRAINTS
from raydistill.cluster.cluster_file.problems import PLACEHOLDER, Config, Problem, strings

TOKEN_FILE = "~/.ray/auth_token"
TOKEN_SETTING = re.compile(r"^RAY_AUTH_MODE=(?P<mode>.*)$")
DASHBOARD_HOST = re.compile(r"--dashboard-host(?:=|\s+)(?P<host>[^\s;&|]+)")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STORAGE_VARIABLE = "RAYDISTILL_STORAGE"
"""Says on every node where sweeps and the store are; commands name it as their storage path."""
STORAGE_SETTING = re.compile(rf"{STORAGE_VARIABLE}=(?P<place>[^\s;&|>]+)")
INSTALL = re.compile(r"\bpip3?\s+install\b")
CONSTRAINED = re.compile(rf"(?:-c|--constraints?)[\s=]+\S*{re.escape(CONSTRAINTS)}")
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


def no_open_address(config: Config) -> Iterator[Problem]:
    """Nothing listens on, or admits, every address."""
    for entry in strings(config):
        # The dashboard's address has a rule and a remedy of its own.
        rest = DASHBOARD_HOST.sub("", entry.text)
        if "0.0.0.0" in rest or "::/0" in rest:
            yield Problem(entry.field, entry.text, "opens it to the world: name one address")


def pinned_ray(config: Config, version: str) -> Iterator[Problem]:
    """Every node installs one version of Ray, and everything else from the same list.

    Args:
        config: of the file.
        version: that `constraints.txt` names.
    """
    remedy = f'uv pip install -c {CONSTRAINTS} "ray[default,tune,train]=={version}"'
    wrong: dict[str, Problem] = {}  # Ray copies `setup_commands` into each role's: report it once
    for entry in strings(config):
        for found in RAY_REQUIREMENT.findall(entry.text):
            if found != version:
                wrong.setdefault(entry.text, Problem(entry.field, entry.text, remedy))
        if INSTALL.search(entry.text) and not CONSTRAINED.search(entry.text):
            reason = f"nodes would differ in versions: install with `-c {CONSTRAINTS}`"
            wrong.setdefault(entry.text, Problem(entry.field, entry.text, reason))
    yield from wrong.values()
    installs = {f"setup_commands ({r})": config[f"{r}_setup_commands"] for r in ("head", "worker")}
    for name, node in config["available_node_types"].items():
        if "worker_setup_commands" in node:  # replaces the common commands for that type
            field = f"available_node_types.{name}.worker_setup_commands"
            installs[field] = node["worker_setup_commands"]
    for field, lines in installs.items():
        if not any(RAY_REQUIREMENT.search(line) for line in lines):
            yield Problem(field, None, f"pins no version of Ray: {remedy}")
    if not any(str(local).endswith(CONSTRAINTS) for local in config["file_mounts"].values()):
        yield Problem("file_mounts", None, f"{CONSTRAINTS} reaches no node: add it")


def named_storage(config: Config) -> Iterator[Problem]:
    """Every node is told where results go, and that is no folder of one node."""
    places: dict[str, str] = {}  # a place is named for each role, and complained of once
    for role in ("head", "worker"):
        field = f"{role}_setup_commands"
        named = [
            found["place"].strip("'\"")
            for line in config[field]
            for found in STORAGE_SETTING.finditer(line)
        ]
        places |= dict.fromkeys(named, field)
        if not named:
            remedy = f"results would stay on a node: echo 'export {STORAGE_VARIABLE}=s3://...' in"
            yield Problem(field, None, f"{remedy} a setup command, as cluster.yaml does")
    cloud = config["provider"]["type"] != "local"
    for place, field in places.items():
        shared = "://" in place or PLACEHOLDER in place or (place.startswith("/") and not cloud)
        if not shared or place.startswith("file:"):
            remedy = "is another folder on each node: give a URI such as s3://bucket/path"
            yield Problem(f"{field} {STORAGE_VARIABLE}", place, remedy)


RULES = (token_authentication, loopback_dashboard, no_open_address, named_storage)
