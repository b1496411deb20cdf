"""Made-up voices as WAV files: pulses that glide in pitch through formants, with hiss between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.signal import lfilter

from raydistill.data.speech_splits import split_of
from raydistill.tasks.presets import vocoder_preset
from tests.helpers import merge

FORMANTS = ((700, 1200, 2500), (300, 2200, 3000), (400, 800, 2300))


def vowel(random: np.random.Generator, seconds: float, rate: int = 8000) -> np.ndarray[Any, Any]:
    """A vowel at a pitch that glides, in [-1, 1]."""
    count = int(seconds * rate)
    start, end = random.uniform(110, 220, 2)
    phase = np.cumsum(np.linspace(start, end, count) / rate)
    x = np.diff(np.floor(phase), prepend=0.0) + 0.01 * random.standard_normal(count)
    for centre in FORMANTS[random.integers(len(FORMANTS))]:
        radius = np.exp(-np.pi * 80.0 / rate)
        angle = 2.0 * np.pi * centre / rate
        x = lfilter([1.0 - radius], [1.0, -2.0 * radius * np.cos(angle), radius**2], x)
    fade = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.02 * rate))
    return 0.5 * fade * x / np.abs(x).max()


def sentence(seed: int, seconds: float = 1.4, rate: int = 8000) -> np.ndarray[Any, Any]:
    """Vowels with hiss between them, (N,)."""
    random = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < seconds * rate:
        parts.append(vowel(random, random.uniform(0.25, 0.4), rate))
        parts.append(0.02 * random.standard_normal(int(0.06 * rate)))
    return np.concatenate(parts)


SPLITS = {"train": 6, "validation": 2, "test": 2}


def write_voices(folder: Path, seconds: float = 1.2, rate: int = 8000) -> Path:
    """A folder of sentences with their words beside them, so many of each split."""
    folder.mkdir(parents=True, exist_ok=True)
    left = dict(SPLITS)
    for index in range(1000):
        text = f"sentence number {index}"
        if not left[split_of(text)]:
            continue
        left[split_of(text)] -= 1
        soundfile.write(folder / f"voice_{index:03}.wav", sentence(index, seconds, rate), rate)
        (folder / f"voice_{index:03}.txt").write_text(text)
    return folder


def small_trial(folder: Path) -> dict[str, Any]:
    """The smoke preset on a folder of voices, with budgets cut to seconds."""
    budget = {"updates": 8, "evaluate_every": 4, "checkpoint_every": 2}
    return merge(
        vocoder_preset("smoke", str(folder)).model_dump(mode="json"),
        {
            "teacher": {"budget": {"updates": 12, "batch_size": 4}, "window": 800},
            "budget": budget | {"batch_size": 2},
            "window": 800,
            "context": 400,
            "evaluation": {"sentences": 2, "validation_sentences": 2, "seconds": 0.8, "sounds": 1},
        },
    )
