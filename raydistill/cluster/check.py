"""Check a cluster file without contacting anything, or say what it would run where.

    python -m raydistill.cluster.check [FILE ...] [--require-filled] [--dry-run] [--crd FILE]

By default `cluster.yaml`. A file may be for `ray up` (on AWS, or a list of hosts), for KubeRay or
for Slurm; its content says which. Two questions are asked. Would the program that reads it accept
it (`cluster_file/schema.py`, `cluster_file/crd.py`)? And is the cluster closed to strangers, of one
version of everything, and able to store its results (the other modules of `cluster_file/`)?

Exit status: 0 when nothing is wrong, 2 otherwise, with one line a problem on standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from raydistill.cluster.cluster_file import crd, outline, ray_up, rayjob, slurm
from raydistill.cluster.cluster_file.documents import Document, Kind, UnreadableError, read
from raydistill.cluster.cluster_file.pins import pinned_version
from raydistill.cluster.cluster_file.problems import (
    PLACEHOLDER,
    Config,
    Entry,
    Problem,
    strings,
)
from raydistill.cluster.cluster_file.rules import TOKEN_FILE
from raydistill.console import ExitStatus, prepare_output, shell_command

MAKE_TOKEN = "(umask 077 && ray get-auth-token --generate > /dev/null)"
"""Ray itself would write the token for all to read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the files that the command line names; returns the exit status."""
    prepare_output()
    options = _parser().parse_args(arguments)
    statuses = [_check_file(file, options) for file in options.files]
    return max(statuses)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m raydistill.cluster.check",
        description="Check cluster files, for ray up, KubeRay or Slurm; nothing is contacted.",
    )
    parser.add_argument("files", nargs="*", default=[Path("cluster.yaml")], type=Path)
    parser.add_argument(
        "--require-filled",
        action="store_true",
        help="also refuse placeholders, missing local files and a readable token: before a start",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would run where, and start nothing"
    )
    parser.add_argument(
        "--crd",
        type=Path,
        metavar="FILE",
        help="custom-resource definition that a RayJob must satisfy: "
        "`kubectl get crd rayjobs.ray.io -o yaml`, or KubeRay's own file; .gz is read as well",
    )
    return parser


def _check_file(file: Path, options: argparse.Namespace) -> int:
    try:
        document = read(file)
        schema = crd.read(options.crd) if options.crd and document.kind == Kind.RAYJOB else None
    except UnreadableError as error:
        print(f"{file}: {error.problem}", file=sys.stderr)
        return ExitStatus.REFUSED
    problems = check(document, schema)
    unfilled = placeholders(document)
    if options.require_filled and not problems:
        problems = [Problem(entry.field, entry.text, "fill it in") for entry in unfilled]
        if document.kind == Kind.RAY_UP:
            problems += launch_problems(document.config)
    for problem in problems:
        print(f"{file}: {problem}", file=sys.stderr)
    if problems:
        return ExitStatus.REFUSED
    if unfilled:
        names = ", ".join(entry.field for entry in unfilled)
        print(f"{file}: warning: still to fill in: {names}", file=sys.stderr)
    version, _ = pinned_version(file)
    print(f"{file}: good for Ray {version}: {CHECKED[document.kind]}")
    if options.dry_run:
        for line in outline.outline(document):
            print(f"  {line}")
    return ExitStatus.OK


CHECKED = {
    Kind.RAY_UP: ray_up.CHECKED,
    Kind.RAYJOB: rayjob.CHECKED,
    Kind.SLURM: slurm.CHECKED,
}


def check(document: Document, schema: crd.Definition | None = None) -> list[Problem]:
    """All that is wrong with a cluster file.

    Args:
        document: the file.
        schema: of a RayJob, if there is one to hold it against.
    """
    version, problems = pinned_version(document.file)
    if document.kind == Kind.RAY_UP:
        return problems + ray_up.problems(document.config, version)
    if document.kind == Kind.SLURM:
        return problems + list(slurm.problems(document))
    if schema is not None:
        problems += crd.problems(document.parts, schema)
    return problems + list(rayjob.problems(document.parts, version))


def placeholders(document: Document) -> list[Entry]:
    """Values still to fill in, each where it stands first."""
    first: dict[str, Entry] = {}
    for part in document.parts:
        for entry in strings(part):
            if PLACEHOLDER in entry.text:
                first.setdefault(entry.text, entry)
    for number, line in enumerate(document.text.splitlines(), start=1):
        if not document.parts and PLACEHOLDER in line:
            first.setdefault(line, Entry(f"line {number}", line.strip()))
    return list(first.values())


def launch_problems(config: Config) -> Iterator[Problem]:
    """What `ray up` would send from this machine and cannot, or should not yet."""
    for remote, local in config.get("file_mounts", {}).items():
        field = f"file_mounts.{remote}"
        path = Path(str(local)).expanduser()
        if not path.exists():
            remedy = MAKE_TOKEN if remote == TOKEN_FILE else "start from the folder that has it"
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
