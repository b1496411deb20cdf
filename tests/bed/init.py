"""The first process of a host: prepares what it sees, starts its sshd, and buries its orphans.

Runs as a script in namespaces of its own, with the JSON of a `Layout` as its argument. When it is
killed, the kernel kills every process of the host: a power cut.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    layout = json.loads(sys.argv[1])
    _mount(layout)
    socket.sethostname(layout["name"])
    _run("ip", "link", "set", "lo", "up")
    if layout["sshd"]:
        Path("/run/sshd").mkdir(mode=0o755)
        subprocess.Popen(layout["sshd"], stdin=subprocess.DEVNULL, stdout=sys.stderr)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then buries orphans by itself
    print("ready", flush=True)
    while True:
        signal.pause()


def _mount(layout: dict[str, Any]) -> None:
    """Own HOME, temporary folders and names; the rest is the machine's and cannot be written."""
    aside = {path: str(Path(layout["aside"]) / str(n)) for n, path in enumerate(layout["kept"])}
    for path, place in aside.items():  # what is needed and lies where something else comes to lie
        Path(place).mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", path, place)
    _run("mount", "--bind", *layout["home"])
    _run("mount", "-o", "remount,bind,ro", "/")
    for folder, size in layout["temporary"].items():
        _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "none", folder)
    for name, path in layout["files"].items():
        _run("mount", "--bind", path, name)
    for path, place in aside.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", place, path)
        _run("umount", place)
        _run("mount", "-o", "remount,bind,ro", path)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
