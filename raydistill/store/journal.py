"""A file of JSON lines that survives a crash at any byte: appended to in place, healed when opened.

The lines are those of Optuna's journal files, so that whatever reads those reads these. A crash, or
a disk that is full, can leave a part of a line at the end: `heal` cuts it off and keeps it aside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raydistill.config.errors import ConfigError
from raydistill.store.storage import StorageError

TORN = ".torn"
"""Ends the name of the file beside a journal that keeps what was cut off it."""


def heal(path: Path, is_record: Callable[[dict[str, Any]], bool]) -> str:
    """Cut what a crash left at the end of a journal; a file that is not there needs no healing.

    Args:
        path: of the journal.
        is_record: whether a JSON object is one of its records.

    Returns:
        One line that says what was cut and where it is kept; empty if the journal is whole.

    Raises:
        ConfigError: a line before the last records is damaged, which no crash does.
    """
    if not path.exists():
        return ""
    content = path.read_bytes()
    *ended, rest = content.split(b"\n")
    lines = [*ended, rest] if rest else ended
    whole = [_is_whole(line, is_record) for line in lines]
    kept = max((number for number, good in enumerate(whole, 1) if good), default=0)
    if False in whole[:kept] or (kept == 0 and len(lines) > 1):
        raise damage(path, whole.index(False) + 1, len(lines))
    length = sum(len(line) + 1 for line in lines[:kept])
    if length > len(content):  # only the end of the last line is missing
        with path.open("ab") as stream:
            stream.write(b"\n")
        return ""
    torn = content[length:]
    if not torn:
        return ""
    aside = path.with_name(path.name + TORN)
    _append(aside, torn if torn.endswith(b"\n") else torn + b"\n", durable=True)
    with path.open("rb+") as stream:
        stream.truncate(length)
        os.fsync(stream.fileno())
    count = len(lines) - kept
    return (
        f"{path.name}: its last {'line was' if count == 1 else f'{count} lines were'} torn by a "
        f"crash, and cut off; kept in {aside}"
    )


def damage(path: Path, line: int, lines: int) -> ConfigError:
    """The refusal of a journal with a damaged line, counted from 1, among `lines`."""
    before = f"keep the lines before it (head -n {line - 1})" if line > 1 else "delete it"
    return ConfigError(
        f"{path.name}: line {line} of {lines} in {path} is damaged; put a copy of the file back, "
        f"or {before} and resume: trials that later lines tell of run again"
    )


class Journal:
    """Appends records to a journal file and reads them back; has one writer. Picklable.

    Args:
        path: of the file; it is made if there is none.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.path = path
        self.line = 0
        """Number of the last line that was read, from 1."""
        self._offset = 0
        self._in_batch = False

    def read(self, first: int) -> Iterator[dict[str, Any]]:
        """The records from a line on, counted from 0; of other writers' lines those that ended.

        Raises:
            ConfigError: a line is no JSON object.
        """
        if first < self.line:
            self.line = self._offset = 0
        if self.path.stat().st_size == self._offset:
            return
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            content = stream.read()
        lines = content.split(b"\n")[:-1]
        begun = self.line
        for index, text in enumerate(lines):
            self._offset += len(text) + 1
            self.line += 1
            if begun + index < first:
                continue
            record = _parse(text)
            if record is None:
                raise damage(self.path, self.line, begun + len(lines))
            yield record

    def append(self, records: list[dict[str, Any]]) -> None:
        """Add records at the end; they are on the disk when this returns, unless in a batch.

        Raises:
            StorageError: the file cannot be written; nothing is left of these records.
        """
        lines = [json.dumps(record, separators=(",", ":")) + "\n" for record in records]
        try:
            _append(self.path, "".join(lines).encode(), durable=not self._in_batch)
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written ({error.strerror or error}); make room for it, "
                "and resume"
            ) from error

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Wait for the disk once, at the end of the block, and not at every record in it."""
        if self._in_batch:
            yield
            return
        size = self.path.stat().st_size
        self._in_batch = True
        try:
            yield
        finally:
            self._in_batch = False
            if self.path.stat().st_size != size:
                with self.path.open("rb") as stream:
                    os.fsync(stream.fileno())


def _append(path: Path, content: bytes, *, durable: bool) -> None:
    """One write, which the kernel mixes with nobody's; taken back if it fits only in part."""
    with path.open("ab", buffering=0) as stream:
        before = os.fstat(stream.fileno()).st_size
        written = 0
        try:
            while written < len(content):
                written += stream.write(content[written:])
            if durable:
                os.fsync(stream.fileno())
        except OSError:
            if os.fstat(stream.fileno()).st_size == before + written:
                stream.truncate(before)
            raise


def _is_whole(line: bytes, is_record: Callable[[dict[str, Any]], bool]) -> bool:
    record = _parse(line)
    return record is not None and is_record(record)


def _parse(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None if it is none. Optuna's lines may hold NaN."""
    try:
        record = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
