"""Every metric of every cell: mean over training seeds with its t half-width, floors as rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.effects import FEWEST_SEEDS, half_width
from analysis.image.contrasts import BEST, L1, NOISE, RESCALE, SEED, finished_trials
from analysis.table import MEASURES, REGIME

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
    "rest",
]
FLOORS = {"teacher": "teacher's own samples", "train": "training images"}
SPLIT, SEEN = "test.", "validation."


def columns_of(frame: pd.DataFrame) -> dict[str, str]:
    """Metric -> its column: what cells are chosen by, then test metrics that have a number."""
    names = [name for name in MEASURES if name in frame]
    names += [str(name) for name in frame if str(name).startswith(SPLIT)]
    return {name.removeprefix(SPLIT): name for name in names if frame[name].notna().any()}


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell of finished trials, then the floors of each teacher.

    Columns: the cell; `rest`, which tells apart what differs in a field without a column;
    `is_floor`; `seeds`; `seconds`, wall time times processes that one trial
    took, training and evaluation, mean over seeds; `seconds_total` of all its trials; and
    `METRIC.mean`, `METRIC.half`: half the 95% t-interval over seeds, NaN below three of them.
    Metrics are of the test split, but for those that cells are chosen by, `validation.METRIC`.
    """
    if frame.empty:
        return pd.DataFrame()
    rows = finished_trials(frame)
    columns = columns_of(rows)
    lines: list[dict[str, Any]] = []
    for _, group in rows.groupby([*REGIME, "teacher"], dropna=False):
        for _, cell in group.groupby(KEYS, dropna=False):
            lines.append(_line(cell, columns))
        lines += _floors(group, columns)
    return pd.DataFrame(lines)


def _line(cell: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, Any]:
    line: dict[str, Any] = {key: cell.iloc[0][key] for key in KEYS}
    spent = cell.drop_duplicates("record")
    seconds = spent["seconds"] * spent["workers"]
    line |= {"is_floor": False, "seeds": int(cell[SEED].nunique())}
    line |= {"seconds": float(seconds.mean()), "seconds_total": float(seconds.sum())}
    means = cell.groupby(SEED, dropna=False)[list(columns.values())].mean()
    for name, column in columns.items():
        values = means[column].dropna().to_numpy()
        line[f"{name}.mean"] = float(values.mean()) if len(values) else math.nan
        line[f"{name}.half"] = half_width(values) if len(values) >= FEWEST_SEEDS else math.nan
    return line


def _floors(group: pd.DataFrame, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    lines = []
    for whose, label in FLOORS.items():
        values = {}
        for name in columns:
            seen = name.startswith(SEEN)
            # Training images have no prior scale.
            metric = name.removeprefix(SEEN)
            metric = metric.removesuffix(BEST) if whose == "train" else metric
            floor = f"reference.{whose}_{'validation' if seen else 'test'}.{metric}"
            if floor in group and group[floor].notna().any():
                values[f"{name}.mean"] = float(group[floor].mean())
        if values:
            own = {key: group.iloc[0][key] for key in (*REGIME, "teacher")}
            lines.append({**own, "student": label, "is_floor": True, **values})
    return lines
