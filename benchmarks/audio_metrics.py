"""What it costs to judge a sample of the vocoder, part by part.

    OMP_NUM_THREADS=1 python benchmarks/audio_metrics.py --rates 8000 16000

CPU milliseconds a second of audio: medians, of a voiced signal in noise. The cost depends on its
length and rate alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tyro

from raydistill.metrics.audio import audio_metrics, reference_of
from raydistill.metrics.correlogram import correlogram
from raydistill.metrics.distributions import Array
from raydistill.metrics.envelope import envelope_noise
from raydistill.metrics.periodicity import periodicity_of
from raydistill.metrics.pitch import autocorrelation_track, dio_track
from raydistill.metrics.spectra import spectra_of


@dataclass(frozen=True)
class AudioMetricsBenchmark:
    """Time the metrics.

    Attributes:
        rates: Hz.
        seconds: of audio a call.
        rounds: of the timings, whose median is given.
    """

    rates: tuple[int, ...] = (8000, 16_000)
    seconds: float = 3.0
    rounds: int = 7


def voice(rate: int, seconds: float) -> Array:
    """Twenty harmonics of 180 Hz, and noise 10 dB lower, (N,)."""
    count = round(rate * seconds)
    phase = 2.0 * np.pi * 180.0 * np.arange(count) / rate
    wave = np.cos(np.arange(1, 21)[:, None] * phase).sum(axis=0)
    noise = np.random.default_rng(0).standard_normal(count)
    mixed: Array = 0.03 * (wave + noise)
    return mixed


def parts(x: Array, rate: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    reference, gram = reference_of(x, rate), correlogram(x, rate)
    return {
        "reference, once an utterance": lambda: reference_of(x, rate),
        "a sample, all metrics": lambda: audio_metrics(x, reference),
        "  correlogram": lambda: correlogram(x, rate),
        "  autocorrelation tracker": lambda: autocorrelation_track(gram),
        "  DIO and StoneMask": lambda: dio_track(x, rate),
        "  noise of its envelope": lambda: envelope_noise(x, rate, seed=0),
        "  periodicity, two noises": lambda: periodicity_of(x, rate, gram, reference.pitch),
        "  spectra": lambda: spectra_of(x, rate),
    }


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Median CPU milliseconds of a call, after one that does not count."""
    work()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        spent.append(1e3 * (time.process_time() - began))
    return statistics.median(spent)


def main(settings: AudioMetricsBenchmark) -> None:
    """Print the table."""
    timed = {
        rate: {
            name: milliseconds(work, settings.rounds) / settings.seconds
            for name, work in parts(voice(rate, settings.seconds), rate).items()
        }
        for rate in settings.rates
    }
    print(f"{'CPU-ms a second of audio':32}" + "".join(f"{rate:>10} Hz" for rate in timed))
    for name in timed[settings.rates[0]]:
        print(f"{name:32}" + "".join(f"{columns[name]:>13.1f}" for columns in timed.values()))


if __name__ == "__main__":
    main(tyro.cli(AudioMetricsBenchmark, description=__doc__))
