"""The tables of a vocoder sweep: objective by metric with floors, what it cost, the teacher."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.effects import FEWEST_SEEDS, Interval
from analysis.page import MetricColumn
from analysis.vocoder.calibration import sentence_mean
from analysis.vocoder.crossed_random_effects import crossed_interval
from analysis.vocoder.study import EXCESS, MATCHED, WHISPERING, ArmCell, Regime, VocoderStudy

VOICE = (
    MetricColumn(WHISPERING, "whispering", 3),
    MetricColumn(EXCESS, "periodicity excess", 3),
    MetricColumn("harmonics_to_noise", "harmonics to noise, dB", 1),
    MetricColumn("voiced_recall_acf", "voiced recall", 2),
    MetricColumn("voiced_recall_dio", "voiced recall, DIO", 2),
    MetricColumn("voicing_error_acf", "voicing error", 2),
    MetricColumn("f0_error_cents_acf", "F0 error, cents", 0),
    MetricColumn("voiced_level_db", "voiced level, dB", 1),
)
"""Measures that tell a whisper from a voice, and the level."""

SPECTRA = (
    MetricColumn("band_power_error_db", "band powers, rms error, dB", 1),
    MetricColumn("log_spectral_distance", "log-spectral distance, dB", 1),
    MetricColumn("mel_cepstral_distortion", "mel-cepstral distortion, dB", 1),
    MetricColumn("multi_resolution_stft", "multi-resolution STFT", 3),
    MetricColumn("spectral_flatness_db", "spectral flatness, dB", 1),
)
LIKELIHOODS = (
    MetricColumn("reconstruction_l1", "reconstruction error, l1", 3),
    MetricColumn("reconstruction_l2", "reconstruction error, l2", 3),
    MetricColumn("reverse_kl", "reverse KL, nats a sample", 3),
    MetricColumn("teacher_nll", "−log p_T of samples, nats a sample", 3),
    MetricColumn("z_error_l1", "error in z, l1", 3),
)
TABLES = {
    "Whispering": VOICE,
    "Spectra: none of these tells a whisper": SPECTRA,
    "Reconstruction and likelihood: neither do these": LIKELIHOODS,
}

FLOOR_ROWS = {
    "natural": "natural recordings",
    "copy": "copy-synthesis",
    "teacher": "teacher's own samples",
    "half": "half whisper",
    "whisper": "whisper",
}


@dataclass(frozen=True)
class Line:
    """A row of the table: an arm, or a known sound.

    Attributes:
        name: the arm, or the sound.
        is_floor: whether it is a known sound.
        seeds: training seeds; 0 of a floor.
        optimisers: settings of the optimiser of which the best is here.
        values: metric -> mean and interval, those of samples at the prior scale 1 or, in a row of
            its own, at the matched one.
    """

    name: str
    is_floor: bool
    seeds: int
    optimisers: int
    values: Mapping[str, Interval]


@dataclass(frozen=True)
class Cost:
    """What an arm's trials have cost, means over seeds.

    Attributes:
        name: the arm.
        trials: how many.
        updates: of one trial.
        train_seconds: wall time in updates times processes, of one trial.
        evaluate_seconds: the same in evaluations.
        device: kinds of device.
    """

    name: str
    trials: int
    updates: float
    train_seconds: float
    evaluate_seconds: float
    device: str


@dataclass(frozen=True)
class Teacher:
    """A teacher's likelihood and codes, with a warning if it is a poor model.

    Attributes:
        key: what it is named by, the beginning of the hash of its weights.
        words: its regime.
        reference: `nll`, `codes` and the floors of its records.
        warning: why students of it say little; empty if nothing is wrong.
    """

    key: str
    words: str
    reference: Mapping[str, Mapping[str, float]]
    warning: str


def lines_of(regime: Regime) -> list[Line]:
    """The arms of a regime, each at the matched scale too where it has one; then its floors."""
    lines = []
    for cell in regime.cells.values():
        lines.append(_line(cell, "", cell.arm.name))
        if any(name.startswith(MATCHED) for name in cell.tables):
            lines.append(_line(cell, MATCHED, f"{cell.arm.name}, at the matched prior scale"))
    return [*lines, *_floors(regime)]


def _line(cell: ArmCell, prefix: str, name: str) -> Line:
    values = {}
    for column in (c for columns in TABLES.values() for c in columns):
        table = cell.tables.get(prefix + column.metric)
        if prefix and table is None:
            table = cell.tables.get(f"{column.metric}_matched")
        if table is not None:
            # A mean over sentences alone has no interval below three seeds.
            values[column.metric] = crossed_interval(table)
    return Line(name, False, cell.seeds, cell.optimisers, values)


def _floors(regime: Regime) -> Iterator[Line]:
    natural = math.nan
    if "natural" in regime.floors:
        natural = float(np.nanmean(regime.floors["natural"][EXCESS]))
    for sound, name in FLOOR_ROWS.items():
        found = {metric: sentence_mean(v) for metric, v in regime.floors.get(sound, {}).items()}
        for metric, value in regime.reference.get(f"{sound}_test", {}).items():
            if not metric.endswith(("_se", "_n")):
                found.setdefault(metric, Interval(value, math.nan, math.nan, 0))
        if EXCESS in found and math.isfinite(natural):
            own = found[EXCESS]
            ends = (1.0 - own.value / natural, 1.0 - own.high / natural, 1.0 - own.low / natural)
            found[WHISPERING] = Interval(*ends, own.count)
        if found:
            yield Line(name, True, 0, 0, found)


def costs_of(regime: Regime, study: VocoderStudy) -> list[Cost]:
    """What each arm of a regime has cost."""
    lines = []
    for cell in regime.cells.values():
        spent = [study.records[index].record.spent for index in cell.rows["record"]]
        lines.append(
            Cost(
                cell.arm.name,
                len(spent),
                float(np.mean([one.updates for one in spent])),
                float(np.mean([one.train_seconds * one.workers for one in spent])),
                float(np.mean([one.evaluate_seconds * one.workers for one in spent])),
                ", ".join(sorted({one.device for one in spent})),
            )
        )
    return lines


def teachers_of(study: VocoderStudy) -> list[Teacher]:
    """The teachers of all regimes, each once."""
    found: dict[str, Teacher] = {}
    for regime in study.regimes.values():
        if not regime.reference or regime.teacher in found:
            continue
        nll = regime.reference.get("nll", {})
        own, baseline = nll.get("teacher", math.nan), nll.get("linear_prediction", math.nan)
        warning = ""
        if own >= baseline:
            warning = (
                f"The teacher's {own:.3f} nats a sample are no better than the {baseline:.3f} of "
                "linear prediction: what students learn from it says little."
            )
        found[regime.teacher] = Teacher(regime.teacher, regime.words, regime.reference, warning)
    return list(found.values())


def as_frame(study: VocoderStudy) -> pd.DataFrame:
    """All tables in one, for a CSV file: a row a regime, student or floor, and metric."""
    rows = []
    for regime in study.regimes.values():
        for line in lines_of(regime):
            for metric, found in line.values.items():
                over = "sentences" if line.seeds < FEWEST_SEEDS else "seeds and sentences"
                rows.append(
                    {
                        "regime": regime.words,
                        "teacher": regime.teacher,
                        "student": "" if line.is_floor else line.name,
                        "floor": line.name if line.is_floor else "",
                        "metric": metric,
                        "mean": found.value,
                        "low": found.low,
                        "high": found.high,
                        "interval_over": "" if math.isnan(found.low) else over,
                        "seeds": line.seeds,
                        "sentences": regime.sentences,
                    }
                )
    return pd.DataFrame(rows)
