"""The paper's Figures 3, 4 and 6: lettered sheets of samples, from the pictures beside records.

Each function takes the table (`to_frame`), all records that it was made of, and a list that gets
an entry for every picture that cannot be read; a picture that is absent is an empty panel.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.charts import FLOOR, INK, Chart, blank_figure, figure_png
from analysis.image.contrasts import L1, NOISE, RESCALE, missing_columns
from analysis.image.pictures import NAMES, pixels, read_png, shown_trial, shown_words, with_picture
from analysis.page import ABSENT, significant
from analysis.records import Skipped, TrialRecord
from analysis.table import COLOUR, REGIME, data_of

LOSSES = ((0.0, "l2"), (1.0, "l1"), (0.5, "mix"))
CHOSEN = (
    "Of each the cell with the best mean over seeds on the validation split, and of its seeds the "
    "lowest, not the best"
)


@dataclass(frozen=True)
class Sheet:
    """A figure that may not be drawn in full.

    Attributes:
        charts: what could be drawn.
        missing: what could not, and what it takes.
    """

    charts: tuple[Chart, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Panel:
    """One picture: what is written above it, what the caption says, the file; empty if absent."""

    title: str
    words: str
    content: bytes


def objectives_sheet(
    frame: pd.DataFrame, records: Sequence[TrialRecord], unreadable: list[Skipped]
) -> Sheet:
    """Figure 3: a row a grey data set; teacher and a student of each objective, without noise.

    Of several regimes of a data set the one with the most objectives is shown, then the largest
    images. Students of one kind share a row where one kind has been trained by all objectives.
    """
    quiet = with_picture(frame, records, "samples")
    quiet = quiet[quiet[NOISE].fillna(0.0) == 0.0]
    quiet = quiet[quiet["objective"].isin(NAMES) & ~quiet["dataset"].isin(COLOUR)]
    lines, missing = [], []
    for name, group in quiet.groupby("dataset"):
        regimes = [rows for _, rows in group.groupby([*REGIME, "teacher"], dropna=False)]
        rows = max(regimes, key=lambda r: (r["objective"].nunique(), r["size"].max(), len(r)))
        if rows["objective"].nunique() < 2:
            missing.append(f"{name}: students of at least two objectives in one sweep")
            continue
        panels = _row_of_objectives(rows, records, unreadable)
        lines.append((data_of(rows.iloc[0]), panels))
        absent = [panel.title for panel in panels if not panel.content]
        missing += [f"{name}: {' and '.join(absent)}"] if absent else []
    if not lines:
        return Sheet(
            (), tuple(missing) or ("students without noise on grey images, with their pictures",)
        )
    first = quiet.iloc[0]
    caption = (
        f"Samples of teachers and of students without noise, in the order of the paper's Figure 3. "
        f"{_listed(lines)} {CHOSEN}; students see the same z, at prior scale 1. "
        f"{_trained(first, quiet)}"
    )
    return Sheet((Chart("Objectives (Figure 3)", _draw(lines), caption),), tuple(missing))


def _row_of_objectives(
    rows: pd.DataFrame, records: Sequence[TrialRecord], unreadable: list[Skipped]
) -> list[_Panel]:
    kinds = rows.groupby("student")["objective"].nunique()
    student = kinds.idxmax()
    panels = [_teacher(rows, records, unreadable)]
    for kind, name in NAMES.items():
        own = rows[rows["objective"] == kind]
        alike = own[own["student"] == student]
        panels.append(_student(alike if len(alike) else own, records, name, unreadable))
    return panels


def losses_sheets(
    frame: pd.DataFrame, records: Sequence[TrialRecord], unreadable: list[Skipped]
) -> Sheet:
    """Figure 4: l2 and l1 without noise; l2, l1 and their mix with it; one sheet a regime."""
    asked = with_picture(frame, records, "samples")
    asked = asked[asked["objective"] == "x_reconstruction"]
    charts, missing = [], []
    for _, regime in asked.groupby([*REGIME, "teacher", "updates"], dropna=False):
        students = regime["student"].value_counts()
        kind = "resnet" if "resnet" in students else students.index[0]
        rows = regime[regime["student"] == kind]
        plain = rows[~rows[RESCALE].astype(bool)]
        rows = plain if (plain[NOISE] > 0.0).any() else rows
        noisy = rows[(rows[NOISE] > 0.0) & rows[L1].isin([0.0, 0.5, 1.0])]
        best = shown_trial(noisy)
        name = data_of(regime.iloc[0])
        if best is None:
            missing.append(f"{name}: x-reconstruction with noise at l1 weight 0, 0.5 or 1")
            continue
        level = best[NOISE]
        wanted = [(0.0, w, loss) for w, loss in LOSSES[:2]] + [(level, w, s) for w, s in LOSSES]
        panels = [
            _student(
                rows[(rows[NOISE] == noise) & (rows[L1] == weight)],
                records,
                f"{loss}, noise {noise:.3g}" if noise else loss,
                unreadable,
            )
            for noise, weight, loss in wanted
        ]
        absent = [panel.title for panel in panels if not panel.content]
        missing += [f"{name}: {' and '.join(absent)}"] if absent else []
        lines = [(name, panels)]
        caption = (
            f"Samples of x-reconstruction with l2 and l1, without noise and with it. "
            f"{_listed(lines)} The noise level is that of the best cell on the validation split. "
            f"{CHOSEN}; the same z, at prior scale 1. {_trained(regime.iloc[0], rows)}"
        )
        charts.append(Chart(f"Losses and noise, {name} (Figure 4)", _draw(lines), caption))
    if asked.empty:
        missing.append("students of x-reconstruction, with their pictures")
    return Sheet(tuple(charts), tuple(missing))


def colour_sheets(
    frame: pd.DataFrame, records: Sequence[TrialRecord], unreadable: list[Skipped]
) -> Sheet:
    """Figure 6: teacher left, student of x-reconstruction with noise right; colour data alone."""
    asked = with_picture(frame, records, "samples")
    asked = asked[(asked["objective"] == "x_reconstruction") & asked["dataset"].isin(COLOUR)]
    charts = []
    for _, rows in asked[asked[NOISE] > 0.0].groupby([*REGIME, "teacher"], dropna=False):
        name = data_of(rows.iloc[0])
        panels = [
            _teacher(rows, records, unreadable),
            _student(rows, records, "x-reconstruction, noise", unreadable),
        ]
        lines = [(name, panels)]
        caption = (
            f"Teacher and student on colour images. {_listed(lines)} {CHOSEN}; prior scale 1. "
            f"{_trained(rows.iloc[0], rows)}"
        )
        charts.append(Chart(f"Colour, {name} (Figure 6)", _draw(lines, 4.6), caption))
    if charts:
        return Sheet(tuple(charts))
    data = " or ".join(COLOUR)
    return Sheet((), (f"students of x-reconstruction with noise on {data}, with their pictures",))


def _teacher(
    rows: pd.DataFrame, records: Sequence[TrialRecord], unreadable: list[Skipped]
) -> _Panel:
    for index in rows["record"]:
        content = read_png(records[index], "teacher", unreadable)
        if content:
            row = rows[rows["record"] == index].iloc[0]
            fd = significant(row.get("reference.teacher_test.classifier_fd"))
            words = "the teacher's own samples"
            if not pd.isna(row["teacher_updates"]):
                words += f" after {row['teacher_updates']:.0f} updates"
            return _Panel(f"teacher{'' if fd == ABSENT else f', FD {fd}'}", words, content)
    return _Panel("teacher", "", b"")


def _student(
    rows: pd.DataFrame, records: Sequence[TrialRecord], title: str, unreadable: list[Skipped]
) -> _Panel:
    row = shown_trial(rows)
    if row is None:
        return _Panel(title, "", b"")
    content = read_png(records[row["record"]], "samples", unreadable)
    fd = significant(row.get("test.classifier_fd"))
    return _Panel(f"{title}{'' if fd == ABSENT else f', FD {fd}'}", shown_words(row, rows), content)


def _draw(lines: Sequence[tuple[str, Sequence[_Panel]]], side: float = 3.0) -> bytes:
    columns = max(len(panels) for _, panels in lines)
    figure = blank_figure(side * columns, (side + 0.35) * len(lines))
    axes = figure.subplots(len(lines), columns, squeeze=False)
    letters = _letters(lines)
    for line, (name, panels) in enumerate(lines):
        for axis, letter, panel in zip(axes[line], letters[line], panels, strict=True):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(not panel.content)
            if panel.content:
                axis.imshow(pixels(panel.content), cmap="gray", vmin=0.0, vmax=1.0)
            else:
                axis.set_aspect("equal")
                axis.text(0.5, 0.5, "not in the records", ha="center", color=FLOOR, fontsize=9)
            axis.set_title(f"({letter}) {panel.title}", fontsize=9, color=INK)
        axes[line][0].set_ylabel(name, fontsize=9, color=INK)
    return figure_png(figure)


def _letters(lines: Sequence[tuple[str, Sequence[_Panel]]]) -> list[list[str]]:
    """a, b, ... z, aa, ab, ..., one a panel."""
    every = list(string.ascii_lowercase)
    every += [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
    found, start = [], 0
    for _, panels in lines:
        found.append(every[start : start + len(panels)])
        start += len(panels)
    return found


def _listed(lines: Sequence[tuple[str, Sequence[_Panel]]]) -> str:
    """Every panel in words, row by row."""
    sentences = []
    for (name, panels), letters in zip(lines, _letters(lines), strict=True):
        parts = [
            f"({letter}) {panel.words or f'{panel.title}: not in the records'}"
            for letter, panel in zip(letters, panels, strict=True)
        ]
        sentences.append(f"{name}: {'; '.join(parts)}.")
    return " ".join(sentences)


def _trained(first: pd.Series, rows: pd.DataFrame) -> str:
    budgets = ", ".join(f"{value:.0f}" for value in sorted(set(rows["updates"])))
    batch = "" if pd.isna(first["batch_size"]) else f" of {first['batch_size']:.0f}"
    sweeps = ", ".join(sorted(set(rows["sweep"])))
    judged = (
        ""
        if missing_columns(rows, "test.classifier_fd")
        else " FD: classifier FD, test split, at scale 1."
    )
    return f"Students have {budgets} updates{batch}; sweep {sweeps}.{judged}"
