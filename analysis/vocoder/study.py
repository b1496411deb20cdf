"""Reads a vocoder sweep: regimes, their arms, and a value for each seed and test sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load

from analysis.effects import FEWEST_SEEDS, Array
from analysis.records import RecordSet, Skipped, TrialRecord, read_artefact
from analysis.table import number_at, plural, text_at, to_frame
from analysis.vocoder.arms import Arm, arm_of, digest, distinct_arms

EXCESS, HNR, RECALL = "periodicity_excess", "harmonics_to_noise", "voiced_recall_acf"
LEVEL, WHISPERING = "voiced_level_db", "whispering"
MATCHED = "matched/"
"""Prefix of metrics of samples at the matched prior scale, that of the codes with their noise."""

FLOOR = "floor/"
FLOORS = ("natural", "copy", "half", "whisper", "teacher")

OWN_FIELDS = ("objective", "power", "optimiser", "seed", "replicas")
"""What trials of one regime may differ in."""


@dataclass(frozen=True)
class ArmCell:
    """An arm in a regime, with its best optimiser.

    Attributes:
        arm: the objective.
        rows: its trials, a row a seed, by seed; see `to_frame`.
        tables: metric -> value of each training seed and test sentence, (seeds, sentences); a
            single column where only the mean over sentences is known. Names with `MATCHED` are at
            the matched scale.
        optimisers: how many were tried; the best on the validation split is here.
    """

    arm: Arm
    rows: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    optimisers: int

    @property
    def seeds(self) -> int:
        """Training seeds."""
        return len(self.rows)


@dataclass(frozen=True)
class Regime:
    """Trials that agree in everything but objective, power loss, optimiser and seed.

    Attributes:
        words: data, teacher, student and budget.
        teacher: what it is named by, the beginning of the hash of its weights.
        cells: its arms with finished trials, by the arm's key.
        floors: sound -> metric -> a value a test sentence, (sentences,); empty without arrays.
        reference: the records' own floors, and what is known of the teacher.
    """

    words: str
    teacher: str
    cells: Mapping[str, ArmCell]
    floors: Mapping[str, Mapping[str, Array]]
    reference: Mapping[str, Mapping[str, float]]

    @property
    def sentences(self) -> int:
        """Test sentences; 0 where only means are known."""
        return len(self.floors["natural"][EXCESS]) if self.floors else 0


@dataclass(frozen=True)
class VocoderStudy:
    """A vocoder sweep.

    Attributes:
        frame: a row a trial, as `to_frame` gives it, with `arm` (key), `name` (of the arm),
            `regime` (key) and `spent_seconds`: wall time in updates times processes.
        records: all records; the column `record` points into them.
        arms: by key.
        regimes: by key.
        arrays: of the records whose file could be read, by record.
        unreadable: files that could not.
    """

    frame: pd.DataFrame
    records: tuple[TrialRecord, ...]
    arms: Mapping[str, Arm]
    regimes: Mapping[str, Regime]
    arrays: Mapping[int, Mapping[str, Array]]
    unreadable: tuple[Skipped, ...]

    @cached_property
    def is_adaptive(self) -> bool:
        """Whether cells were chosen by a search, so that they are no balanced design."""
        return bool(set(self.frame["search"]) - {"", "grid"})


def read_vocoder_study(found: RecordSet) -> VocoderStudy:
    """Read a sweep with all its arrays; what cannot be read is left out and named."""
    frame = to_frame(found).reset_index(drop=True)
    configs = [found.records[i].record.config for i in frame["record"]]
    arms = distinct_arms(arm_of(config) for config in configs)
    spent = [found.records[i].record.spent for i in frame["record"]]
    frame["arm"] = [arm_of(config).key for config in configs]
    frame["name"] = [arms[key].name for key in frame["arm"]]
    frame["regime"] = [
        digest([{k: v for k, v in config.items() if k not in OWN_FIELDS}, teacher])
        for config, teacher in zip(configs, frame["teacher"], strict=True)
    ]
    frame["tuning"] = [digest(config.get("optimiser")) for config in configs]
    frame["spent_seconds"] = [one.train_seconds * one.workers for one in spent]
    arrays: dict[int, dict[str, Array]] = {}
    unreadable: list[Skipped] = []
    for index, item in enumerate(found.records):
        if item.record.status == "finished":
            read = _read_arrays(item)
            if isinstance(read, Skipped):
                unreadable.append(read)
            else:
                arrays[index] = read
    regimes = {
        str(key): _regime(rows, found.records, arms, arrays, unreadable)
        for key, rows in frame.groupby("regime", sort=False)
    }
    return VocoderStudy(frame, found.records, arms, regimes, arrays, tuple(unreadable))


def finished_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Finished trials whose budget was spent; of a cell's trials with one seed the first."""
    spent = frame["budget"].isna() | (frame["updates"] == frame["budget"])
    rows = frame[(frame["status"] == "finished") & spent]
    return rows.drop_duplicates(["regime", "arm", "tuning", "seed"])


def _regime(
    rows: pd.DataFrame,
    records: tuple[TrialRecord, ...],
    arms: Mapping[str, Arm],
    arrays: dict[int, dict[str, Array]],
    unreadable: list[Skipped],
) -> Regime:
    good = finished_trials(rows)
    floors: dict[str, dict[str, Array]] = {}
    for index in good["record"]:
        if index not in arrays:
            continue
        own = _floors(arrays[index])
        if not floors:
            floors = own
        elif not _same(own, floors):
            # All trials of a regime have the same test sentences, and so the same floors.
            item = records[index]
            where = f"{item.sweep.name}/{item.record.trial}/{item.record.artefacts['arrays']}"
            reason = "its floors are not those of the regime's first trial: other sentences"
            unreadable.append(Skipped(item.sweep.name, where, reason))
            del arrays[index]
    found = (r.record.reference for i in rows["record"] if (r := records[i]).record.reference)
    first = records[rows.iloc[0]["record"]].record
    cells = {
        key: _cell(good[good["arm"] == key], arm, arrays, floors)
        for key, arm in arms.items()
        if (good["arm"] == key).any()
    }
    return Regime(_words(rows.iloc[0], first.config), first.teacher, cells, floors, next(found, {}))


