"""What conditioned models are given: features of a recording, of a sentence, or of one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raydistill.data.raw import DataError
from raydistill.data.speech_files import DroppedError, prepare_recording, read_recording
from raydistill.data.world import Array, analyse
from raydistill.media.sounds import Sound
from raydistill.store.assets import Store
from raydistill.tasks.vocoder.corpus import Corpus
from raydistill.tasks.vocoder.evaluation import chosen_of
from raydistill.tasks.vocoder.space import SpeechSpace

Features = Any
"""(F, features) as `raydistill.data.world.analyse` gives them, tensor or array; or one a sound."""

Recording = str | os.PathLike[str] | Sound
"""A mono WAV or FLAC file, or a sound."""


def features_for(
    space: SpeechSpace,
    count: int,
    features: Features | None,
    recording: Recording | None,
    store: Store | None,
) -> list[Tensor]:
    """Features as analysed, (F, C) each, of so many sounds.

    Args:
        space: of the model.
        count: how many sounds.
        features: what they are conditioned on: of all alike, or one a sound.
        recording: whose features all of them are given.
        store: where features of the data set may be kept; sentences of its test split are taken
            where neither of the two is given.

    Raises:
        ValueError: both are given, or they do not fit.
        DataError: neither is given, and the data set is absent.
    """
    if features is not None and recording is not None:
        raise ValueError("features: a recording is given too; give one of the two")
    if features is not None:
        return _checked(space, features, count)
    if recording is not None:
        return [analyse_recording(space, recording)] * count
    cache = None if store is None else store.storage.child("speech")
    try:
        corpus = Corpus(space.data.load(cache))
    except DataError as error:
        raise DataError(
            f"features: none are given, and the sentences of {space.data.name!r} that are taken "
            f"then are not there ({error}); give features=(F, {space.features}), or recording="
        ) from error
    chosen = chosen_of(corpus.test, count)
    return [corpus.data.test[chosen[i % len(chosen)]].features for i in range(count)]


def analyse_recording(space: SpeechSpace, recording: Recording) -> Tensor:
    """WORLD features (F, C) of a recording, prepared as those of the data set were.

    Raises:
        ValueError: it cannot be used; the message says why.
    """
    try:
        if isinstance(recording, Sound):
            x = prepare_recording(_samples(recording), recording.rate, space.rate)
        else:
            path = Path(recording).expanduser()
            if not path.is_file():
                raise ValueError(f"recording: no file {str(path)!r}; give mono WAV or FLAC")
            x = read_recording(path, space.rate)
    except DroppedError as reason:
        raise ValueError(f"recording: {reason}; give other mono speech") from None
    return torch.from_numpy(analyse(x, space.rate))


def features_of_sound(space: SpeechSpace, sound: Sound) -> Tensor:
    """WORLD features (F, C) of a sound as it is, at the model's rate.

    Raises:
        ValueError: it has another rate, is shorter than a frame, or not finite.
    """
    if sound.rate != space.rate:
        raise ValueError(f"values: a sound has {sound.rate} Hz; give {space.rate}")
    return torch.from_numpy(analyse(_samples(sound), space.rate))


def require_no_conditioning(features: Features | None, recording: Recording | None) -> None:
    """Raise ValueError if a model that takes no conditioning is given some."""
    for field, value in (("features", features), ("recording", recording)):
        if value is not None:
            raise ValueError(f"{field}: this model takes no conditioning; leave it out")


def _checked(space: SpeechSpace, features: Features, count: int) -> list[Tensor]:
    if isinstance(features, Sequence) or getattr(features, "ndim", 2) == 3:
        found = [_tensor(one) for one in features]
    else:
        found = [_tensor(features)] * count
    if len(found) != count:
        raise ValueError(f"features: {len(found)} are given for {count} sounds; give one a sound")
    for one in found:
        if one.ndim != 2 or one.shape[1] != space.features or not len(one):
            raise ValueError(
                f"features: shape {tuple(one.shape)} does not fit {space.rate} Hz; give (frames, "
                f"{space.features}) as raydistill.data.world.analyse does"
            )
        if not bool(one.isfinite().all()):
            raise ValueError("features: hold values that are not finite; give finite numbers")
    return found


def _tensor(features: Any) -> Tensor:
    if isinstance(features, Tensor):
        return features.detach().cpu().float()
    return torch.from_numpy(np.asarray(features, dtype=np.float32))


def _samples(sound: Sound) -> Array:
    """Samples of a sound, (N,) in float32.

    Raises:
        ValueError: it is not mono.
    """
    if sound.samples.ndim != 1:
        shape = tuple(sound.samples.shape)
        raise ValueError(f"recording: samples of shape {shape} are not mono; give (N,)")
    samples: Array = sound.samples.detach().cpu().float().numpy()
    return samples
