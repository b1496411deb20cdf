"""A journal in a bucket: whatever was published is read back, and writers that part collide."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydistill.config.errors import ConfigError
from raydistill.store.segments import (
    TOGETHER,
    OtherWriterError,
    Published,
    SegmentWriter,
    read_published,
)
from raydistill.store.storage import Storage


class Journal:
    """A journal in memory, and the folder where it is published."""

    def __init__(self, path: Path) -> None:
        self.folder = Storage.open(path)
        self.content = b""

    def writer(self) -> SegmentWriter:
        return SegmentWriter(self.folder, read_published(self.folder))

    def read(self, begin: int, end: int) -> bytes:
        return self.content[begin:end]

    def publish(self, writer: SegmentWriter, body: bytes) -> None:
        self.content += body
        writer.publish(body)
        writer.tidy(self.read)

    @property
    def objects(self) -> list[Path]:
        return sorted(Path(self.folder.uri, "study").iterdir())


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path)


def lines(first: int, count: int = 1) -> bytes:
    return b"".join(b'{"line": %d}\n' % n for n in range(first, first + count))


def test_nothing_was_published(journal):
    assert read_published(journal.folder) == Published()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=120))
def test_what_was_published_is_read_back_whoever_goes_on(tmp_path_factory, parts):
    journal = Journal(tmp_path_factory.mktemp("sweep"))
    writer, line = journal.writer(), 0
    for count, new_driver in parts:
        if new_driver:
            writer = journal.writer()
        journal.publish(writer, lines(line, count))
        line += count
    published = read_published(journal.folder)
    assert published.journal == journal.content == lines(0, line)
    assert published.others == []


def test_many_segments_are_few_objects(journal, monkeypatch):
    monkeypatch.setattr("raydistill.store.segments.TOGETHER", 6)
    writer = journal.writer()
    for line in range(6**2 * 2 + 6 * 3 + 5):
        journal.publish(writer, lines(line))
    tiers = [int(path.suffix[1:]) for path in journal.objects]
    assert sorted(tiers) == [0] * 5 + [1] * 3 + [2] * 2
    assert read_published(journal.folder).journal == journal.content


def test_a_driver_that_dies_while_segments_are_put_together_leaves_nothing_odd(journal, tmp_path):
    writer = journal.writer()
    for line in range(TOGETHER - 1):
        journal.publish(writer, lines(line))
    before = tmp_path / "before"
    shutil.copytree(Path(journal.folder.uri, "study"), before)
    journal.publish(writer, lines(TOGETHER - 1))
    assert len(journal.objects) == 1
    # As if it had died after the first of the deletions.
    for path in sorted(before.iterdir())[1:]:
        shutil.copy(path, Path(journal.folder.uri, "study"))
    published = read_published(journal.folder)
    assert published.journal == journal.content
    assert len(published.others) == TOGETHER - 2
    journal.publish(journal.writer(), lines(TOGETHER))
    assert read_published(journal.folder).journal == journal.content
    assert len(journal.objects) == 2


def test_two_drivers_collide_where_they_part(journal):
    one = journal.writer()
    journal.publish(one, lines(0))
    other = journal.writer()
    one.publish(lines(1))
    with pytest.raises(OtherWriterError, match=r"0000000001\.0"):
        other.publish(lines(7))
    assert read_published(journal.folder).journal == lines(0, 2)


def test_a_segment_whose_answer_was_lost_is_written_again_without_harm(journal):
    writer = journal.writer()
    again = journal.writer()
    writer.publish(lines(0, 3))
    again.publish(lines(0, 3))
    assert read_published(journal.folder).journal == lines(0, 3)


def test_segments_of_another_history_are_never_read_with_this_one(journal, tmp_path):
    """A driver that was given up for dead goes on from lines that nobody else has."""
    stray = Journal(tmp_path / "stray")
    writer = stray.writer()
    for body in (b'{"other": 0}\n', lines(1), lines(2)):
        writer.publish(body)
    own = journal.writer()
    own.publish(lines(0, 2))
    shutil.copy(stray.objects[2], Path(journal.folder.uri, "study"))
    published = read_published(journal.folder)
    assert published.journal == lines(0, 2)
    assert published.others == ["0000000002.0"]
    journal.content = published.journal
    following = journal.writer()
    following.tidy(journal.read)  # what holds nothing goes first, so that nothing is in the way
    following.publish(lines(2))
    assert read_published(journal.folder).journal == lines(0, 3)


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"[]\nx\n", b"\xff\xff"])
def test_a_damaged_segment_is_refused_with_its_name_and_a_remedy(journal, damage):
    writer = journal.writer()
    for line in range(3):
        writer.publish(lines(line))
    content = journal.objects[1].read_bytes()
    for broken in (damage, content[:-2], content.replace(b"line", b"lime")):
        journal.objects[1].write_bytes(broken)
        with pytest.raises(ConfigError, match=r"segment 0000000001\.0 in .*delete it and resume"):
            read_published(journal.folder)
    journal.objects[1].unlink()
    assert read_published(journal.folder).journal == lines(0)
