"""All metrics of a vocoder's sample against the recording whose features conditioned it.

Samples are made from z ~ N(0, 1), never from z = T(x): the code of a recording carries its pitch,
so that even a student that whispers reconstructs a voiced sound from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from raydistill.metrics.correlogram import Correlogram, correlogram
from raydistill.metrics.distributions import Array
from raydistill.metrics.periodicity import periodicity_of
from raydistill.metrics.pitch import PitchTrack, autocorrelation_track, dio_track
from raydistill.metrics.spectra import (
    Spectra,
    band_power_error,
    log_spectral_distance,
    mel_cepstral_distortion,
    multi_resolution_stft,
    spectra_of,
    spectral_flatness,
)
from raydistill.metrics.voicing import (
    f0_error_cents,
    voiced_level_db,
    voiced_recall,
    voicing_error,
)

HEADLINE = "periodicity_excess"
METRICS = (
    "periodicity_excess",
    "periodicity",
    "harmonics_to_noise",
    "voiced_recall_acf",
    "voiced_recall_dio",
    "voicing_error_acf",
    "voicing_error_dio",
    "f0_error_cents_acf",
    "f0_error_cents_dio",
    "voiced_level_db",
    "band_power_error_db",
    "log_spectral_distance",
    "mel_cepstral_distortion",
    "multi_resolution_stft",
    "spectral_flatness_db",
)
"""In the order of tables: those that tell a whisper from a voice come first."""
SHORTEST_SECONDS = 0.1


class AudioError(ValueError):
    """A signal cannot be judged; the message says which, why and what to do."""


@dataclass(frozen=True)
class Reference:
    """What samples of one utterance are judged against; made once an utterance.

    Attributes:
        x: the real audio, (N,).
        rate: Hz.
        rms: root mean square of x.
        tracks: pitch of the real audio by tracker, `acf` and `dio`; the first one's voiced frames
            and periods are those at which samples are judged, since it is not of the family that
            conditioning is made with.
        spectra: of the real audio.
    """

    x: Array
    rate: int
    rms: float
    tracks: dict[str, PitchTrack]
    spectra: Spectra

    @property
    def pitch(self) -> PitchTrack:
        """The pitch at which samples are judged."""
        return self.tracks["acf"]


def reference_of(x: ArrayLike, rate: int) -> Reference:
    """Prepare the real audio (N,).

    Raises:
        AudioError: if it is not one channel, too short, silent, or not finite.
    """
    signal = _signal(x, "the reference")
    if len(signal) < SHORTEST_SECONDS * rate:
        raise AudioError(
            f"the reference has {len(signal)} samples at {rate} Hz; at least {SHORTEST_SECONDS} s "
            "are needed: leave it out"
        )
    if not np.isfinite(signal).all():
        raise AudioError("the reference holds NaN or infinity: leave it out")
    rms = float(np.sqrt(np.square(signal).mean()))
    if rms == 0.0:
        raise AudioError("the reference is silent: leave it out")
    tracks = _tracks(signal, rate, correlogram(signal, rate))
    return Reference(signal, rate, rms, tracks, spectra_of(signal, rate))


def audio_metrics(sample: ArrayLike, reference: Reference) -> dict[str, float]:
    """Judge a sample (N,) from the prior; docs/metrics.md says what each number is.

    But for `voiced_level_db`, the sample is first brought to the reference's root mean square, so
    that a gain moves nothing else. A sample that is not finite gets NaN everywhere; a silent one is
    as unvoiced and as quiet as can be said.

    Raises:
        AudioError: if the sample is not one channel of the reference's length.
    """
    signal = _signal(sample, "the sample")
    if len(signal) != len(reference.x):
        raise AudioError(
            f"the sample has {len(signal)} samples, its reference {len(reference.x)}: "
            "generate both from the same conditioning"
        )
    if not np.isfinite(signal).all():
        return dict.fromkeys(METRICS, math.nan)
    rate, pitch = reference.rate, reference.pitch
    level = voiced_level_db(signal, reference.x, rate, pitch.voiced)
    rms = float(np.sqrt(np.square(signal).mean()))
    signal = signal * (reference.rms / rms if rms > 0.0 else 1.0)
    gram = correlogram(signal, rate)
    spectra = spectra_of(signal, rate)
    found = periodicity_of(signal, rate, gram, pitch)
    metrics = {
        "periodicity_excess": found.excess,
        "periodicity": found.periodicity,
        "harmonics_to_noise": found.harmonics_to_noise,
        "voiced_level_db": level,
        "band_power_error_db": band_power_error(spectra, reference.spectra),
        "log_spectral_distance": log_spectral_distance(spectra, reference.spectra),
        "mel_cepstral_distortion": mel_cepstral_distortion(spectra, reference.spectra),
        "multi_resolution_stft": multi_resolution_stft(spectra, reference.spectra),
        "spectral_flatness_db": spectral_flatness(spectra, pitch.voiced),
    }
    for name, track in _tracks(signal, rate, gram).items():
        real = reference.tracks[name]
        metrics[f"voiced_recall_{name}"] = voiced_recall(track, real)
        metrics[f"voicing_error_{name}"] = voicing_error(track, real)
        metrics[f"f0_error_cents_{name}"] = f0_error_cents(track, real)
    return {name: metrics[name] for name in METRICS}


def average_metrics(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over sentences, with `_se` the standard error of it and `_n` how many counted.

    A sentence without a value (NaN) does not count; without two values there is no standard error,
    and without one no mean: NaN.
    """
    averages: dict[str, float] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([row.get(name, math.nan) for row in rows])
        values = values[np.isfinite(values)]
        count = len(values)
        averages[name] = float(values.mean()) if count else math.nan
        error = float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
        averages[f"{name}_se"] = error
        averages[f"{name}_n"] = float(count)
    return averages


def _tracks(x: Array, rate: int, gram: Correlogram) -> dict[str, PitchTrack]:
    return {"acf": autocorrelation_track(gram), "dio": dio_track(x, rate)}


def _signal(x: ArrayLike, what: str) -> Array:
    signal = np.asarray(x, dtype=np.float64)
    if signal.ndim != 1:
        raise AudioError(f"{what} has shape {signal.shape}: give one channel, (N,)")
    return signal
