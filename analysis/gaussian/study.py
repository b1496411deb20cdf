"""Reads a Gaussian sweep: a table that names teachers, arms and ways of training, and arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from analysis.records import RecordSet, Skipped, TrialRecord, read_artefact
from analysis.table import count_replicas, to_frame
from raydistill.record import FILE_NAME
from raydistill.theory.propositions import outward_fraction

Array = NDArray[np.float64]

KL, KL_BACK = "test.kl_student_teacher", "test.kl_teacher_student"
KS, SHIFT = "test.ks_log_prob", "test.log_prob_shift"
OBJECTIVES = {
    "reverse_kl": "reverse KL",
    "z_reconstruction": "z-reconstruction",
    "x_reconstruction": "x-reconstruction",
    "oracle": "oracle",
}
TEACHER = ("matrix", "condition", "scale", "triangular", "mean")
"""Columns that say how a teacher is drawn, beside T and the seed."""

TRAINING = ("start", "structure", "budget", "batch_size", "learning_rate", "decay")
OWN = ("estimator", "noise_level", "l1_weight")
"""Factors of a trial that all objectives have, and those that belong to some."""

CELL = ("setting", "dimension", "arm")
RESOLUTION = 1e-12
"""KL in nats below which students count as equal to their teacher in logarithms of KL."""

MONTE_CARLO_DRAWS = 10_000
FACTS = ("condition", "smallest_eigenvalue", "largest_eigenvalue")


@dataclass(frozen=True)
class Arrays:
    """The arrays of a trial, K seeds each; see `GaussianTask.arrays`.

    Attributes:
        log_prob_student, log_prob_teacher: log p_T of samples, (K, N).
        radial_force, radial_force_start: at the student's samples, after and before, (K, N).
        teacher_spectrum: eigenvalues of the teachers' covariances, falling, (K, T).
        whitened_spectrum: of the students' in the teachers' coordinates, falling, (K, T).
    """

    log_prob_student: Array
    log_prob_teacher: Array
    radial_force: Array
    radial_force_start: Array
    teacher_spectrum: Array
    whitened_spectrum: Array


@dataclass(frozen=True)
class GaussianStudy:
    """A Gaussian sweep.

    Attributes:
        frame: one row a seed, as `to_frame` gives it, with `setting` (teacher), `arm` (objective
            with the factors that vary in the sweep) and `regime` (training, in words).
        rows: those of finished trials whose budget was spent, one a cell and seed; a KL that is
            not finite is infinity here, the worst there is.
        records: all records; the column `record` points into them.
        arrays: of the records whose file could be read, by record.
        unreadable: files that could not.
        repeated: rows left out since their cell and seed had been seen.
        adaptive: cells were chosen by a search.
    """

    frame: pd.DataFrame
    rows: pd.DataFrame
    records: tuple[TrialRecord, ...]
    arrays: Mapping[int, Arrays]
    unreadable: tuple[Skipped, ...]
    repeated: int
    adaptive: bool

    @cached_property
    def teachers(self) -> pd.DataFrame:
        """One row a teacher: setting, T, seed, its facts, Proposition 1 exactly and sampled.

        `monte_carlo` and `monte_carlo_error` are NaN where no arrays file could be read, as is
        `norm_law`: sqrt(Var) / (2 E) of |x|^2, which the variation of |x| tends to.
        """
        return _teachers(self)

    @cached_property
    def paths(self) -> pd.DataFrame:
        """One row a usable seed and validation: its cell, `updates`, and every metric's value."""
        return _paths(self)

    @property
    def dimensions(self) -> list[int]:
        """All T of usable rows, rising."""
        return sorted({int(value) for value in self.rows["dimension"]})

    @property
    def settings(self) -> list[str]:
        """All kinds of teacher of usable rows."""
        return ordered(self.rows, "setting")

    @property
    def regimes(self) -> list[str]:
        """All ways of training of usable rows, in words."""
        return ordered(self.rows, "regime")


def read_gaussian_study(found: RecordSet) -> GaussianStudy:
    """The study of one sweep's records."""
    frame = to_frame(found)
    # Logarithms of both are taken: a value that is not positive counts as absent.
    for name in ("dimension", "learning_rate"):
        frame[name] = frame[name].where(frame[name] > 0.0)
    frame = _named(frame)
    spent = frame["budget"].isna() | (frame["updates"] == frame["budget"])
    ended = frame[(frame["status"] == "finished") & spent]
    placed = ended["dimension"].notna() & ended["seed"].notna()
    usable = ended[placed]
    infinite = {name: usable[name].fillna(math.inf) for name in (KL, KL_BACK) if name in usable}
    usable = columns_of(usable.assign(**infinite), [KL, KL_BACK, KS])
    rows = usable.drop_duplicates([*CELL, "regime", "seed"]).sort_values(
        ["condition", "setting", "dimension", "order", "arm", "seed"], kind="stable"
    )
    arrays: dict[int, Arrays] = {}
    unreadable = [_without_place(found.records[i]) for i in dict.fromkeys(ended["record"][~placed])]
    for index in dict.fromkeys(rows["record"]):
        read = _read_arrays(found.records[index])
        if isinstance(read, Skipped):
            unreadable.append(read)
        else:
            arrays[index] = read
    repeated = len(usable) - len(rows)
    adaptive = bool(set(frame["search"]) - {"", "grid"})
    return GaussianStudy(frame, rows, found.records, arrays, tuple(unreadable), repeated, adaptive)


