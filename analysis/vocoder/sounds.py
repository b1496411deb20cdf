"""The sounds of a vocoder sweep for its page: WAV files beside records, with spectrograms."""

from __future__ import annotations

import base64
import io
import math
import posixpath
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import signal
from scipy.io import wavfile

from analysis.charts import INK, Chart, blank_figure, figure_png, plain_text
from analysis.effects import Array
from analysis.page import data_uri
from analysis.records import Skipped, TrialRecord, read_artefact, shorten
from analysis.vocoder.study import EXCESS, FLOOR, HNR, LEVEL, MATCHED, VocoderStudy

SHOWN = {
    "natural": "Recording",
    "copy": "Copy-synthesis",
    "teacher": "Teacher",
}
STUDENT, AT_MATCHED = "student", "student_matched"
MOST_BYTES = 11_000_000
"""Most bytes of sounds and spectrograms in a page, which then still opens at once."""

WINDOW_SECONDS = 0.032
"""Window of the spectrograms, long enough to resolve the harmonics of a voice."""

RANGE_DB = 70.0

WAV_ERRORS = (
    ValueError,
    TypeError,
    EOFError,
    OSError,
    OverflowError,
    MemoryError,
    ZeroDivisionError,
    UnboundLocalError,  # SciPy's, of a file without a chunk of data
    struct.error,
)
"""What SciPy raises on damaged files, by where the damage is."""


@dataclass(frozen=True)
class Wave:
    """A mono signal (N,) with full scale 1, its rate in Hz, and the file that it came from."""

    samples: Array
    rate: int
    content: bytes


@dataclass(frozen=True)
class Clip:
    """One sound of one sentence, inside the page.

    Attributes:
        title: whose it is.
        note: what was measured of this very sound.
        audio: a WAV file as a data URI.
        picture: its spectrogram, a PNG file as a data URI.
    """

    title: str
    note: str
    audio: str
    picture: str


@dataclass(frozen=True)
class Utterance:
    """The sounds of one test sentence: recording, copy-synthesis, teacher, students."""

    place: int
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class RegimeSounds:
    """The sounds of a regime.

    Attributes:
        words: the regime.
        utterances: by place in the test split.
    """

    words: str
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True)
class SoundGallery:
    """The sounds of a sweep.

    Attributes:
        stages: one a regime with sounds.
        left_out: sounds beyond what one page may hold.
        unreadable: files that are no sounds.
    """

    stages: tuple[RegimeSounds, ...]
    left_out: int
    unreadable: tuple[Skipped, ...]


@dataclass(frozen=True)
class _Source:
    """A sound before it is read: of which record, what it is called, where its measures are."""

    item: TrialRecord
    artefact: str
    title: str
    note: str


@plain_text
def sound_gallery(study: VocoderStudy) -> SoundGallery:
    """Read and draw the sounds of a sweep, of each arm those of its lowest seed that has any."""
    spent, left_out = 0, 0
    unreadable: list[Skipped] = []
    stages = []
    for key, regime in study.regimes.items():
        utterances = []
        for place, sources in _sources(study, key).items():
            clips, loudest = [], math.nan
            for source in sources:
                if spent > MOST_BYTES:
                    left_out += 1
                    continue
                wave = read_wave(source.item, source.artefact)
                if isinstance(wave, Skipped):
                    unreadable.append(wave)
                    continue
                levels = spectrogram(wave)
                # All spectrograms of a sentence have the recording's scale, so that a quiet student
                # looks pale.
                loudest = float(levels.max()) if math.isnan(loudest) else loudest
                picture = data_uri(_picture(wave, levels, loudest))
                audio = f"data:audio/wav;base64,{base64.b64encode(wave.content).decode()}"
                clips.append(Clip(source.title, source.note, audio, picture))
                spent += len(audio) + len(picture)
            if clips:
                utterances.append(Utterance(place, tuple(clips)))
        if utterances:
            stages.append(RegimeSounds(regime.words, tuple(utterances)))
    return SoundGallery(tuple(stages), left_out, tuple(unreadable))


@plain_text
def spectrogram_sheet(study: VocoderStudy) -> Chart | None:
    """Spectrograms of the first sentence, for print: a panel a sound."""
    for key, regime in study.regimes.items():
        for sources in _sources(study, key).values():
            found = [(s, read_wave(s.item, s.artefact)) for s in sources]
            waves = [(s, wave) for s, wave in found if not isinstance(wave, Skipped)]
            if not waves:
                continue
            columns = min(3, len(waves))
            lines = math.ceil(len(waves) / columns)
            figure = blank_figure(4.2 * columns, 1.9 * lines + 0.3)
            axes = figure.subplots(lines, columns, squeeze=False).ravel()
            drawn = [(source, wave, spectrogram(wave)) for source, wave in waves]
            loudest = float(drawn[0][2].max())
            for axis, (source, wave, levels) in zip(axes, drawn, strict=False):
                _draw(axis, wave, levels, loudest)
                axis.set_title(source.title, fontsize=9, color=INK)
            for axis in axes[len(drawn) :]:
                axis.axis("off")
            caption = (
                f"{regime.words}; one test sentence, students sampled from the prior, of each arm "
                f"the lowest seed. {RANGE_DB:.0f} dB below the loudest point of the recording are "
                "white in all panels."
            )
            return Chart("Spectrograms of one sentence", figure_png(figure), caption)
    return None


