"""Check `cluster.yaml` without contacting a cloud.

    python -m raydistill.cluster.check [cluster.yaml] [--require-filled]

Two questions are asked. Would Ray accept the file (`cluster_file/schema.py`)? And is the cluster
closed to strangers and able to store its results (`cluster_file/rules.py`)?

Exit status: 0 when nothing is wrong, 2 otherwise, with one line a problem on standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import ray
import yaml

from raydistill.cluster.cluster_file.problems import Config, Entry, Problem, strings
from raydistill.cluster.cluster_file.rules import RULES, TOKEN_FILE
from raydistill.cluster.cluster_file.schema import (
    fill_defaults,
    ray_schema,
    schema_problems,
    unknown_keys,
)
from raydistill.console import ExitStatus, prepare_output, shell_command

PLACEHOLDER = "FILL_IN"
CHECKED = (
    "schema, token authentication, loopback dashboard, security groups, instance profiles, "
    "images, no open address, pinned Ray"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the file that the command line names; returns the exit status."""
    prepare_output()
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
        return ExitStatus.REFUSED
    if unfilled:
        names = ", ".join(entry.field for entry in unfilled)
        print(f"{options.file}: warning: still to fill in: {names}", file=sys.stderr)
    print(f"{options.file}: good for Ray {ray.__version__}: {CHECKED}")
    return ExitStatus.OK


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
        config = fill_defaults(config)
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        return [Problem("as a whole", type(error).__name__, f"Ray refuses it: {error}")]
    return [problem for rule in RULES for problem in rule(config)]


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
                remedy = f"ray get-auth-token --generate > /dev/null && {_make_private(local)}"
            yield Problem(field, local, f"no such file here: {remedy}")
        elif remote == TOKEN_FILE and os.name == "posix" and path.stat().st_mode & 0o077:
            remedy = f"others on this machine can read it: {_make_private(local)}"
            yield Problem(field, local, remedy)


def _make_private(path: object) -> str:
    """The command that hides a file from others; a leading ~ stays for the shell to expand."""
    text = str(path)
    if text.startswith("~/"):
        return f"chmod 600 ~/{shell_command(text[2:])}"
    return shell_command("chmod", "600", text)


if __name__ == "__main__":
    sys.exit(main())
