"""The pictures beside image records: which trial is shown, and its PNG files."""

from __future__ import annotations

import io
import posixpath
import struct
import warnings
import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from analysis.effects import FEWEST_SEEDS
from analysis.image.contrasts import L1, NOISE, RESCALE, SEED, missing_columns
from analysis.page import ABSENT, significant
from analysis.records import Skipped, TrialRecord, read_artefact, shorten
from analysis.table import MEASURES, plural

MOST_PIXELS = 50_000_000
"""Of one picture: a sheet of samples has less than a hundredth of that."""

DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
    KeyError,
    IndexError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on damaged files, by where the damage is."""


class PictureError(ValueError):
    """A file is no picture that can be shown; the message says why."""


CELL = ["student", "rest", "teacher", NOISE, L1, RESCALE]
NAMES = {
    "reverse_kl": "reverse KL",
    "z_reconstruction": "z-reconstruction",
    "x_reconstruction": "x-reconstruction",
    "oracle": "oracle",
}


def read_png(item: TrialRecord, name: str, unreadable: list[Skipped]) -> bytes:
    """The content of a trial's PNG file, which is sure to decode.

    Args:
        item: the trial.
        name: of the artefact.
        unreadable: gets an entry if the file cannot be read or decoded.

    Returns:
        Nothing where the record names no such file, or it is unreadable.
    """
    path = item.record.artefacts.get(name)
    if path is None:
        return b""
    content = read_artefact(item, name)
    if isinstance(content, bytes):
        try:
            pixels(content)
        except PictureError as error:
            where = posixpath.join(item.sweep.name, item.folder.name, path)
            content = Skipped(item.sweep.name, where, f"not a PNG picture ({error})")
        else:
            return content
    unreadable.append(content)
    return b""


def pixels(content: bytes) -> NDArray[np.float32]:
    """The values in [0, 1] of a PNG file, (H, W) if it is grey, else (H, W, 3).

    Raises:
        PictureError: not a PNG file, a damaged one, or one of more than `MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's, of sizes and palettes; both are handled here
            image = Image.open(io.BytesIO(content), formats=["PNG"])
            if image.width * image.height > MOST_PIXELS:
                size = f"{image.width} x {image.height}"
                raise PictureError(f"{size} pixels are more than any of ours")
            if image.mode.startswith("I"):  # 16 bits
                return np.asarray(image, dtype=np.float32) / 65535.0
            grey = image.mode in ("1", "L", "LA")
            return np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float32) / 255.0
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError("no PNG file at all") from error
    except (*DECODING_ERRORS, Image.DecompressionBombError) as error:
        raise PictureError(shorten(str(error) or type(error).__name__, 100)) from error


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