def _without_place(item: TrialRecord) -> Skipped:
    where = f"{item.sweep.name}/{item.record.trial}/{FILE_NAME}"
    return Skipped(item.sweep.name, where, "its configuration has no dimension, or no seed")


def ordered(rows: pd.DataFrame, column: str) -> list[str]:
    """Distinct values of a column in the order of the rows."""
    return list(dict.fromkeys(rows[column]))


def objective_name(kind: str) -> str:
    """An objective in words."""
    return OBJECTIVES.get(kind, kind)


def log_kl(values: pd.Series) -> pd.Series:
    """log10 of KL, never below that of `RESOLUTION`."""
    return pd.Series(np.log10(np.maximum(values.to_numpy(dtype=float), RESOLUTION)), values.index)


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    varied = {
        name
        for name in (*TRAINING, *OWN)
        if (frame.groupby("objective")[name].nunique() > 1).any()
        or (name in TRAINING and frame[name].nunique() > 1)
    }
    named = frame.drop_duplicates([*TEACHER, *TRAINING, *OWN, "objective"])
    several_means = frame["mean"].nunique() > 1
    keys = [*TEACHER, *TRAINING, *OWN, "objective"]
    labels = pd.DataFrame(
        {
            "setting": [_setting(row, several_means) for _, row in named.iterrows()],
            "arm": [_arm(row, varied) for _, row in named.iterrows()],
            "regime": [_regime(row) for _, row in named.iterrows()],
        },
        index=keys_of(named, keys),
    )
    found = labels.loc[keys_of(frame, keys)]
    places = {kind: place for place, kind in enumerate(OBJECTIVES)}
    order = frame["objective"].map(places).fillna(len(places))
    return frame.assign(**{str(name): found[name].to_numpy() for name in labels}, order=order)


def nearest_to_paper(rows: pd.DataFrame) -> pd.DataFrame:
    """Of several arms the one nearest to the paper's: plain, from the identity, long, at 0.005."""
    order = rows.assign(
        estimated=rows["estimator"] != "plain",
        started=rows["start"] != "identity",
        short=-rows["budget"],
        off=(rows["learning_rate"] / 0.005).map(math.log).abs(),
    ).sort_values(["estimated", "started", "short", "off"], kind="stable")
    first = order.iloc[0]
    usual: pd.DataFrame = rows[(rows["arm"] == first["arm"]) & (rows["regime"] == first["regime"])]
    return usual


