"""The readers of a sweep's study: its journal, its segments in a bucket, its driver's lease."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from hypothesis import strategies as st

from raydistill.cluster.design.study import attempts, count_ended, open_study, queue_points
from raydistill.config.errors import ConfigError
from raydistill.store.lease import Holder, read_holder
from raydistill.store.segments import Published, SegmentWriter, read_published
from raydistill.store.storage import Storage, Tagged
from tests.fuzzing.damage import damaged_bytes, damaged_json
from tests.fuzzing.readers import READERS as OTHER_READERS
from tests.fuzzing.readers import Reader, refusal


def _journal() -> bytes:
    """Of a study with two trials that have ended and one that runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.journal"
        study = open_study(path, "fuzzed")
        queue_points(study, [{"x": 0.5}])
        for number in range(3):
            trial = study.ask()
            trial.suggest_float("x", -1.0, 1.0)
            trial.report(1.0, 1)
            if number < 2:
                study.tell(trial, 1.0)
        return path.read_bytes()


JOURNAL = _journal()


@st.composite
def damaged_lines(draw: st.DrawFn) -> bytes:
    """The journal with one of its lines changed within its JSON."""
    lines = JOURNAL.split(b"\n")[:-1]
    at = draw(st.integers(0, len(lines) - 1))
    lines[at] = draw(damaged_json(lines[at].decode()))
    return b"\n".join(lines) + b"\n"


def read_journal(content: bytes, folder: Path) -> str:
    path = folder / "study.journal"
    path.write_bytes(content)
    said: list[str] = []
    try:
        study = open_study(path, "fuzzed", say=said.append)
    except ConfigError as error:
        assert (content + b"\n").startswith(path.read_bytes())  # its torn end apart
        return refusal(error, "study.journal: line ")
    assert 0 <= count_ended(study) <= len(attempts(study))
    assert not any("\n" in line for line in said)
    return "built again" if said else "read"


LINES = [line + b"\n" for line in JOURNAL.split(b"\n")[:-1]]


def _segment() -> bytes:
    """The second of three."""
    with tempfile.TemporaryDirectory() as folder:
        writer = SegmentWriter(Storage.open(folder), Published())
        for part in (LINES[:2], LINES[2:5], LINES[5:]):
            writer.publish(b"".join(part))
        return sorted((Path(folder) / "study").iterdir())[1].read_bytes()


def read_segment(content: bytes, folder: Path) -> str:
    place = Storage.open(folder)
    writer = SegmentWriter(place, Published())
    for part in (LINES[:2], LINES[2:5], LINES[5:]):
        writer.publish(b"".join(part))
    (folder / "study" / writer.segments[1].name).write_bytes(content)
    try:
        published = read_published(place)
    except ConfigError as error:
        return refusal(error, writer.segments[1].name)
    assert JOURNAL.startswith(published.journal)
    return "read" if published.journal == JOURNAL else "refused"


LEASE = json.dumps(asdict(Holder("a", "head", 7, "b 1 2", 3)))


def read_lease(content: bytes, folder: Path) -> str:
    holder = read_holder(Tagged(content, "tag"))
    assert "\n" not in holder.describe()
    assert isinstance(holder.seconds, float)
    return "refused" if holder.owner == "unknown" else "read"


READERS = OTHER_READERS | {
    "study.journal, bytes": Reader(damaged_bytes(JOURNAL), read_journal),
    "study.journal, lines": Reader(damaged_lines(), read_journal),
    "study segment": Reader(damaged_bytes(_segment()), read_segment),
    "driver.lease": Reader(damaged_json(LEASE), read_lease),
}
