"""The pictures beside image records: which trial is shown, and its PNG files."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.image import imread
from numpy.typing import NDArray

from analysis.effects import FEWEST_SEEDS
from analysis.image.contrasts import L1, NOISE, RESCALE, SEED, missing_columns
from analysis.page import ABSENT, significant
from analysis.records import PNG_SIGNATURE, Skipped, TrialRecord, read_artefact
from analysis.table import MEASURES, plural

CELL = ["student", "rest", "teacher", NOISE, L1, RESCALE]
NAMES = {
    "reverse_kl": "reverse KL",
    "z_reconstruction": "z-reconstruction",
    "x_reconstruction": "x-reconstruction",
    "oracle": "oracle",
}


def read_png(item: TrialRecord, name: str, unreadable: list[Skipped]) -> bytes:
    """A picture of a trial; empty, and reported, if it is not one."""
    path = item.record.artefacts.get(name)
    if path is None:
        return b""
    found = read_artefact(item, name)
    if isinstance(found, bytes):
        if found.startswith(PNG_SIGNATURE):
            return found
        where = posixpath.join(item.sweep.name, posixpath.basename(item.folder.uri), path)
        found = Skipped(item.sweep.name, where, "not a PNG picture")
    unreadable.append(found)
    return b""


def pixels(png: bytes) -> NDArray[np.float32]:
    """A picture's values in [0, 1], (H, W) or (H, W, C)."""
    values: NDArray[np.float32] = imread(io.BytesIO(png), format="png")
    return values


def with_picture(rows: pd.DataFrame, records: Sequence[TrialRecord], name: str) -> pd.DataFrame:
    """Finished rows whose record names a picture."""
    named = [name in records[i].record.artefacts for i in rows["record"]]
    return rows[pd.Series(named, index=rows.index, dtype=bool) & (rows["status"] == "finished")]


def shown_trial(rows: pd.DataFrame) -> pd.Series | None:
    """Of the cell with the best validation mean over seeds, the trial with the lowest seed.

    The seed is not chosen by its quality, so that the picture is not better than its cell. Cells
    with fewer than three seeds compete only where no cell has three.
    """
    if rows.empty:
        return None
    measure = next((name for name in MEASURES if not missing_columns(rows, name)), None)
    cells = rows.groupby(CELL, dropna=False)
    seeds = cells[SEED].transform("nunique")
    enough = rows[seeds >= min(FEWEST_SEEDS, int(seeds.max()))]
    if measure is not None and enough[measure].notna().any():
        means = enough.groupby(CELL, dropna=False)[measure].transform("mean")
        enough = enough[means == means.min()]
    row: pd.Series = enough.sort_values([SEED, "trial"]).iloc[0]
    return row


def shown_words(row: pd.Series, rows: pd.DataFrame, *, with_objective: bool = True) -> str:
    """What is shown, in words: objective, cell, trial, and how many seeds its cell has."""
    alike = pd.Series(True, index=rows.index)
    for name in (*CELL, "objective"):
        alike &= (rows[name] == row[name]) | (rows[name].isna() & pd.isna(row[name]))
    parts = [NAMES.get(row["objective"], row["objective"])] if with_objective else []
    parts.append(f"{row['student']} student")
    if row["estimator"]:
        parts.append(f"{row['estimator']} estimator")
    for name, label in ((NOISE, "noise"), (L1, "l1 weight"), ("learning_rate", "rate")):
        text = significant(row[name])
        parts += [f"{label} {text}"] if text != ABSENT else []
    parts += ["rescaled codes"] if row[RESCALE] else []
    count = plural(rows[alike][SEED].nunique(), "seed")
    return (
        f"{', '.join(parts)}, {row['updates']:.0f} updates: {row['trial']}, "
        f"seed {row[SEED]:.0f}, of {count}"
    )
