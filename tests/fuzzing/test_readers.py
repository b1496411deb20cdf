"""Each reader on damaged files, a hundred in the default run and a thousand in the slow one."""

from __future__ import annotations

import pytest

from tests.fuzzing.campaign import count_outcomes
from tests.fuzzing.studies import READERS


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_in_words_or_read_correctly(name: str) -> None:
    counts = count_outcomes(name, 100)
    assert sum(counts.values()) >= 50
    assert 0 < counts["read"] < counts.total()  # a sound file is read, and some damage is noticed


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_thousand_damaged_files(name: str) -> None:
    counts = count_outcomes(name, 1000)
    assert sum(counts.values()) >= 500
