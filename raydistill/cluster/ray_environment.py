"""What Ray needs of a machine that it starts on, checked or provided before it starts.

Ray itself fails late, and with reasons that name neither the variable nor the remedy.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from raydistill.config.errors import ConfigError

SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""The longest path of a Unix socket that the kernel takes, without the final zero byte."""

SOCKET_BELOW_TMPDIR = "/ray/session_2026-01-01_00-00-00_000000_{process}/sockets/plasma_store"
"""Where Ray puts its longest necessary socket, below its temporary folder."""

DEFAULT_TMPDIR = "/tmp"

CLIENT_SCHEME = "ray://"

CONNECT_SECONDS = 5.0
"""How long an address may take to accept a connection."""


@dataclass(frozen=True)
class RayAddress:
    """Where Ray is asked for.

    Attributes:
        value: host:port, `auto` or `local`; None if none is given.
        field: what gave it: `address` (the option) or `RAY_ADDRESS`.
    """

    value: str | None
    field: str

    @property
    def starts_here(self) -> bool:
        """Whether Ray starts on this machine, unless it runs there already."""
        return self.value is None or self.value == "local"

    def check_answers(self) -> None:
        """Try to connect first: Ray itself waits minutes for an address where nothing listens.

        Raises:
            ConfigError: nothing listens there, or only Ray's client does.
        """
        if self.value is None or self.value in ("auto", "local"):
            return
        if self.value.startswith(CLIENT_SCHEME):
            raise ConfigError(
                f"{self.field}: {self.value!r} is an address of Ray's client, which would run the "
                "search on the head and leave its study here; run the script on the cluster "
                "(`ray exec`, `ray submit`, `ray job submit`), or give the host:port of its head"
            )
        try:
            connect_to(self.value)
        except (OSError, ValueError) as error:
            raise self.no_answer(str(error)) from None

    def no_answer(self, reason: str) -> ConfigError:
        """The refusal of an address where no cluster answers."""
        omit = "leave --address out" if self.field == "address" else "unset RAY_ADDRESS"
        return ConfigError(
            f"{self.field}: {self.value!r} does not answer ({reason}); give the host:port of a "
            f"running cluster (`ray up cluster.yaml` or `ray start --head`), or {omit}"
        )


def connect_to(address: str) -> None:
    """Open a connection to a host:port, and close it.

    Raises:
        OSError: nothing listens there.
        ValueError: it is no host:port.
    """
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


def requested_address(option: str | None) -> RayAddress:
    """The address of `--address`, or else of RAY_ADDRESS, which Ray obeys as well."""
    if option:
        return RayAddress(option, "address")
    return RayAddress(os.environ.get("RAY_ADDRESS") or None, "RAY_ADDRESS")


def check_temporary_folder() -> None:
    """Refuse a temporary folder in which Ray could not start on this machine.

    Ray takes RAY_TMPDIR, then TMPDIR, then /tmp. It puts its sockets below, whose paths the kernel
    limits to about a hundred bytes, and its logs.

    Raises:
        ConfigError: it is too long, no absolute path, or cannot be written.
    """
    variable = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    if variable is None:
        variable, folder = "RAY_TMPDIR", DEFAULT_TMPDIR
    else:
        folder = os.environ[variable]
    example = "/var/tmp" if folder == DEFAULT_TMPDIR else DEFAULT_TMPDIR
    remedy = f"give a short folder that you can write, for example RAY_TMPDIR={example}"
    if not os.path.isabs(folder):
        raise ConfigError(f"{variable}: {folder!r} is no absolute path; {remedy}")
    below = SOCKET_BELOW_TMPDIR.format(process=os.getpid())
    longest = SOCKET_PATH_BYTES - len(below)
    length = len(os.fsencode(folder.rstrip("/")))
    if length > longest:
        raise ConfigError(
            f"{variable}: {folder!r} has {length} bytes, and with more than {longest} the paths of "
            f"Ray's sockets in it are longer than this system allows; {remedy}"
        )
    problem = _why_unwritable(Path(folder) / "ray")
    if problem:
        raise ConfigError(f"{variable}: {folder!r} cannot be written ({problem}); {remedy}")


def _why_unwritable(folder: Path) -> str | None:
    """Why no file can be written into a folder, which is made; None if one can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)
