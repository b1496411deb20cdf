"""The summary as tables of a page: a teacher's cells and floors, a few metrics at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.image.contrasts import BEST, L1, NOISE, RESCALE
from analysis.image.pictures import NAMES
from analysis.image.summary import summary
from analysis.page import MetricColumn
from analysis.table import AT_SCALE_1, MEASURES, PIXELS, RANKED_BY, REGIME, data_of

SAMPLES = (
    MetricColumn(RANKED_BY, "validation FD", 1),
    MetricColumn(f"classifier_fd{BEST}", "test FD", 1),
    MetricColumn(f"prior_scale{BEST}", "scale", 2),
    MetricColumn("classifier_fd", "test FD at 1", 1),
    MetricColumn(f"classifier_mmd{BEST}", "classifier MMD", 3),
    MetricColumn(f"recall{BEST}", "recall", 2),
    MetricColumn(f"coverage{BEST}", "coverage", 2),
)
WITHOUT_CLASSIFIER = (
    MetricColumn(PIXELS, "validation pixel FD", 2),
    MetricColumn(f"pixel_fd{BEST}", "test pixel FD", 2),
    MetricColumn(f"prior_scale{BEST}", "scale", 2),
    MetricColumn("pixel_fd", "pixel FD at 1", 2),
    MetricColumn(f"pixel_recall{BEST}", "pixel recall", 2),
    MetricColumn(f"pixel_coverage{BEST}", "pixel coverage", 2),
)
FIDELITY = (
    MetricColumn("classifier_fd_to_teacher", "FD", 1),
    MetricColumn("classifier_mmd_to_teacher", "classifier MMD", 3),
    MetricColumn("coverage_to_teacher", "coverage", 2),
    MetricColumn("recall_to_teacher", "recall", 2),
    MetricColumn("pixel_fd_to_teacher", "pixel FD", 2),
    MetricColumn(f"classifier_fd_to_teacher{BEST}", "FD at its best scale", 1),
)
DETAIL = (
    MetricColumn(f"top_class_share{BEST}", "top class", 2),
    MetricColumn(f"different_bins{BEST}", "bins that differ", 2),
    MetricColumn(f"copied_share{BEST}", "copied share", 3),
    MetricColumn(f"sharpness_ratio{BEST}", "sharpness", 2),
    MetricColumn("sharpness_ratio", "sharpness at 1", 2),
    MetricColumn(f"high_frequency_ratio{BEST}", "high frequencies", 2),
)
LIKELIHOOD = (
    MetricColumn("ks_log_prob", "KS of log p_T", 2),
    MetricColumn("wasserstein_log_prob", "Wasserstein of log p_T, nats/dim", 3),
    MetricColumn("log_prob_shift", "shift of log p_T, sd", 2),
    MetricColumn("z_reconstruction_l2", "z error, l2", 3),
    MetricColumn("reverse_kl", "reverse KL, nats/dim", 3),
    MetricColumn("outward_fraction", "outward", 2),
    MetricColumn("reconstruction_l1", "recon. l1", 3),
    MetricColumn("classifier_fd_reconstruction", "recon. FD", 1),
)
QUALITY = (
    "Quality of samples: distances to the data, at the prior scale that the validation split chose "
    "for each trial, and for the teacher."
)
TABLES = {
    QUALITY: SAMPLES,
    "Fidelity: distances to draws of the teacher that are in none of its floors, at prior scale 1, "
    "where a student should have its teacher's law.": FIDELITY,
    "Variety and sharpness at the best scale; of sharpness and high frequencies, data have 1. "
    "Copied: as near to a training image as the nearest 1% of test images.": DETAIL,
    "Likelihood, codes and reconstruction, at scale 1. A collapsed student can match log p_T and "
    "have a small error in z, so none of these says alone that samples are good. Outward: share of "
    "samples that reverse KL's path derivative pushes outward.": LIKELIHOOD,
}
"""Caption -> columns."""

LABELS = {
    "student": "student",
    "objective": "objective",
    "estimator": "estimator",
    NOISE: "noise",
    RESCALE: "rescaled",
    L1: "l1 weight",
    "learning_rate": "rate",
    "updates": "updates",
    "batch_size": "batch",
}
"""Columns that tell the cells of one teacher apart, with their headings."""

TEXT = ("student", "objective", "estimator", RESCALE)


@dataclass(frozen=True)
class Table:
    """A few metrics of all cells of a teacher.

    Attributes:
        caption: what the metrics have in common.
        columns: those that some line has.
    """

    caption: str
    columns: tuple[MetricColumn, ...]


@dataclass(frozen=True)
class TeacherSummary:
    """The cells of students of one teacher, and its floors.

    Attributes:
        words: data, training subset and length of the teacher's training.
        keys: columns that tell the lines apart, with their headings.
        lines: cells, the best on the validation split first, then floors; as in `summary`.
        seeds: training seeds of its cells, each number once.
        tables: which metrics are shown together.
    """

    words: str
    keys: dict[str, str]
    lines: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]
    tables: tuple[Table, ...]


def summaries(frame: pd.DataFrame) -> list[TeacherSummary]:
    """The finished trials of a sweep, summed up by teacher; see `summary` for the numbers."""
    whole = summary(frame)
    if whole.empty:
        return []
    return [
        _teacher(rows) for _, rows in whole.groupby([*REGIME, "teacher"], dropna=False, sort=False)
    ]


def _teacher(rows: pd.DataFrame) -> TeacherSummary:
    # Only cells decide which columns are shown: a floor has no settings.
    cells = rows[~rows["is_floor"].astype(bool)]
    measure = next((f"{m}.mean" for m in MEASURES if _has(cells, f"{m}.mean")), None)
    if measure is not None:
        cells = cells.sort_values(measure, kind="stable")
    lines = pd.concat([cells, rows[rows["is_floor"].astype(bool)]])
    keys = {name: label for name, label in LABELS.items() if cells[name].nunique(dropna=False) > 1}
    if len(set(cells["estimator"]) - {""}) < 2:  # objectives without one are no second kind
        keys.pop("estimator", None)
    if cells.duplicated(list(LABELS)).any():
        keys["rest"] = "hash of the other settings"
    if "student" not in keys:
        keys = {"student": "student", **keys}  # floors are named there
    seeing = measure in (f"{RANKED_BY}.mean", f"{AT_SCALE_1}.mean")
    chosen = TABLES if seeing else TABLES | {QUALITY: WITHOUT_CLASSIFIER}
    first = cells.iloc[0]
    trained = first["teacher_updates"]
    length = "" if pd.isna(trained) else f", teacher of {trained:.0f} updates"
    return TeacherSummary(
        f"{data_of(first)}{length}",
        keys,
        tuple(_line(row) for row in lines.to_dict("records")),
        tuple(sorted({int(count) for count in cells["seeds"]})),
        tuple(
            Table(caption, found)
            for caption, columns in chosen.items()
            if (found := _found(lines, columns))
        ),
    )


def _line(row: dict[Any, Any]) -> dict[str, Any]:
    line = {str(name): value for name, value in row.items()}
    line["objective"] = NAMES.get(row["objective"], row["objective"])
    if not row["is_floor"]:
        line[RESCALE] = "yes" if row[RESCALE] else "no"
    return {name: "–" if name in TEXT and pd.isna(value) else value for name, value in line.items()}


def _found(lines: pd.DataFrame, columns: Sequence[MetricColumn]) -> tuple[MetricColumn, ...]:
    return tuple(column for column in columns if _has(lines, f"{column.metric}.mean"))


def _has(lines: pd.DataFrame, name: str) -> bool:
    return name in lines and bool(lines[name].notna().any())
