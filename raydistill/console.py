"""What all scripts share towards a shell: output that any terminal takes, exit statuses, commands.

A script calls `prepare_output()` once, before it prints anything. It then prints as usual.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import shlex
import sys
import unicodedata
from enum import IntEnum
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

if TYPE_CHECKING:
    from typing_extensions import Buffer

STAND_INS_HANDLER = "raydistill.ascii_stand_ins"
"""Name of the codec error handler that `prepare_output` gives to standard output and error."""

STAND_INS = {
    "±": "+/-",
    "×": "x",
    "·": "*",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "←": "<-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "█": "#",
}
"""ASCII for characters that the scripts print and an encoding may lack; see `ascii_stand_in`."""

STANDARD_ERROR = 2
"""Its file descriptor."""

PIPE_WIDTH = 170
"""Columns of a table where the output is no terminal: the widest ranked table fits."""


class ExitStatus(IntEnum):
    """How a script ends, as a shell sees it. A traceback, which is a fault of ours, gives 1.

    Attributes:
        OK: everything that was asked for was done; of a sweep, all trials ended well.
        REFUSED: something on the command line, or that it names, cannot be; nothing was done.
        SOME_FAILED: some trials failed; the others ended well.
        ALL_FAILED: every trial failed.
        STOPPED: nothing worked any more, such as on machines that lack a package; what was done is
            kept.
        INTERRUPTED: Ctrl-C, or another driver has taken over; what was done so far is kept.
    """

    OK = 0
    REFUSED = 2
    SOME_FAILED = 3
    ALL_FAILED = 4
    STOPPED = 5
    INTERRUPTED = 130

    @classmethod
    def of_trials(cls, failed: int, total: int) -> ExitStatus:
        """The status after `failed` of `total` trials have failed."""
        if failed == 0:
            return cls.OK
        return cls.ALL_FAILED if failed >= total else cls.SOME_FAILED


EXIT_STATUS_HELP = (
    f"exit status: {ExitStatus.OK.value} all trials ended well, {ExitStatus.REFUSED.value} refused "
    f"before any work, {ExitStatus.SOME_FAILED.value} some trials failed, "
    f"{ExitStatus.ALL_FAILED.value} all trials failed, {ExitStatus.STOPPED.value} stopped since "
    f"nothing works, {ExitStatus.INTERRUPTED.value} interrupted"
)
"""One line for the end of `--help`."""


def prepare_output() -> None:
    """Let standard output and error take any text, and outlive their reader.

    Characters that the encoding lacks are printed as ASCII stand-ins instead of raising
    `UnicodeEncodeError` hours into a sweep. When the reader of a pipe goes (`| head`), the rest is
    dropped and the script goes on: its results are files, and trials do not end because nobody
    reads. Lines appear at once, also in a pipe.

    Streams that somebody has put in place of the process's own (a test, a notebook) stay; they get
    the stand-ins where they can be told to.
    """
    codecs.register_error(STAND_INS_HANDLER, _replace_unencodable)
    sys.stdout = _prepared(sys.stdout, sys.__stdout__)
    sys.stderr = _prepared(sys.stderr, sys.__stderr__)


def make_console() -> Console:
    """A Rich console on standard output that prints text as it is.

    Paths and settings of a user are text, not markup: `[b]` and `:warning:` are printed as such.
    Where the output is no terminal, tables are `PIPE_WIDTH` wide and lines are never wrapped.
    Boxes are drawn in ASCII where the encoding has no others (Rich sees to it).
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        return console
    return Console(highlight=False, markup=False, emoji=False, width=PIPE_WIDTH, soft_wrap=True)


def shell_command(*words: str | os.PathLike[str]) -> str:
    """A command to copy: words quoted so that a POSIX shell reads them as they are.

    Example:
        >>> shell_command("python", "analysis/report.py", "my results/$x")
        "python analysis/report.py 'my results/$x'"
    """
    return shlex.join(os.fspath(word) for word in words)


def ascii_stand_in(character: str) -> str:
    """ASCII for a character: a known stand-in, its letter without accents, or `?`.

    Example:
        >>> [ascii_stand_in(character) for character in "±─é語"]
        ['+/-', '-', 'e', '?']
    """
    known = STAND_INS.get(character)
    if known is not None:
        return known
    if "BOX DRAWINGS" in (name := unicodedata.name(character, "")):
        horizontal = "HORIZONTAL" in name and "VERTICAL" not in name and "AND" not in name
        return "-" if horizontal else "|" if name.endswith("VERTICAL") else "+"
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or "?"


def _replace_unencodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler: see `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        # A byte of a file name that is no text: the name is printed with the byte that it has.
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return ascii_stand_in(character), error.start + 1


def _prepared(stream: TextIO, own: TextIO | None) -> TextIO:
    """A stream with stand-ins; the process's own stream also drops what nobody reads."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if stream is not own:
        stream.reconfigure(errors=STAND_INS_HANDLER)
        return stream
    stream.flush()
    try:
        raw = _LastingOutput(stream.fileno(), "wb", closefd=False)
    except (OSError, ValueError):  # closed, or no file at all
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=STAND_INS_HANDLER,
        line_buffering=True,
    )


class _LastingOutput(io.FileIO):
    """The output of a process, until it cannot be written any more; the rest is dropped."""

    _ended = False

    def write(self, data: Buffer, /) -> int:
        if self._ended:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._ended = True
            # A reader that has gone wants no more; a full disk is worth a line, if anyone hears it.
            if not isinstance(error, BrokenPipeError) and self.fileno() != STANDARD_ERROR:
                reason = f"output cannot be written ({error.strerror}); the rest of it is dropped\n"
                with contextlib.suppress(OSError):
                    os.write(STANDARD_ERROR, reason.encode("ascii", "replace"))
            return memoryview(data).nbytes
