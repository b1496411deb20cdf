"""Every metric of every cell: mean over training seeds with its t half-width, floors as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.effects import FEWEST_SEEDS, half_width
from analysis.image.contrasts import L1, NOISE, RESCALE, SEED, TEACHER, TRAIN, usable
from analysis.table import REGIME

KEYS = [
    *REGIME,
    "teacher",
    "student",
    "objective",
    "estimator",
    NOISE,
    RESCALE,
    L1,
    "learning_rate",
    "updates",
    "batch_size",
]
FLOORS = {TEACHER: "teacher's own samples (floor)", TRAIN: "training images (floor)"}
SPLIT = "test."


def metrics_of(frame: pd.DataFrame) -> list[str]:
    """Test metrics that some row has a number in, without their split."""
    names = [str(name) for name in frame if str(name).startswith(SPLIT)]
    return [name.removeprefix(SPLIT) for name in names if frame[name].notna().any()]


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell of finished trials, then the floors of each teacher.

    Columns: the cell; `is_floor`; `seeds`; `seconds`, wall time times processes that one trial
    took, training and evaluation, mean over seeds; `seconds_total` of all its trials; and
    `METRIC.mean`, `METRIC.half`: half the 95% t-interval over seeds, NaN below three of them.
    """
    if frame.empty:
        return pd.DataFrame()
    rows = usable(frame)
    names = metrics_of(rows)
    lines: list[dict[str, Any]] = []
    for _, group in rows.groupby([*REGIME, "teacher"], dropna=False):
        # `rest` tells apart what differs in a field that has no column.
        for _, cell in group.groupby([*KEYS, "rest"], dropna=False):
            lines.append(_line(cell, names))
        lines += _floors(group, names)
    return pd.DataFrame(lines)


def _line(cell: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    line: dict[str, Any] = {key: cell.iloc[0][key] for key in KEYS}
    spent = cell.drop_duplicates("record")
    seconds = spent["seconds"] * spent["workers"]
    line |= {"is_floor": False, "seeds": int(cell[SEED].nunique())}
    line |= {"seconds": float(seconds.mean()), "seconds_total": float(seconds.sum())}
    means = cell.groupby(SEED, dropna=False)[[f"{SPLIT}{name}" for name in names]].mean()
    for name in names:
        values = means[f"{SPLIT}{name}"].dropna().to_numpy()
        line[f"{name}.mean"] = float(values.mean()) if len(values) else math.nan
        line[f"{name}.half"] = half_width(values) if len(values) >= FEWEST_SEEDS else math.nan
    return line


def _floors(group: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    lines = []
    for prefix, label in FLOORS.items():
        values = {
            f"{name}.mean": float(group[f"{prefix}{name}"].mean())
            for name in names
            if f"{prefix}{name}" in group and group[f"{prefix}{name}"].notna().any()
        }
        if values:
            own = {key: group.iloc[0][key] for key in (*REGIME, "teacher")}
            lines.append({**own, "student": label, "is_floor": True, **values})
    return lines
