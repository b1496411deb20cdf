"""Tell Ray that this spot node is about to be taken, so that its trials move on in time.

    python -m raydistill.cluster.spot_notice

AWS announces it two minutes ahead in the metadata service of the machine, and often earlier, as a
recommendation to move what runs there. Either drains the node: Ray starts nothing more on it, and
the trials that run there write a checkpoint and are handed to another, which costs them nothing.

Each spot worker runs this in the background; one runs on a machine, and a second one ends at once.
It needs Ray only when there is something to tell.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from raydistill.console import ExitStatus, prepare_output

METADATA = "http://169.254.169.254"
"""Where AWS serves a machine's metadata."""

TOKEN_SECONDS = 21600
"""For which a token of the metadata service is asked, and after which another is."""

ANSWER_SECONDS = 2.0
"""How long the metadata service may take: it is on the machine's own network."""

DRAIN_SECONDS = 60.0
"""How long telling Ray may take, before it is tried again."""

UNKNOWN_DEADLINE = 120.0
"""Seconds that are left where the notice does not say."""


@dataclass(frozen=True)
class Notice:
    """What the metadata service announces.

    Attributes:
        kind: `interruption`, with a time, or `rebalance`, a recommendation.
        deadline: Unix time at which the machine goes; None if it is not known.
    """

    kind: str
    deadline: float | None

    def seconds_left(self, now: float) -> float | None:
        """Until the machine goes; None if it is not known."""
        return None if self.deadline is None else max(0.0, self.deadline - now)


class MetadataService:
    """The metadata service, version 2: every question carries a token.

    Args:
        url: where it answers.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._token, self._expires = "", 0.0

    def notice(self) -> Notice | None:
        """What is announced now; the interruption before the recommendation.

        Raises:
            OSError: it does not answer.
        """
        action = self._read("latest/meta-data/spot/instance-action")
        if action is not None:
            return Notice("interruption", _time_in(action))
        if self._read("latest/meta-data/events/recommendations/rebalance") is not None:
            return Notice("rebalance", None)
        return None

    def _read(self, path: str) -> str | None:
        """A page; None if there is none, which is the service's way to say that all is well."""
        if time.monotonic() >= self._expires:
            self._renew_token()
        request = urllib.request.Request(f"{self._url}/{path}")
        request.add_header("X-aws-ec2-metadata-token", self._token)
        try:
            return _answer(request)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            self._expires = 0.0  # 401: it wants another token
            raise

    def _renew_token(self) -> None:
        request = urllib.request.Request(f"{self._url}/latest/api/token", method="PUT")
        request.add_header("X-aws-ec2-metadata-token-ttl-seconds", str(TOKEN_SECONDS))
        self._token = _answer(request)
        self._expires = time.monotonic() + TOKEN_SECONDS / 2


def _answer(request: urllib.request.Request) -> str:
    # A proxy that the environment names is not on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=ANSWER_SECONDS) as answer:
        text: str = answer.read().decode()
    return text


def _time_in(action: str) -> float | None:
    """The Unix time in an instance action, `{"action": "terminate", "time": "...Z"}`."""
    try:
        return datetime.datetime.fromisoformat(json.loads(action)["time"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None


def drain_command(notice: Notice, address: str | None, node: str | None, now: float) -> list[str]:
    """The command that drains a node.

    Args:
        notice: why.
        address: host:port of the cluster's head; None for the cluster of this machine.
        node: Ray's id of the node; None for this machine's.
        now: Unix time.
    """
    command = [
        str(Path(sys.executable).with_name("ray")),
        "drain-node",
        "--reason",
        "DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message",
        f"spot notice: {notice.kind}",
    ]
    left = notice.seconds_left(now)
    if left is None and notice.kind == "interruption":
        left = UNKNOWN_DEADLINE
    if left is not None:
        command += ["--deadline-remaining-seconds", str(int(left))]
    if address is not None:
        command += ["--address", address]
    if node is not None:
        command += ["--node-id", node]
    return command


def watch(options: argparse.Namespace) -> None:
    """Ask until the interruption is announced and Ray has been told."""
    service = MetadataService(options.metadata_url)
    told: set[str] = set()
    silent = False
    while "interruption" not in told:
        try:
            notice = service.notice()
            silent = False
        except OSError as error:
            notice = None
            if not silent:
                _say(f"no answer from the metadata service ({error}); asking on")
            silent = True
        if notice is not None and notice.kind not in told and not _is_ignored(notice, options):
            _say(f"announced: {notice.kind}; draining this node")
            if _drain(notice, options):
                told.add(notice.kind)
        time.sleep(options.period)


def _is_ignored(notice: Notice, options: argparse.Namespace) -> bool:
    return notice.kind == "rebalance" and bool(options.ignore_rebalance)


def _drain(notice: Notice, options: argparse.Namespace) -> bool:
    """Whether Ray has been told."""
    command = drain_command(notice, options.address, options.node_id, time.time())
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DRAIN_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _say(f"Ray could not be told: {error}")
        return False
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        _say(f"Ray could not be told: {lines[-1] if lines else done.returncode}")
        return False
    _say("the node drains")
    return True


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch, unless another process of this machine does."""
    prepare_output()
    options = _parser().parse_args(arguments)
    options.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with FileLock(options.lock).acquire(timeout=0):
            watch(options)
    except Timeout:
        print("the spot notice of this machine is watched already")
    return ExitStatus.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m raydistill.cluster.spot_notice",
        description="Drain this node when AWS announces that it takes the machine back.",
    )
    parser.add_argument("--address", help="host:port of the head; by default this machine's Ray")
    parser.add_argument("--node-id", help="of the node, in Ray; by default this machine's")
    parser.add_argument("--metadata-url", default=METADATA, help="of the metadata service")
    parser.add_argument("--period", type=float, default=5.0, help="seconds between questions")
    parser.add_argument(
        "--ignore-rebalance",
        action="store_true",
        help="wait for the interruption itself, two minutes ahead",
    )
    parser.add_argument(
        "--lock",
        type=Path,
        default=Path.home() / ".raydistill" / "spot_notice.lock",
        help="held by the one process that watches",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