def _cell(
    rows: pd.DataFrame,
    arm: Arm,
    arrays: Mapping[int, Mapping[str, Array]],
    floors: Mapping[str, Mapping[str, Array]],
) -> ArmCell:
    tunings = rows["tuning"].nunique()
    best = best_tuning(rows).sort_values("seed")
    tables: dict[str, pd.DataFrame] = {}
    for column in (str(name) for name in best if str(name).startswith("test.")):
        values = best.set_index("seed")[[column]]
        if values[column].notna().any():
            tables[column.removeprefix("test.")] = values.set_axis([0], axis=1)
    kept = {
        row["seed"]: arrays[row["record"]] for _, row in best.iterrows() if row["record"] in arrays
    }
    names = dict.fromkeys(n for own in kept.values() for n in own if not n.startswith(FLOOR))
    for name in names:
        tables[name] = pd.DataFrame.from_dict(
            {seed: own[name] for seed, own in kept.items() if name in own}, orient="index"
        )
    if floors and np.isfinite(natural := float(np.nanmean(floors["natural"][EXCESS]))):
        for scale in ("", MATCHED):
            if scale + EXCESS in names:
                tables[scale + WHISPERING] = 1.0 - tables[scale + EXCESS] / natural
    return ArmCell(arm, best, tables, tunings)


def best_tuning(rows: pd.DataFrame) -> pd.DataFrame:
    """Of an arm's trials with several optimisers those of the best, by validation whispering.

    What the test split says of them is then untouched by the choice. Those with fewer than three
    seeds compete only where none has three.
    """
    measure = f"validation.{WHISPERING}"
    seeds = rows.groupby("tuning")["seed"].nunique()
    candidates = seeds[seeds >= min(FEWEST_SEEDS, int(seeds.max()))].index
    best = candidates[0]
    if len(candidates) > 1 and measure in rows:
        means = rows[rows["tuning"].isin(candidates)].groupby("tuning")[measure].mean()
        best = means.idxmin() if means.notna().any() else best
    chosen: pd.DataFrame = rows[rows["tuning"] == best]
    return chosen


def _floors(arrays: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    found: dict[str, dict[str, Array]] = {}
    for key, values in arrays.items():
        if key.startswith(FLOOR):
            sound, _, metric = key.removeprefix(FLOOR).partition("/")
            found.setdefault(sound, {})[metric] = values
    return found


def _same(own: Mapping[str, Mapping[str, Array]], other: Mapping[str, Mapping[str, Array]]) -> bool:
    first, second = own["natural"][EXCESS], other["natural"][EXCESS]
    return len(first) == len(second) and bool(np.allclose(first, second, atol=1e-3, equal_nan=True))


def _read_arrays(item: TrialRecord) -> dict[str, Array] | Skipped:
    content = read_artefact(item, "arrays")
    if isinstance(content, Skipped):
        return content
    where = f"{item.sweep.name}/{item.record.trial}/{item.record.artefacts['arrays']}"
    try:
        tensors = load(content)
        found = {name: values.astype(np.float64) for name, values in tensors.items()}
        wanted = [EXCESS, *(f"{FLOOR}{sound}/{EXCESS}" for sound in FLOORS)]
        lacking = [name for name in wanted if name not in found]
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        return Skipped(item.sweep.name, where, f"not the arrays of a trial: {error!r}")
    if lacking:
        return Skipped(item.sweep.name, where, f"it has no {lacking[0]}")
    shapes = {values.shape for values in found.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        return Skipped(item.sweep.name, where, f"its arrays have shapes {sorted(shapes)}, not one")
    return found


def _words(row: pd.Series, config: Mapping[str, Any]) -> str:
    """Data, teacher, student and budget of a regime."""
    parts = list(_data(config))
    trained = row["teacher_updates"]
    parts.append(
        "teacher" if math.isnan(trained) else f"teacher of {plural(int(trained), 'update')}"
    )
    sizes = [
        f"{size} {name}"
        for name in ("flows", "layers", "channels")
        if (size := number_at(config, "student", name)) is not None
    ]
    parts.append(
        f"{row['student'] or 'unknown'} student{' of ' if sizes else ''}{', '.join(sizes)}"
    )
    budget = "unknown budget" if math.isnan(row["budget"]) else f"{row['budget']:.0f} updates"
    batch = "" if math.isnan(row["batch_size"]) else f" of {row['batch_size']:.0f} windows"
    window = number_at(config, "window")
    length = f" of {window} samples" if window is not None and batch else ""
    return "; ".join([*parts, f"{budget}{batch}{length}"])


def _data(config: Mapping[str, Any]) -> Iterator[str]:
    """Data set, rate and length of the training speech, as far as the configuration has them."""
    name = text_at(config, "data", "name")
    if name == "folder":
        name = text_at(config, "data", "root")
    rate, seconds = number_at(config, "data", "rate"), number_at(config, "data", "seconds")
    yield f"{name or 'unknown data'}{'' if rate is None else f' at {rate} Hz'}"
    if seconds is not None:
        yield f"{seconds:g} s of training speech"
