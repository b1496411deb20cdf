"""A journal file: torn tails are cut and kept, damage before them is refused, full disks too."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydistill.config.errors import ConfigError
from raydistill.store.journal import Journal, heal
from raydistill.store.storage import StorageError


def is_record(line: dict[str, Any]) -> bool:
    return "number" in line


def written(path: Path, count: int = 5) -> bytes:
    path.unlink(missing_ok=True)
    Journal(path).append([{"number": number, "text": "é" * number} for number in range(count)])
    return path.read_bytes()


def numbers(path: Path) -> list[int]:
    return [record["number"] for record in Journal(path).read(0)]


@pytest.mark.parametrize(
    ("tail", "lines"),
    [
        (b"\n", 1),
        (b"\n\n", 2),
        (b'{"number": 5', 1),
        (b'{"number": 5\n', 1),
        (b"\0" * 400, 1),
        (b"\xff\xfe garbage\n", 1),
        (b'{"other": 1}\n[1]\n7\nnull\n', 4),
        (b"[" * 100_000, 1),
    ],
    ids=str,
)
def test_a_torn_tail_is_cut_kept_and_said_in_one_line(tmp_path, tail, lines):
    path = tmp_path / "study.journal"
    whole = written(path)
    path.write_bytes(whole + tail)
    said = heal(path, is_record)
    assert "\n" not in said
    assert ("last line was" if lines == 1 else f"last {lines} lines were") in said
    assert path.read_bytes() == whole
    kept = path.with_name("study.journal.torn")
    assert kept.read_bytes().startswith(tail)
    assert str(kept) in said
    assert heal(path, is_record) == ""
    path.write_bytes(whole + b"again")
    heal(path, is_record)
    assert kept.read_bytes().endswith(b"again\n")  # beside what was kept before


@given(cut=st.integers(0, 400))
def test_a_journal_cut_anywhere_keeps_every_whole_record(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "study.journal"
    whole = written(path)
    cut = min(cut, len(whole))
    path.write_bytes(whole[:cut])
    heal(path, is_record)
    # A record that lacks nothing but the end of its line is whole.
    expected = [n for n in range(5) if len(b"\n".join(whole.split(b"\n")[: n + 1])) <= cut]
    assert numbers(path) == (expected if cut else [])
    Journal(path).append([{"number": 9}])
    assert numbers(path) == [*(expected if cut else []), 9]


@pytest.mark.parametrize("damage", [b"", b"garbage", b'{"number": 1', b"{}", b"\xff"])
def test_damage_before_the_last_record_is_refused_with_line_and_remedy(tmp_path, damage):
    path = tmp_path / "study.journal"
    lines = written(path).split(b"\n")
    lines[2] = damage
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(ConfigError) as refusal:
        heal(path, is_record)
    for words in ("study.journal: line 3 of 5", str(path), "head -n 2", "resume"):
        assert words in str(refusal.value)
    assert path.read_bytes() == b"\n".join(lines)


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "study.journal"
    path.write_bytes(b"name,value\na,1\nb,2\n")
    with pytest.raises(ConfigError, match="line 1 of 3"):
        heal(path, is_record)


def test_a_file_that_is_not_there_is_whole(tmp_path):
    assert heal(tmp_path / "none", is_record) == ""


def test_reading_goes_on_where_it_stopped_and_sees_other_writers(tmp_path):
    path = tmp_path / "study.journal"
    journal = Journal(path)
    journal.append([{"number": 0}, {"number": 1}])
    assert [r["number"] for r in journal.read(0)] == [0, 1]
    with path.open("ab") as stream:
        stream.write(b'{"number": 2}\n{"number"')  # another writer, in the middle of its line
    assert [r["number"] for r in journal.read(2)] == [2]
    with path.open("ab") as stream:
        stream.write(b": 3}\n")
    assert [r["number"] for r in journal.read(3)] == [3]
    assert [r["number"] for r in journal.read(1)] == [1, 2, 3]
    assert list(journal.read(4)) == []


def test_a_batch_is_there_at_once(tmp_path):
    journal = Journal(tmp_path / "study.journal")
    with journal.batch():
        for number in range(3):
            journal.append([{"number": number}])
            assert len(list(journal.read(number))) == 1
    assert numbers(journal.path) == [0, 1, 2]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files of this process may not grow beyond a size: what a full disk is to a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_does_not_fit_on_the_disk_is_taken_back(tmp_path):
    path = tmp_path / "study.journal"
    whole = written(path)
    journal = Journal(path)
    with largest_file(len(whole) + 10), pytest.raises(StorageError, match="make room"):
        journal.append([{"number": 5, "text": "long enough"}])
    assert path.read_bytes() == whole
    journal.append([{"number": 5}])
    assert json.loads(path.read_bytes().splitlines()[-1]) == {"number": 5}
