"""Synthetic records of vocoder trials with planted effects, as files and in memory."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.io import wavfile

from analysis.effects import Verdict
from analysis.records import load_records
from analysis.vocoder.claims import judge
from analysis.vocoder.study import VocoderStudy, read_vocoder_study
from raydistill.record import Evaluation, Record, Spent

Values = NDArray[np.float64]
SENTENCES, RATE, SOUNDS = 12, 8000, 2
SEEDS = (0, 1, 2)

FLOORS: Mapping[str, Mapping[str, float]] = {
    "natural": {"periodicity_excess": 0.74, "harmonics_to_noise": 13.7, "voiced_recall_acf": 0.97},
    "copy": {"periodicity_excess": 0.73, "harmonics_to_noise": 13.9, "voiced_recall_acf": 0.96},
    "half": {"periodicity_excess": 0.35, "harmonics_to_noise": 1.1, "voiced_recall_acf": 0.4},
    "whisper": {"periodicity_excess": 0.0, "harmonics_to_noise": -1.9, "voiced_recall_acf": 0.02},
    "teacher": {"periodicity_excess": 0.40, "harmonics_to_noise": 2.5, "voiced_recall_acf": 0.7},
}
SPREADS = {"periodicity_excess": 0.03, "harmonics_to_noise": 0.5, "voiced_recall_acf": 0.03}
OTHERS = {
    "voiced_recall_dio": 0.5,
    "voicing_error_acf": 0.3,
    "f0_error_cents_acf": 60.0,
    "band_power_error_db": 4.0,
    "log_spectral_distance": 7.0,
    "mel_cepstral_distortion": 6.0,
    "multi_resolution_stft": 1.2,
    "spectral_flatness_db": -20.0,
}


@dataclass(frozen=True)
class Made:
    """One trial: its place in the design, and what is planted in it.

    `way` is where its headline metrics lie between the whisper (0) and the teacher (1).
    """

    kind: str
    seed: int = 0
    way: float = 0.5
    level: float = -3.0
    estimator: str = "per_step"
    l1: float = 1.0
    noise: float = 0.0
    power: float = 0.0
    rate: float = 2e-3
    status: str = "finished"
    seconds: float = 300.0
    updates: int = 800
    changes: Mapping[str, float] | None = None

    @property
    def objective(self) -> dict[str, Any]:
        """Its objective's configuration."""
        if self.kind == "reverse_kl":
            return {"kind": self.kind, "estimator": self.estimator}
        tree: dict[str, Any] = {"kind": self.kind, "l1_weight": self.l1}
        if self.kind != "z_reconstruction":
            tree |= {"noise_level": self.noise, "rescale": False}
        return tree


KL = Made("reverse_kl", way=0.05, level=-16.0)
KL_POWER = Made("reverse_kl", way=0.7, level=-3.5, power=1.0)
X = Made("x_reconstruction", way=0.8, level=-4.0)
X_NOISE = Made("x_reconstruction", way=0.9, level=-5.0, noise=0.5)
ORACLE = Made("oracle", way=0.75, level=-4.0)
DEFAULT = (KL, KL_POWER, X, X_NOISE, ORACLE)


def over_seeds(*made: Made, seeds: Iterable[int] = SEEDS) -> list[Made]:
    """Each trial with every seed."""
    return [replace(one, seed=seed) for one in made for seed in seeds]


def floor_arrays(floors: Mapping[str, Mapping[str, float]] = FLOORS) -> dict[str, Values]:
    """`floor/SOUND/METRIC`: sentences differ, alike for all sounds, and a little for each."""
    found: dict[str, Values] = {}
    for place, (sound, own) in enumerate(floors.items()):
        for metric, value in own.items():
            found[f"floor/{sound}/{metric}"] = value + _sentences(metric, place)
        for metric, value in ({"voiced_level_db": -2.0} | OTHERS).items():
            found[f"floor/{sound}/{metric}"] = value + _sentences(metric, place)
    return found


def student_arrays(made: Made) -> dict[str, Values]:
    """One value a sentence of every metric, with effects of sentence and seed."""
    found = {}
    for metric in SPREADS:
        whisper, teacher = FLOORS["whisper"][metric], FLOORS["teacher"][metric]
        found[metric] = np.full(SENTENCES, whisper + made.way * (teacher - whisper))
    for metric, value in ({"voiced_level_db": made.level} | OTHERS).items():
        found[metric] = np.full(SENTENCES, value)
    for metric, change in (made.changes or {}).items():
        found[metric] = found[metric] + change
    spread = 0.2 * (made.seed - 1) * (-1.0 if made.kind == "x_reconstruction" else 1.0)
    for metric in found:
        jitter = _sentences(metric, zlib.crc32(repr(replace(made, way=0.0)).encode()))
        found[metric] = found[metric] + jitter + spread * SPREADS.get(metric, 0.1)
    if made.noise > 0.0:
        found |= {f"matched/{metric}": values + 0.01 for metric, values in found.items()}
    return found


def _sentences(metric: str, stream: int) -> Values:
    size = SPREADS.get(metric, 0.1)
    shared = np.random.default_rng(sum(map(ord, metric))).standard_normal(SENTENCES)
    own = np.random.default_rng([stream, sum(map(ord, metric))]).standard_normal(SENTENCES)
    values: Values = size * (shared + 0.3 * own)
    return values


