"""Splits: no sentence in two of them, whatever the order, the speakers and what else there is."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydistill.data.raw import DataError
from raydistill.data.speech_features import Spoken
from raydistill.data.speech_files import DroppedError, read_recording
from raydistill.data.speech_sets import DEBIAN, Recording, find_recordings
from raydistill.data.speech_splits import (
    HELD_OUT_PART,
    Splits,
    sentence_of,
    split_all,
    split_of,
    split_some,
)

SPLITS = ("train", "validation", "test")


def recording(name: str, text: str | None = None, speaker: str = "one") -> Recording:
    return Recording(Path(name), name, text, speaker)


def short(one: Recording) -> Spoken:
    return Spoken(one, np.zeros(100, dtype=np.float32))


def names(splits: Splits) -> dict[str, list[str]]:
    return {split: sorted(one.recording.name for one in kept) for split, kept in splits.items()}


def sentences(kept: list[Spoken], speaker: str | None = None) -> set[str]:
    found = (one.recording for one in kept)
    return {sentence_of(one) for one in found if speaker in (None, one.speaker)}


corpora = st.lists(
    st.tuples(st.integers(0, 30) | st.none(), st.sampled_from("ABC")), min_size=1, max_size=40
).map(
    lambda rows: [
        recording(f"{index}", None if text is None else f"Sentence {text}!", speaker)
        for index, (text, speaker) in enumerate(rows)
    ]
)


@settings(deadline=None, max_examples=60)
@given(corpora, st.randoms(use_true_random=False))
def test_no_sentence_is_in_two_splits(corpus: list[Recording], order: random.Random) -> None:
    splits = split_all(corpus, short)
    found = [sentences(splits[split]) for split in SPLITS]
    assert sum(map(len, found)) == len(set().union(*found))
    kept = [name for found in names(splits).values() for name in found]
    assert sorted(kept) == sorted(one.name for one in corpus)
    shuffled = list(corpus)
    order.shuffle(shuffled)
    assert names(split_all(shuffled, short)) == names(splits)


@settings(deadline=None, max_examples=60)
@given(corpora)
def test_every_speaker_is_in_every_split(corpus: list[Recording]) -> None:
    # With sentences of their own, so that nobody else's needs stand against it.
    own = [
        recording(one.name, f"{one.speaker} {one.text or one.name}", one.speaker) for one in corpus
    ]
    splits = split_all(own, short)
    for speaker in {one.speaker for one in own}:
        said = set().union(*(sentences(splits[split], speaker) for split in SPLITS))
        if len(said) >= 3:
            for split in SPLITS:
                assert sentences(splits[split], speaker)


@settings(deadline=None, max_examples=60)
@given(corpora)
def test_moving_for_one_speaker_takes_no_split_from_another(corpus: list[Recording]) -> None:
    before: Splits = {split: [] for split in SPLITS}
    for one in corpus:
        before[split_of(sentence_of(one))].append(short(one))
    after = split_all(corpus, short)
    for split in SPLITS:
        for speaker in {one.recording.speaker for one in before[split]}:
            assert sentences(after[split], speaker)


def test_split_of_a_sentence_does_not_depend_on_the_rest() -> None:
    corpus = [recording(f"{index}", f"words {index}") for index in range(400)]
    whole, part = split_all(corpus, short), split_all(corpus[::2], short)
    for split in SPLITS:
        assert set(names(part)[split]) == set(names(whole)[split]) & {o.name for o in corpus[::2]}


def test_shares_are_as_stated() -> None:
    count = 20_000
    found = [split_of(f"words {index}") for index in range(count)]
    for split, share in (("test", 0.06), ("validation", 0.06), ("train", 0.88)):
        error = 4.0 * np.sqrt(share * (1.0 - share) / count)  # four standard errors
        assert abs(found.count(split) / count - share) < error


def test_a_sentence_is_its_words() -> None:
    said = ("Thank you.", "thank  YOU!\n", "THANK-YOU", " [thank] you ", "thank_you")
    assert len({sentence_of(recording(f"{n}", text)) for n, text in enumerate(said)}) == 1
    assert sentence_of(recording("a", "Straße")) == sentence_of(recording("b", "STRASSE"))
    assert sentence_of(recording("a", "Спасибо")) != sentence_of(recording("b", "Нет"))
    # Nothing is known of what is said: each file for itself.
    for text in (None, "", " ... "):
        assert sentence_of(recording("a", text)) != sentence_of(recording("b", text))


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_sentences_leave_a_split_empty(count: int) -> None:
    splits = split_all([recording(f"{n}", f"words {n}") for n in range(count)], short)
    assert not all(splits.values())


@pytest.mark.parametrize("wanted", [8, 20, 60])
def test_some_is_a_small_part_in_any_order(wanted: int) -> None:
    corpus = [recording(f"{index}", f"words {index // 2}") for index in range(1_000)]
    read: list[str] = []

    def reading(one: Recording) -> Spoken:
        read.append(one.name)
        return short(one)

    first = split_some(corpus, reading, 100.0 * wanted)
    held_out = max(1, int(HELD_OUT_PART * wanted))
    counts = {split: len(kept) for split, kept in first.items()}
    assert 0.9 * wanted <= counts["train"] <= wanted
    assert counts["test"] <= held_out
    assert counts["validation"] <= held_out
    assert len(read) < 500  # of 1,000: large sets are not read whole for a minute of them
    random.Random(0).shuffle(corpus)
    assert names(split_some(corpus, short, 100.0 * wanted)) == names(first)
    whole = names(split_all(corpus, short))
    assert all(set(kept) <= set(whole[split]) for split, kept in names(first).items())


def test_some_passes_over_what_is_too_long() -> None:
    corpus = [recording(f"{index}", f"words {index}") for index in range(300)]

    def mixed(one: Recording) -> Spoken:
        long = int(one.name) % 2
        return Spoken(one, np.zeros(9_000 if long else 100, dtype=np.float32))

    splits = split_some(corpus, mixed, 3_000.0)
    assert all(len(one.x) == 100 for kept in splits.values() for one in kept)
    # Where there is nothing shorter, one of them.
    splits = split_some(corpus[1::2], mixed, 3_000.0)
    assert [len(splits[split]) for split in SPLITS] == [1, 1, 1]


@pytest.mark.parametrize("name", DEBIAN)
def test_debian_sets_are_split_without_leakage(name: str) -> None:
    """Of the sets that this machine happens to have, whichever recordings of them are usable."""
    try:
        listing = find_recordings(name, None)
    except DataError as error:
        pytest.skip(str(error))
    assert not [one.name for one in listing.recordings if one.name.startswith("silence/")]
    spoken = []
    for one in listing.recordings:
        # Some Italian words last a tenth of a second, a Russian file is empty: those are dropped.
        with contextlib.suppress(DroppedError):
            spoken.append(Spoken(one, read_recording(one.path, 8000)))
    by_name = {one.recording.name: one for one in spoken}
    splits = split_all(listing.recordings, lambda one: by_name.get(one.name))
    assert sum(map(len, splits.values())) == len(spoken)
    assert len(spoken) > 0.95 * len(listing.recordings)
    found = [sentences(splits[split]) for split in SPLITS]
    assert sum(map(len, found)) == len(set().union(*found))
    heard = [{one.key for one in splits[split]} for split in SPLITS]
    assert sum(map(len, heard)) == len(set().union(*heard))
    told = sum(one.recording.text is not None for one in spoken)
    assert told > 0.9 * len(spoken)
    assert len(splits["train"]) > 0.85 * len(spoken)
    assert min(len(splits["validation"]), len(splits["test"])) > 0.02 * len(spoken)
