"""A host: processes that see a machine of their own, by namespaces of the Linux kernel."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

INIT = Path(__file__).with_name("init.py")
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
HOME = "/mnt"
"""Of root on every host. Not its usual one, where this project, or its Python, may lie."""
ENVIRONMENT = {"HOME": HOME, "USER": "root", "LANG": "C.UTF-8", "TERM": "dumb"}
"""All that a command on a host finds; the rest comes from the host's ~/.bashrc."""


@dataclass(frozen=True)
class Layout:
    """What a host is made of; see `init.py`.

    Attributes:
        name: its host name.
        home: folder on the disk that is its HOME, and the path that it has on the host.
        aside: folder for mounts on their way to their place.
        kept: paths that it sees although its own folders come to lie over them.
        temporary: folder -> size of the file system in memory that is mounted there.
        files: path -> the file that it sees there.
        sshd: command line of its sshd; empty for none.
    """

    name: str
    home: tuple[str, str]
    aside: str
    kept: tuple[str, ...] = ()
    temporary: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    sshd: tuple[str, ...] = ()


class Host:
    """A running host.

    Args:
        layout: what it is made of.
        address: its address, once it is on the network.
        log: file for what its sshd and its preparation print.
    """

    def __init__(self, layout: Layout, address: str, log: Path) -> None:
        self.layout, self.name, self.address = layout, layout.name, address
        with log.open("ab") as errors:
            self._outer = subprocess.Popen(
                # With its parent dies the host: a killed test leaves nothing running.
                ["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES, "--fork",
                 "--kill-child", "--mount-proc", sys.executable, "-I", str(INIT),
                 json.dumps(asdict(layout))],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True,  # Ctrl-C is for the tests, which then end Ray in good order
            )  # fmt: skip
        assert self._outer.stdout is not None
        ready = self._outer.stdout.readline()
        self._outer.stdout.close()
        if ready != b"ready\n":
            self._outer.wait()
            raise RuntimeError(f"host {layout.name} did not start: {log.read_text()}")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text()
        self.pid = int(children)
        self._namespace = os.readlink(f"/proc/{self.pid}/ns/pid")

    @property
    def pids(self) -> tuple[int, int]:
        """Its first process, and that one's parent outside, as this machine numbers them."""
        return self.pid, self._outer.pid

    def enter(self, script: str, **environment: str) -> list[str]:
        """The command line that runs a script of bash on the host, as a login shell of root."""
        values = [f"{name}={value}" for name, value in {**ENVIRONMENT, **environment}.items()]
        return [
            "nsenter", "--target", str(self.pid), *NAMESPACES, "--wd=/",
            "env", "--ignore-environment", *values, "bash", "--login", "-c", f"cd && {script}",
        ]  # fmt: skip

    def run(
        self, script: str, timeout: float = 120.0, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script on the host to its end.

        Raises:
            AssertionError: it failed, unless `check` is off; with what it printed.
        """
        done = subprocess.run(
            self.enter(script, **environment),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{self.name}: {script}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, script: str, output: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a script on the host; what it prints goes to a file."""
        with output.open("wb") as stream:
            return subprocess.Popen(
                self.enter(script, **environment),
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def write(self, path: str, text: str) -> None:
        """Write a file of the host."""
        self.run(f"printf %s {shlex.quote(text)} > {path}")

    def processes(self, text: str = "") -> list[int]:
        """Its processes whose command line holds a text, as this machine numbers them."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if os.readlink(entry / "ns" / "pid") != self._namespace:
                        continue
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                if text in command:
                    found.append(int(entry.name))
        return sorted(found)

    def kill(self, text: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to its processes whose command line holds a text; returns how many."""
        victims = self.processes(text)
        for victim in victims:
            os.kill(victim, number)
        return len(victims)

    def power_off(self) -> None:
        """End every process of the host at once; its disk keeps what it has."""
        os.kill(self.pid, signal.SIGKILL)
        self._outer.wait()  # it ends when the last process of the host has


def kept_paths(needed: list[Path], covered: list[str]) -> tuple[str, ...]:
    """Of paths that hosts need, those that lie below a folder that a host covers with its own."""
    return tuple(
        str(path) for path in needed if any(path.is_relative_to(folder) for folder in covered)
    )


def sshd_path() -> str:
    """sshd insists on being called by its whole path."""
    found = shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", os.defpath))
    assert found is not None
    return found
