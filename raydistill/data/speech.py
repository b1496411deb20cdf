"""Speech with its vocoder features, in splits that share no sentence."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

import raydistill.data.world
from raydistill.config.base import FrozenConfig
from raydistill.data.files import DataFile
from raydistill.data.raw import DataError
from raydistill.data.speech_features import Spoken, analyse_all
from raydistill.data.speech_files import DroppedError, read_recording
from raydistill.data.speech_sets import (
    SPEECH_SETS,
    Dropped,
    Recording,
    find_recordings,
    speech_files,
    speech_folder,
)
from raydistill.data.speech_splits import Splits, split_all, split_some
from raydistill.data.world import FRAME_MS, feature_count, hop_of
from raydistill.store.assets import Store
from raydistill.store.code import code_version
from raydistill.store.storage import Storage

SHOWN = 5
"""At most so many reasons, and names a reason, are listed in a summary."""


@dataclass(frozen=True)
class Utterance:
    """A recording with its features.

    Attributes:
        name: of its file, as a path inside the data set.
        text: what is said, where it is known.
        speaker: who says it.
        x: samples in [-1, 1], (N,), N = F * hop.
        features: as analysed, not standardised, (F, C).
    """

    name: str
    text: str | None
    speaker: str
    x: Tensor
    features: Tensor


@dataclass(frozen=True)
class SpeechData:
    """A data set, loaded.

    Attributes:
        rate: samples a second.
        hop: samples a frame.
        train, validation, test: no sentence is in two of them.
        dropped: what is not used.
        fingerprint: hash of all that training depends on.
    """

    rate: int
    hop: int
    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    dropped: tuple[Dropped, ...]
    fingerprint: str

    @property
    def features(self) -> int:
        """Numbers a frame."""
        return feature_count(self.rate)

    def summary(self) -> str:
        """How much speech there is, and in a second line what was dropped and why."""
        parts = []
        for name in ("train", "validation", "test"):
            utterances: tuple[Utterance, ...] = getattr(self, name)
            seconds = sum(len(utterance.x) for utterance in utterances) / self.rate
            parts.append(f"{name} {seconds:.0f} s in {len(utterances)}")
        text = f"speech: {', '.join(parts)} recordings"
        reasons = Counter(dropped.reason for dropped in self.dropped)
        if reasons:
            shown = reasons.most_common(SHOWN)
            listed = ", ".join(f"{count} {reason}" for reason, count in shown)
            more = ", and others" if len(reasons) > SHOWN else ""
            first = ", ".join(dropped.name for dropped in self.dropped[:SHOWN])
            text += f"\ndropped {len(self.dropped)}: {listed}{more}; for example {first}"
        return text


class SpeechConfig(FrozenConfig):
    """Which recordings to use, at which rate.

    Attributes:
        name: one of `SPEECH_SETS`: a Debian package (asterisk-en, -fr, -es, -it, -ru), `ljspeech`,
            or `folder`, any folder of mono WAV or FLAC files.
        root: the folder of the latter two; another place of the former.
        rate: Hz; recordings of a higher rate are resampled, of a lower one dropped.
        seconds: keep about so much training speech, and a quarter of it in each of the other
            splits, the same at every call; None keeps all.
    """

    name: str = "asterisk-en"
    root: str | None = None
    rate: int = Field(default=8000, ge=8000, le=48_000)
    seconds: float | None = Field(default=None, gt=1.0)

    @model_validator(mode="after")
    def _known(self) -> SpeechConfig:
        if self.name not in SPEECH_SETS:
            raise ValueError(
                f"data.name: {self.name!r} is unknown; choose one of {', '.join(SPEECH_SETS)}, or "
                "give a folder as --dataset PATH"
            )
        if self.rate * FRAME_MS % 1000.0:
            raise ValueError(
                f"data.rate: {self.rate} Hz has no whole number of samples in {FRAME_MS:g} ms; "
                "give a multiple of 200"
            )
        return self

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return hop_of(self.rate)

    @property
    def features(self) -> int:
        """Numbers a frame."""
        return feature_count(self.rate)

    def check(self) -> None:
        """Raise DataError if the data set is absent."""
        find_recordings(self.name, self._read_root)

    _place: str | None = PrivateAttr(default=None)

    @property
    def folder(self) -> str:
        """Where its files are looked for, absolute."""
        return speech_folder(self.name, self._read_root)

    @property
    def _read_root(self) -> str | None:
        return self._place or self.root

    def reading_from(self, folder: str) -> SpeechConfig:
        """The same, read from another folder; what it says when it is written stays as it is."""
        moved = self.model_copy()
        moved._place = folder
        return moved

    def files(self) -> tuple[DataFile, ...]:
        """The files that it is read from.

        Raises:
            DataError: the data set is absent.
        """
        return speech_files(self.name, self._read_root)

    def load(
        self,
        cache: Storage | None = None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> SpeechData:
        """Read, split and analyse.

        Args:
            cache: where features are kept by the content of the recordings; None keeps none.
            on_progress: told how many recordings are analysed, of how many.

        Raises:
            DataError: the data set is absent, or nothing usable is left for a split.
        """
        listing = find_recordings(self.name, self._read_root)
        dropped = list(listing.dropped)
        names: dict[str, str] = {}

        def read(recording: Recording) -> Spoken | None:
            try:
                spoken = Spoken(recording, read_recording(recording.path, self.rate))
                same = names.setdefault(spoken.key, recording.name)
                if same != recording.name:
                    # The same recording with another transcript, or none, would be in two splits.
                    raise DroppedError("the same samples as another file")
            except DroppedError as reason:
                dropped.append(Dropped(recording.name, str(reason)))
                return None
            return spoken

        if self.seconds is None:
            splits = split_all(listing.recordings, read)
        else:
            splits = split_some(listing.recordings, read, self.seconds * self.rate)
        for name, spoken in splits.items():
            if not spoken:
                raise DataError(
                    f"data.root: no usable recording is left for {name} in "
                    f"{self._read_root or self.name}"
                    f"{_examples(dropped)}; give at least three different sentences of mono speech"
                )
        wanted = [one for spoken in splits.values() for one in spoken]
        store = None if cache is None else Store(cache)
        features = analyse_all(wanted, self.rate, store, on_progress)
        done = {
            name: tuple(_utterance(one, features[one.key]) for one in spoken)
            for name, spoken in splits.items()
        }
        return SpeechData(
            self.rate,
            self.hop,
            done["train"],
            done["validation"],
            done["test"],
            tuple(sorted(dropped, key=lambda one: one.name)),
            _fingerprint(splits, self.rate),
        )


def _examples(dropped: list[Dropped], most: int = 5) -> str:
    if not dropped:
        return ""
    named = "; ".join(f"{one.name}: {one.reason}" for one in dropped[:most])
    return f" ({len(dropped)} dropped: {named}{'; ...' if len(dropped) > most else ''})"


def _utterance(spoken: Spoken, features: Tensor) -> Utterance:
    recording = spoken.recording
    return Utterance(
        recording.name, recording.text, recording.speaker, torch.from_numpy(spoken.x), features
    )


def _fingerprint(splits: Splits, rate: int) -> str:
    digest = hashlib.sha256(f"{rate} {code_version(raydistill.data.world)}".encode())
    for name, spoken in splits.items():
        digest.update(name.encode())
        for one in spoken:
            digest.update(one.key.encode())
    return digest.hexdigest()[:16]