def trial(index: int, made: Made, arrays: Mapping[str, Values], *, sounds: bool = True) -> Record:
    """A record as a trial of the vocoder task leaves it."""
    config = {
        "task": "vocoder",
        "data": {"name": "asterisk-en", "root": None, "rate": RATE, "seconds": None},
        "teacher": {"model": {"kind": "samplernn"}, "budget": {"updates": 3000}},
        "student": {"kind": "wavenet_flow", "flows": 6, "layers": 5, "channels": 16},
        "objective": made.objective,
        "power": {"weight": made.power, "window": 256, "hop": 40},
        "optimiser": {"learning_rate": made.rate},
        "budget": {"updates": made.updates, "batch_size": 8},
        "window": 2400,
        "evaluation": {"sentences": SENTENCES},
        "seed": made.seed,
    }
    own = {name: values for name, values in arrays.items() if not name.startswith("floor/")}
    metrics = _means({name: values for name, values in own.items() if "/" not in name})
    natural = FLOORS["natural"]["periodicity_excess"]
    metrics["whispering"] = 1.0 - metrics["periodicity_excess"] / natural
    metrics |= {"reverse_kl": 0.5, "reconstruction_l1": 0.3 + 0.01 * made.seed, "teacher_nll": -1.0}
    metrics |= {f"{name}_matched": value for name, value in metrics.items() if "_se" not in name}
    history = []
    for step in (1, 2, 3, 4):
        way = 1.0 - (1.0 - metrics["whispering"]) * step / 4
        seen = {**metrics, "whispering": way}
        history.append(Evaluation(made.updates * step // 4, "validation", seen))
    finished = made.status == "finished"
    if finished:
        history.append(Evaluation(made.updates, "test", metrics))
    else:
        history = history[:2]
    reference = {
        f"{sound}_test": _means(
            {
                name.removeprefix(f"floor/{sound}/"): values
                for name, values in arrays.items()
                if name.startswith(f"floor/{sound}/")
            }
        )
        for sound in FLOORS
    }
    reference["nll"] = {"teacher": -1.05, "linear_prediction": -0.7}
    reference["nll"]["conditioned_linear_prediction"] = -0.75
    reference["codes"] = {"mean": 0.0, "std": 1.01, "kurtosis": 4.2, "autocorrelation": 0.01}
    reference["codes"] |= {"periodicity": 0.37, "periodicity_white": 0.085}
    files = {"arrays": "arrays.safetensors"} if finished else {}
    if sounds and finished:
        names = ["natural", "copy", "teacher", "student"]
        names += ["student_matched"] if made.noise > 0.0 else []
        files |= {f"{n}_{i}_wav": f"{n}_{i}.wav" for n in names for i in range(SOUNDS)}
    return Record(
        f"trial_{index:05d}",
        made.status,  # type: ignore[arg-type]
        config,
        "teacher0key",
        Spent(history[-1].updates, made.seconds, 20.0),
        cause="loss is not finite" if made.status == "failed" else "",
        history=tuple(history),
        reference=reference if finished else {},
        artefacts=files,
        environment={"python": "3.11"},
    )


def _means(arrays: Mapping[str, Values]) -> dict[str, float]:
    found = {name: float(values.mean()) for name, values in arrays.items()}
    errors = {
        f"{name}_se": float(values.std(ddof=1)) / math.sqrt(len(values))
        for name, values in arrays.items()
    }
    return found | errors


def tone(seconds: float = 0.5, voiced: bool = True, gain: float = 0.2) -> bytes:
    """A WAV file: a pulse train of a gliding pitch, or noise."""
    count = int(RATE * seconds)
    if voiced:
        phase = np.cumsum(np.linspace(110.0, 160.0, count)) / RATE
        x = sum(np.cos(2 * np.pi * h * phase) / h for h in range(1, 18))
    else:
        x = np.random.default_rng(0).standard_normal(count)
    buffer = io.BytesIO()
    wavfile.write(buffer, RATE, (gain * 32767 * x / np.abs(x).max()).astype(np.int16))
    return buffer.getvalue()


Change = Callable[[Made, dict[str, Values]], dict[str, Values]]


def put(
    storage: Path,
    made: Iterable[Made],
    *,
    name: str = "vocoder",
    floors: Mapping[str, Mapping[str, float]] = FLOORS,
    sounds: bool = True,
    change: Change = lambda made, arrays: arrays,
) -> Path:
    """Write a sweep's files; returns its folder."""
    known = floor_arrays(floors)
    for index, one in enumerate(made):
        arrays = change(one, student_arrays(one) | known)
        record = trial(index, one, arrays, sounds=sounds)
        folder = storage / name / record.trial
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(record.to_json())
        for key, path in record.artefacts.items():
            if key == "arrays":
                content = save({k: v.astype(np.float32) for k, v in arrays.items()})
            else:
                whispers = key.startswith("student") and one.way < 0.5
                content = tone(voiced=not whispers, gain=0.05 if whispers else 0.2)
            (folder / path).write_bytes(content)
    return storage / name


def study_of(storage: Path, name: str = "vocoder") -> VocoderStudy:
    """The sweep, read back."""
    return read_vocoder_study(load_records(storage, name))


def verdicts_of(storage: Path, made: Iterable[Made], **options: Any) -> dict[str, list[Verdict]]:
    """Verdicts on such records by part: 15, 15a to 15e."""
    put(storage, made, **options)
    found: dict[str, list[Verdict]] = {}
    for verdict in judge(study_of(storage)):
        found.setdefault(verdict.claim.partition(". ")[0], []).append(verdict)
    return found