def keys_of(rows: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """One text a row that tells the values of columns apart, missing ones included."""
    values = rows[list(names)].itertuples(index=False, name=None)
    return ["|".join(map(str, row)) for row in values]


def _setting(row: pd.Series, several_means: bool) -> str:
    """How a teacher is drawn, in words."""
    words = {"standard": "standard R", "scaled": "scaled R", "covariance": "given covariance"}
    text = words.get(row["matrix"], "chosen spectrum")
    if not pd.isna(row["condition"]):
        text = f"condition {row['condition']:g}"
    if not pd.isna(row["scale"]) and row["scale"] != 1.0:
        text += f" x {row['scale']:g}"
    if row["triangular"]:
        text += ", triangular"
    return f"{text}, mean {row['mean']:g}" if several_means else text


def _arm(row: pd.Series, varied: set[str]) -> str:
    words = {
        "estimator": f"{row['estimator']} gradient" if row["estimator"] else "",
        "start": f"{row['start']} start",
        "structure": f"{row['structure'].replace('_', ' ')} student",
        "budget": f"{row['budget']:.0f} updates",
        "batch_size": f"batch {row['batch_size']:.0f}",
        "learning_rate": f"rate {row['learning_rate']:.3g}",
        "decay": f"{row['decay']} rate",
        "noise_level": "" if pd.isna(row["noise_level"]) else f"noise {row['noise_level']:.3g}",
        "l1_weight": "" if pd.isna(row["l1_weight"]) else f"l1 weight {row['l1_weight']:.3g}",
    }
    shown = [words[name] for name in (*OWN, *TRAINING) if name in varied and words[name]]
    return ", ".join([objective_name(row["objective"]), *shown])


def _regime(row: pd.Series) -> str:
    return (
        f"{row['structure'].replace('_', ' ')} matrix from {row['start']} start, "
        f"rate {row['learning_rate']:g} ({row['decay']}), {row['budget']:.0f} updates of "
        f"{row['batch_size']:.0f}"
    )


def _read_arrays(item: TrialRecord) -> Arrays | Skipped:
    content = read_artefact(item, "arrays")
    if isinstance(content, Skipped):
        return content
    where = f"{item.sweep.name}/{item.record.trial}/{item.record.artefacts['arrays']}"
    try:
        tensors = load(content)
        found = Arrays(**{n: tensors[n].astype(np.float64) for n in Arrays.__annotations__})
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        return Skipped(item.sweep.name, where, f"not the arrays of a trial: {error!r}")
    count = count_replicas(item.record)
    for name in Arrays.__annotations__:
        array = getattr(found, name)
        if array.ndim != 2 or len(array) != count or not array.size:
            reason = f"{name} has shape {array.shape} for {count} seeds"
            return Skipped(item.sweep.name, where, reason)
    return found


def _teachers(study: GaussianStudy) -> pd.DataFrame:
    names = {f"test.teacher_{fact}": fact for fact in FACTS} | {
        "test.outward_probability": "probability",
        "test.norm_variation_floor": "norm_variation",
    }
    keys = ["setting", "dimension", "seed"]
    # A teacher is the same in all rows; a row with arrays is preferred.
    rows = study.rows.assign(has=study.rows["record"].isin(list(study.arrays)))
    rows = rows.sort_values("has", ascending=False, kind="stable").drop_duplicates(keys)
    rows = rows.reindex(columns=[*keys, "mean", "record", "replica", *names]).rename(columns=names)
    # In the order of the page, which is by condition number, not alphabetical.
    order = {setting: place for place, setting in enumerate(study.settings)}
    rows = rows.sort_values(
        keys, kind="stable", key=lambda c: c.map(order) if c.name == "setting" else c
    ).reset_index(drop=True)
    sampled = [_sampled(study, row) for _, row in rows.iterrows()]
    columns = ["monte_carlo", "monte_carlo_error", "norm_law"]
    return rows.join(pd.DataFrame(sampled, columns=columns, index=rows.index))


def _sampled(study: GaussianStudy, row: pd.Series) -> tuple[float, float, float]:
    arrays = study.arrays.get(row["record"])
    if arrays is None:
        return (math.nan, math.nan, math.nan)
    spectrum = arrays.teacher_spectrum[row["replica"]]
    if not (np.isfinite(spectrum).all() and (spectrum > 0.0).all()):
        return (math.nan, math.nan, math.nan)
    # Each teacher has draws of its own: with common ones the errors of all would agree in sign.
    seed = 1_000 * int(row["dimension"]) + int(row["seed"])
    found = outward_fraction(spectrum, MONTE_CARLO_DRAWS, seed)
    offset = len(spectrum) * row["mean"] ** 2
    # Over rotations of R the mean lies on average equally along all eigenvectors.
    variance = 2.0 * (spectrum**2).sum() + 4.0 * offset * spectrum.mean()
    law = math.sqrt(variance) / (2.0 * (spectrum.sum() + offset))
    return (found.value, found.standard_error, law)


def _paths(study: GaussianStudy) -> pd.DataFrame:
    labels = ["setting", "dimension", "arm", "regime", "objective", "estimator", "seed"]
    pieces = []
    for (index,), rows in groups(study.rows, "record"):
        seen = [e for e in study.records[index].record.history if e.split == "validation"]
        if not seen:
            continue
        replicas = rows["replica"].to_numpy()
        columns: dict[str, list[Array]] = {}
        for name in seen[0].metrics:
            columns[name] = [
                np.asarray(e.replicas[name])[replicas]
                if name in e.replicas
                else np.full(len(rows), e.metrics.get(name, math.nan))
                for e in seen
            ]
        values = {name: np.concatenate(parts) for name, parts in columns.items()}
        values["updates"] = np.repeat([e.updates for e in seen], len(rows))
        repeated = {name: np.tile(rows[name].to_numpy(), len(seen)) for name in labels}
        pieces.append(pd.DataFrame(repeated | values))
    if not pieces:
        return pd.DataFrame(columns=[*labels, "updates"])
    return pd.concat(pieces, ignore_index=True)


def groups(rows: pd.DataFrame, *names: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows by the values of columns, in the order in which they come."""
    for key, group in rows.groupby(list(names), sort=False):
        yield (key if isinstance(key, tuple) else (key,)), group


def columns_of(rows: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """The columns, NaN where a record does not have them."""
    return rows.reindex(columns=list(dict.fromkeys([*rows.columns, *names])))
