"""Runs a reader on many damaged files and counts what came of them."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.fuzzing.studies import READERS


def count_outcomes(name: str, examples: int) -> Counter[str]:
    """How many damaged files a reader has read, refused or replaced.

    The files are the same at every call.

    Raises:
        AssertionError: a reading or a message was wrong; any other error is a fault of the reader.
    """
    reader = READERS[name]
    counts: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.inputs)
    def check(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            counts[reader.read(content, Path(folder))] += 1

    check()
    return counts
