"""Speech as the vocoder's models see it: standardised, utterances laid end to end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from raydistill.data.raw import DataError
from raydistill.data.speech import SpeechData, Utterance

DITHER = 0.01
"""Standard deviation of the noise added to standardised samples: digital silence has no density, so
that without it a Gaussian likelihood has no bound."""


@dataclass(frozen=True)
class SpeechScale:
    """What standardises speech, from the training split.

    Attributes:
        spread: standard deviation of the samples.
        centre, deviation: of the features, (C,) each.
    """

    spread: float
    centre: Tensor
    deviation: Tensor


@dataclass(frozen=True)
class Sequences:
    """The utterances of a split end to end, standardised.

    Attributes:
        x: samples in standard deviations, (frames * hop,), without dither.
        features: (frames, C).
        starts: first frame of each utterance, and the number of all frames, (U + 1,).
        hop: samples a frame.
    """

    x: Tensor
    features: Tensor
    starts: Tensor
    hop: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def frames(self) -> Tensor:
        """Of each utterance, (U,)."""
        return self.starts.diff()

    def samples_of(self, index: int) -> slice:
        """The samples of an utterance within `x`."""
        first, end = self.starts[index : index + 2].tolist()
        return slice(first * self.hop, end * self.hop)

    def features_of(self, index: int) -> Tensor:
        """(frames, C) of an utterance."""
        first, end = self.starts[index : index + 2].tolist()
        return self.features[first:end]

    def windows(self, frames: int) -> Tensor:
        """First frames of all windows of so many frames that lie within one utterance."""
        found = [
            torch.arange(int(first), int(end) - frames + 1)
            for first, end in zip(self.starts[:-1], self.starts[1:], strict=True)
            if end - first >= frames
        ]
        return torch.cat(found) if found else torch.empty(0, dtype=torch.long)

    def to(self, device: torch.device) -> Sequences:
        """On a device; starts stay on the CPU."""
        return Sequences(self.x.to(device), self.features.to(device), self.starts, self.hop)


def cut_frames(features: Tensor, first: Tensor, frames: int) -> Tensor:
    """Windows (B, frames, C) of features (F, C) from frames `first` (B,) on."""
    return features[first[:, None] + torch.arange(frames, device=first.device)]


def cut_samples(x: Tensor, first: Tensor, frames: int, hop: int) -> Tensor:
    """Windows (B, frames * hop) of samples (F * hop,) from frames `first` (B,) on."""
    offsets = torch.arange(frames * hop, device=first.device)
    return x[first[:, None] * hop + offsets]


def dithered(x: Tensor, random: torch.Generator) -> Tensor:
    """Standardised samples with dither."""
    return x + DITHER * torch.randn(x.shape, generator=random, device=x.device)


class Corpus:
    """A speech data set, standardised.

    Args:
        data: as loaded.

    Attributes:
        scale: from the training split.
        train, validation, test: the splits.
    """

    def __init__(self, data: SpeechData) -> None:
        self.data = data
        features = torch.cat([utterance.features for utterance in data.train])
        samples = torch.cat([utterance.x for utterance in data.train])
        self.scale = SpeechScale(
            float(samples.std()), features.mean(0), features.std(0).clamp(min=1e-3)
        )
        self.train = self.sequences(data.train)
        self.validation = self.sequences(data.validation)
        self.test = self.sequences(data.test)

    def sequences(self, utterances: tuple[Utterance, ...]) -> Sequences:
        """Utterances standardised and laid end to end."""
        lengths = torch.tensor([0, *(len(utterance.features) for utterance in utterances)])
        return Sequences(
            torch.cat([utterance.x for utterance in utterances]) / self.scale.spread,
            self.standardise(torch.cat([utterance.features for utterance in utterances])),
            lengths.cumsum(0),
            self.data.hop,
        )

    def standardise(self, features: Tensor) -> Tensor:
        """Features as models see them."""
        return (features - self.scale.centre) / self.scale.deviation

    def split(self, name: str) -> Sequences:
        """The split of a name."""
        found: Sequences = getattr(self, name)
        return found

    def utterances(self, name: str) -> tuple[Utterance, ...]:
        """The utterances of a split, as loaded."""
        found: tuple[Utterance, ...] = getattr(self.data, name)
        return found


def windows_or_error(sequences: Sequences, frames: int, field: str) -> Tensor:
    """See `Sequences.windows`.

    Raises:
        DataError: no utterance is that long.
    """
    found = sequences.windows(frames)
    if not len(found):
        longest = int(sequences.frames.max()) * sequences.hop
        raise DataError(
            f"{field}: no training utterance has {frames * sequences.hop} samples (the longest has "
            f"{longest}); give shorter windows or longer recordings"
        )
    return found
