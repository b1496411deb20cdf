"""Wait until the machines of a batch job have joined their Ray.

    python -m raydistill.cluster.gathering --address HOST:PORT --nodes 4 --seconds 300

A sweep that starts before would plan for the machines that are there. Exit status: 0 when all have
come; 0 as well, with a warning, when some have after all this time; 2 when Ray does not answer.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence

import ray

from raydistill.console import ExitStatus, prepare_output

PERIOD = 1.0
"""Seconds between two looks."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait; returns the exit status."""
    prepare_output()
    options = _parser().parse_args(arguments)
    try:
        ray.init(address=options.address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError) as error:
        print(f"address: {options.address!r} does not answer ({error})", file=sys.stderr)
        return ExitStatus.REFUSED
    try:
        there = wait_for_nodes(options.nodes, options.seconds)
    finally:
        ray.shutdown()
    print(f"{there} of {options.nodes} machines have joined {options.address}")
    if there < options.nodes:
        print("warning: the others would be used if they came later", file=sys.stderr)
    return ExitStatus.OK


def wait_for_nodes(number: int, seconds: float) -> int:
    """How many nodes are alive, once there are `number` or the time is over."""
    until = time.monotonic() + seconds
    while True:
        there = sum(bool(node["Alive"]) for node in ray.nodes())
        if there >= number or time.monotonic() >= until:
            return there
        time.sleep(PERIOD)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m raydistill.cluster.gathering")
    parser.add_argument("--address", required=True, help="host:port of Ray")
    parser.add_argument("--nodes", type=int, required=True, help="how many are expected")
    parser.add_argument("--seconds", type=float, default=300.0, help="the longest wait")
    return parser


if __name__ == "__main__":
    sys.exit(main())
