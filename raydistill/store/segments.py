"""A journal in a bucket, which cannot append: in segments, each an object that is written once.

A segment is named by the number of its first line, so that two writers collide where they part. It
begins with a line of its own: how many lines follow, and a hash of the journal before them, so that
only what belongs together is ever read together. When enough segments of one tier have come
together they are written again as one of the next: a journal published ten thousand times is read
in some dozens of requests, and each of its bytes was written once a tier.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from raydistill.config.errors import ConfigError
from raydistill.store.storage import Storage

SEGMENTS = "study"
"""The folder of the segments inside the published one's."""

TOGETHER = 32
"""Segments of one tier that become one of the next."""

NAME = re.compile(r"(\d{10})\.(\d)")
READS = 5
"""Attempts at reading segments that are being put together meanwhile."""


class OtherWriterError(Exception):
    """Somebody else has published other lines in this place; the message names the segment."""


@dataclass(frozen=True)
class Segment:
    """A part of a journal.

    Attributes:
        line: number of its first line, from 0.
        tier: how often its bytes have been put together.
        lines: how many it has.
        begin, end: the bytes that it is of the journal.
        before: SHA-256 of the journal before it, in hexadecimal digits.
    """

    line: int
    tier: int
    lines: int
    begin: int
    end: int
    before: str

    @property
    def name(self) -> str:
        """Of its object."""
        return f"{self.line:010d}.{self.tier}"

    def content(self, body: bytes) -> bytes:
        """What its object holds.

        Args:
            body: its lines of the journal.
        """
        head = {
            "lines": self.lines,
            "before": self.before,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        return json.dumps(head).encode() + b"\n" + body


@dataclass
class Published:
    """What a bucket has of a journal.

    Attributes:
        journal: its bytes.
        segments: that hold them, in order.
        others: names of objects that hold nothing of it: left over, or another writer's.
    """

    journal: bytes = b""
    segments: list[Segment] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def read_published(folder: Storage) -> Published:
    """What was published of the journal of a sweep's folder.

    Args:
        folder: of the sweep.

    Raises:
        ConfigError: a segment is damaged.
        OSError: the bucket cannot be read.
    """
    for attempt in range(READS):
        try:
            return _read(folder.child(SEGMENTS))
        except FileNotFoundError:  # put together and deleted since the folder was listed
            if attempt + 1 == READS:
                raise
    raise AssertionError("unreachable")


def _read(place: Storage) -> Published:
    names = [name for name in place.names() if NAME.fullmatch(name)]
    tiers: dict[int, list[int]] = {}
    for name in names:
        number, tier_text = name.split(".")
        tiers.setdefault(int(number), []).append(int(tier_text))
    found, digest, parts, line, size = Published(), hashlib.sha256(), [], 0, 0
    while line in tiers:
        for tier in sorted(tiers.pop(line), reverse=True):
            name = f"{line:010d}.{tier}"
            head, body = _parse(place, name, place.read(name))
            if head["before"] == digest.hexdigest():
                end = size + len(body)
                found.segments.append(Segment(line, tier, head["lines"], size, end, head["before"]))
                digest.update(body)
                parts.append(body)
                line, size = line + head["lines"], end
                break
    found.journal = b"".join(parts)
    used = {segment.name for segment in found.segments}
    found.others = [name for name in names if name not in used]
    return found


def _parse(place: Storage, name: str, content: bytes) -> tuple[dict[str, Any], bytes]:
    first, _, body = content.partition(b"\n")
    try:
        head = json.loads(first)
        whole = (
            head["sha256"] == hashlib.sha256(body).hexdigest()
            and head["lines"] == body.count(b"\n") > 0
            and isinstance(head["before"], str)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise ConfigError(
            f"study: the segment {name} in {place.uri} is damaged; delete it and resume: trials "
            "that it and later ones tell of run again"
        )
    return head, body


class SegmentWriter:
    """Publishes a journal that grows.

    Args:
        folder: of the sweep.
        published: what its bucket has, from `read_published`; the writer owns it from here on.
    """

    def __init__(self, folder: Storage, published: Published) -> None:
        self.place = folder.child(SEGMENTS)
        self.segments = published.segments
        self._superfluous = list(published.others)
        self._digest = hashlib.sha256(published.journal)

    @property
    def size(self) -> int:
        """Bytes of the journal that are published."""
        return self.segments[-1].end if self.segments else 0

    def publish(self, body: bytes) -> None:
        """Write the next segment; after an OSError, call it again with the same lines.

        Args:
            body: whole lines, those that follow what is published.

        Raises:
            OtherWriterError: somebody else has written other lines there.
            OSError: the bucket cannot be written.
        """
        line = self.segments[-1].line + self.segments[-1].lines if self.segments else 0
        before, end = self._digest.hexdigest(), self.size + len(body)
        segment = Segment(line, 0, body.count(b"\n"), self.size, end, before)
        self._create(segment, body)
        self._digest.update(body)
        self.segments.append(segment)

    def tidy(self, read: Callable[[int, int], bytes]) -> None:
        """Put segments together where there are enough, and delete what holds nothing any more.

        Args:
            read: the bytes of the journal from one place to another.

        Raises:
            OtherWriterError: somebody else has written other lines.
            OSError: the bucket cannot be written; the next call goes on.
        """
        self._delete_superfluous()
        while (group := self._group()) is not None:
            first, last = self.segments[group], self.segments[group + TOGETHER - 1]
            parts = self.segments[group : group + TOGETHER]
            lines = sum(part.lines for part in parts)
            whole = Segment(first.line, first.tier + 1, lines, first.begin, last.end, first.before)
            self._create(whole, read(whole.begin, whole.end))
            self.segments[group : group + TOGETHER] = [whole]
            self._superfluous += [part.name for part in parts]
        self._delete_superfluous()

    def _delete_superfluous(self) -> None:
        while self._superfluous:
            self.place.delete(self._superfluous[-1])
            self._superfluous.pop()

    def _group(self) -> int | None:
        """Where `TOGETHER` segments of one tier begin; None if there are not so many."""
        tiers = [segment.tier for segment in self.segments]
        for tier in sorted(set(tiers)):
            if tiers.count(tier) >= TOGETHER:
                return tiers.index(tier)
        return None

    def _create(self, segment: Segment, body: bytes) -> None:
        content = segment.content(body)
        if self.place.create(segment.name, content):
            return
        # Ours too if the answer to an earlier request was lost; anything else is not.
        if self.place.read(segment.name) != content:
            raise OtherWriterError(f"the segment {segment.name} in {self.place.uri}")
