"""The secret that Ray's processes know each other by: made private, and kept so.

Whoever has it can run code as this user. Ray itself writes `~/.ray/auth_token` for all to read.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import tempfile
from pathlib import Path

PRIVATE = 0o600
OTHERS = 0o077
"""Of a file's mode: what its group and everybody may do."""


def token_file() -> Path:
    """Where Ray looks for the token, unless RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH gives it.

    Raises:
        RuntimeError: this account has no home.
    """
    return Path.home() / ".ray" / "auth_token"


def readable_by_others(file: Path) -> bool:
    """Whether more than its owner may read or change a file; not if it is not there."""
    try:
        return os.name == "posix" and bool(file.stat().st_mode & OTHERS)
    except OSError:
        return False


def provide_token() -> None:
    """See to it that Ray, which is about to start here, has a token that nobody else can read.

    A cluster that Ray starts here answers only to who knows its token. If its file can neither be
    read nor made, this process and its children get a token of their own.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    try:
        file = token_file()
        _make_private_file(file)
        problem = None if os.access(file, os.R_OK) else "it is another user's"
    except OSError as error:
        problem = error.strerror or str(error)
    except RuntimeError as error:  # an account without a home
        problem = str(error)
    if problem:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        logging.getLogger(__name__).warning(
            "HOME: %r cannot be written (%s): Ray's dashboard, which asks for the token in "
            "~/.ray/auth_token, cannot be opened; set HOME to a folder that you can write, or "
            "RAY_AUTH_TOKEN to a secret of your own, to open it",
            os.environ.get("HOME", ""),
            problem,
        )


def _make_private_file(file: Path) -> None:
    """Write a new token if there is none; take away what others may do with one that is there."""
    if file.exists():
        if readable_by_others(file):
            with contextlib.suppress(OSError):  # another user's file, or one that cannot change
                file.chmod(PRIVATE)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own, linked when it is complete: two sweeps that start at once share one token.
    descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=".auth_token-")  # of mode 0600
    try:
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(32))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, file)
    finally:
        os.unlink(partial)
