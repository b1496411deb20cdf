"""Splits recordings into train, validation and test, so that no sentence is in two of them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable

from raydistill.data.speech_features import Spoken
from raydistill.data.speech_sets import Recording

Splits = dict[str, list[Spoken]]

SHARES = {"test": 0.06, "validation": 0.12}
"""A sentence's hash in [0, 1) decides: below 0.06 test, below 0.12 validation, else training."""
HELD_OUT_PART = 0.25
"""Seconds in each of validation and test, as a share of the seconds of training."""
FULL = 0.9
"""A split is full from this share of the wanted seconds on."""


def sentence_of(recording: Recording) -> str:
    """The key by which a recording is put into a split: its words, or its name if it has none."""
    words = re.sub(r"[\W_]+", " ", (recording.text or "").casefold()).strip()
    return words or f"file {recording.name}"


def split_of(sentence: str) -> str:
    """The split of a sentence; it does not depend on other sentences."""
    place = _place(sentence)
    return next((name for name, end in SHARES.items() if place < end), "train")


def split_all(
    recordings: Iterable[Recording], read: Callable[[Recording], Spoken | None]
) -> Splits:
    """All usable recordings in their splits, in the order that they come in."""
    splits = _empty()
    for recording in recordings:
        spoken = read(recording)
        if spoken is not None:
            splits[split_of(sentence_of(recording))].append(spoken)
    _share_speakers(splits)
    return splits


def split_some(
    recordings: Iterable[Recording], read: Callable[[Recording], Spoken | None], samples: float
) -> Splits:
    """So many samples to train on, and a part of that in each of the other splits.

    Recordings are taken in the order of a hash, whatever their order, and none is read once a split
    is full. One that would go beyond it is passed over, unless nothing shorter is found.
    """
    splits, spare = _empty(), _empty()
    limits = {name: samples * (1.0 if name == "train" else HELD_OUT_PART) for name in splits}
    filled: Counter[str] = Counter()
    for recording in sorted(recordings, key=_rank):
        name = split_of(sentence_of(recording))
        if filled[name] >= FULL * limits[name]:
            continue
        spoken = read(recording)
        if spoken is None:
            continue
        fits = filled[name] + len(spoken.x) <= limits[name]
        (splits if fits else spare)[name].append(spoken)
        filled[name] += len(spoken.x) if fits else 0
    for name, kept in splits.items():
        if not kept and spare[name]:
            kept.append(min(spare[name], key=lambda one: len(one.x)))
    _share_speakers(splits)
    return splits


def _share_speakers(splits: Splits) -> None:
    """Give every speaker with three sentences or more a place in every split.

    A sentence is moved for all who say it, and only if none of them loses the last one in a split.
    It comes from the split with the most to give, and is the one with the smallest hash.
    """
    for speaker in sorted({one.recording.speaker for kept in splits.values() for one in kept}):
        for name, kept in splits.items():
            if any(one.recording.speaker == speaker for one in kept):
                continue
            free = {other: _free(splits[other], speaker) for other in splits}
            giver = max(free, key=lambda other: len(free[other]))
            if free[giver]:
                moved = min(free[giver], key=_place)
                splits[name] += [s for s in splits[giver] if sentence_of(s.recording) == moved]
                splits[giver] = [s for s in splits[giver] if sentence_of(s.recording) != moved]


def _free(kept: list[Spoken], speaker: str) -> set[str]:
    """Sentences of a speaker that a split can do without."""
    said: dict[str, set[str]] = {}
    for one in kept:
        said.setdefault(one.recording.speaker, set()).add(sentence_of(one.recording))
    alone = {sentence for own in said.values() if len(own) == 1 for sentence in own}
    return said.get(speaker, set()) - alone


def _place(sentence: str) -> float:
    """A sentence's hash as a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "big") / 2**64


def _rank(recording: Recording) -> tuple[float, str]:
    return _place(f"rank {sentence_of(recording)}"), recording.name


def _empty() -> Splits:
    return {"train": [], "validation": [], "test": []}