def read_wave(item: TrialRecord, name: str) -> Wave | Skipped:
    """A sound of a trial, or why there is none."""
    content = read_artefact(item, name)
    if isinstance(content, Skipped):
        return content
    folder = item.folder.name
    where = posixpath.join(item.sweep.name, folder, item.record.artefacts[name])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate, samples = wavfile.read(io.BytesIO(content))
    except WAV_ERRORS as error:
        return Skipped(item.sweep.name, where, f"not a WAV file: {shorten(str(error), 100)}")
    if samples.ndim != 1 or samples.dtype != np.int16 or len(samples) < 2 or rate < 1_000:
        return Skipped(item.sweep.name, where, "not a mono WAV file of 16 bits")
    return Wave(samples.astype(np.float64) / 2.0**15, int(rate), content)


def spectrogram(wave: Wave) -> Array:
    """Levels in dB, full scale 1, (bins, frames)."""
    width = min(max(8, round(WINDOW_SECONDS * wave.rate)), len(wave.samples))
    transform = signal.ShortTimeFFT(signal.windows.hann(width), max(1, width // 4), wave.rate)
    padded = np.pad(wave.samples, (0, max(0, 2 * width - len(wave.samples))))
    power = np.square(np.abs(transform.stft(padded)))
    levels: Array = 10.0 * np.log10(power + 1e-12)
    return levels


def _picture(wave: Wave, levels: Array, loudest: float) -> bytes:
    # Margins are fixed for speed: a layout engine draws each of dozens of figures twice.
    figure = Figure(figsize=(3.6, 1.75), dpi=95, facecolor="white")
    _draw(figure.add_axes((0.11, 0.24, 0.86, 0.72)), wave, levels, loudest)
    return figure_png(figure)


def _draw(axis: Axes, wave: Wave, levels: Array, loudest: float) -> None:
    axis.imshow(
        levels,
        origin="lower",
        aspect="auto",
        cmap="gray_r",
        vmin=loudest - RANGE_DB,
        vmax=loudest,
        extent=(0.0, len(wave.samples) / wave.rate, 0.0, wave.rate / 2000.0),
        interpolation="nearest",
    )
    axis.tick_params(labelsize=7, color=INK, labelcolor=INK)
    axis.set_xlabel("seconds", fontsize=7)
    axis.set_ylabel("kHz", fontsize=7)


def _sources(study: VocoderStudy, regime: str) -> dict[int, list[_Source]]:
    """Place of the sentence -> its sounds in order."""
    rows = study.frame[(study.frame["regime"] == regime) & (study.frame["status"] == "finished")]
    heard = [i for i in rows["record"] if any(_places(study.records[i], STUDENT))]
    rows = rows[rows["record"].isin(heard)].sort_values(["seed", "trial"])
    if rows.empty:
        return {}
    found: dict[int, list[_Source]] = {}
    first = int(rows.iloc[0]["record"])
    for name, title in SHOWN.items():
        for place in _places(study.records[first], name):
            note = _note(study.arrays.get(first, {}), f"{FLOOR}{name}/", place)
            source = _Source(study.records[first], f"{name}_{place}_wav", title, note)
            found.setdefault(place, []).append(source)
    for row in _chosen(study, regime, rows):
        arm, index = study.arms[row["arm"]], int(row["record"])
        for name, prefix, words in ((STUDENT, "", ""), (AT_MATCHED, MATCHED, ", matched scale")):
            for place in _places(study.records[index], name):
                note = _note(study.arrays.get(index, {}), prefix, place)
                title = f"{arm.name}{words} (seed {row['seed']:.0f})"
                source = _Source(study.records[index], f"{name}_{place}_wav", title, note)
                found.setdefault(place, []).append(source)
    return dict(sorted(found.items()))


def _chosen(study: VocoderStudy, regime: str, rows: pd.DataFrame) -> Iterator[pd.Series]:
    """Of each arm the trial with the lowest seed, not the best, at the arm's own best optimiser."""
    cells = study.regimes[regime].cells
    for key in study.arms:
        own = rows[rows["arm"] == key]
        if key in cells:
            own = own[own["record"].isin(cells[key].rows["record"])]
        if len(own):
            yield own.iloc[0]


def _places(item: TrialRecord, name: str) -> list[int]:
    pattern = re.compile(rf"{name}_(\d+)_wav")
    return sorted(int(m[1]) for key in item.record.artefacts if (m := pattern.fullmatch(key)))


def _note(arrays: Mapping[str, Array], prefix: str, place: int) -> str:
    """What was measured of this sound."""
    forms = ((EXCESS, "excess {:.2f}"), (HNR, "HNR {:.1f} dB"), (LEVEL, "level {:.1f} dB"))
    parts = [
        # Adding 0.0 turns a negative zero into zero.
        form.format(round(float(arrays[prefix + metric][place]), 2) + 0.0)
        for metric, form in forms
        if prefix + metric in arrays and place < len(arrays[prefix + metric])
    ]
    return ", ".join(parts).replace("-", "−")
