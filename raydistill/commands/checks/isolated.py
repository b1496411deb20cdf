"""Functions called in a process of their own, so that nothing which they break ends the doctor.

A library built for another processor dies by a signal, a broken driver can hang: neither raises an
exception. A probe names a function by `module:function`; what it returns travels as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

SECONDS = 300.0
"""How long a probe may take from its start; importing torch from a slow disk takes minutes."""


class ProbeError(Exception):
    """A probe has given no answer; the message says why."""


class Probe:
    """A function that is being called in another process, from the moment this is constructed."""

    def __init__(self, function: str, **arguments: Any) -> None:
        self._deadline = time.monotonic() + SECONDS
        self._process: subprocess.Popen[bytes] | None = None
        self._reason = ""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, function, json.dumps(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:  # no more processes, no memory
            self._reason = f"no process can be started ({error.strerror or error})"

    def result(self) -> Any:
        """What the function has returned, once it has.

        Raises:
            ProbeError: it raised, its process died, or it took longer than `SECONDS`.
        """
        if self._process is None:
            raise ProbeError(self._reason)
        try:
            left = max(0.0, self._deadline - time.monotonic())
            output, errors = self._process.communicate(timeout=left)
        except subprocess.TimeoutExpired:
            self.end()
            raise ProbeError(f"gives no answer within {SECONDS:.0f} s") from None
        status = self._process.returncode
        if status < 0:
            raise ProbeError(f"its process is ended by {_signal_name(-status)}")
        if status:
            lines = errors.decode(errors="replace").strip().splitlines() or [f"status {status}"]
            raise ProbeError(lines[-1])
        try:
            return json.loads(output)
        except ValueError:
            raise ProbeError("its process ends early and gives no answer") from None

    def end(self) -> None:
        """Kill the process if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _answer(function: str, arguments: str) -> None:
    """In the other process: call the function and write what it returns to standard output."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no part of the answer
    module, _, name = function.partition(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    with open(answer, "w", encoding="utf-8") as stream:
        json.dump(result, stream)


if __name__ == "__main__":
    _answer(*sys.argv[1:])
