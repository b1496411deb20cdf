"""The page of an image sweep: what its template is filled with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.image.claims import MATCHED, judge
from analysis.image.figures import learning_charts, noise_charts
from analysis.image.pictures import read_png
from analysis.page import ABSENT, Embedded, data_uri, embed, significant
from analysis.records import RecordSet, Skipped, TrialRecord
from analysis.table import RANKED_BY, comparable_groups, data_of, ranked, to_frame

TEMPLATE = "report_image.html.j2"
MOST_STUDENTS = 8

DESCRIBING = ("dataset", "size", "student", "objective")
"""Columns that are shown only where the trials of a sweep differ in them."""


@dataclass(frozen=True)
class TeacherFacts:
    """A teacher's key, data and floors, with a warning if it is no better than a Gaussian."""

    key: str
    data: str
    reference: dict[str, dict[str, float]]
    warning: str


def values(found: RecordSet) -> dict[str, Any]:
    """What the page of one sweep shows."""
    records = found.records
    frame = to_frame(found)
    order = ranked(frame)
    noise = noise_charts(frame, records)
    unreadable: list[Skipped] = []
    pictures = list(_pictures(order, records, unreadable))
    filled = {name for name in frame if bool(frame[name].notna().any())}
    alike = {name for name in DESCRIBING if frame[name].nunique(dropna=False) == 1}
    return {
        "data": sorted({data_of(row) for _, row in frame.iterrows()}),
        "teachers": _teachers(found),
        "rows": order.to_dict("records"),
        "columns": filled - alike,
        "cells": _cells(frame),
        "charts": [embed(chart) for chart in (*noise, *learning_charts(frame, records))],
        "has_noise_axis": bool(noise),
        "verdicts": judge(frame),
        "pictures": pictures,
        "unreadable": unreadable,
    }


def _teachers(found: RecordSet) -> list[TeacherFacts]:
    known: dict[str, TeacherFacts] = {}
    for _, row in to_frame(found).drop_duplicates("record").iterrows():
        record = found.records[row["record"]].record
        if not record.reference or record.teacher in known:
            continue
        bits = record.reference.get("bits_per_dimension", {})
        own, gaussian = bits.get("teacher", math.nan), bits.get("full_gaussian", math.nan)
        warning = ""
        if own >= gaussian:
            warning = (
                f"The teacher's {own:.3f} bits/dim are no better than the {gaussian:.3f} of a "
                "full-covariance Gaussian: what students learn from it says little."
            )
        facts = TeacherFacts(record.teacher, data_of(row), record.reference, warning)
        known[record.teacher] = facts
    return list(known.values())


def _cells(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """`METRIC.mean` and `METRIC.std` over seeds, where cells have several; best first."""
    cells: list[dict[str, Any]] = []
    metrics = [str(name) for name in frame if str(name).startswith(("validation.", "test."))]
    for group in comparable_groups(frame[frame["status"] == "finished"], "rest", "teacher"):
        for _, cell in group.groupby(["noise_level", "l1_weight"]):
            first, over_seeds = cell.iloc[0], cell.groupby("seed")[metrics].mean()
            found = {name: first[name] for name in ("noise_level", "l1_weight")}
            found |= {f"{m}.{f}": over_seeds[m].agg(f) for m in metrics for f in ("mean", "std")}
            cells.append(found | {"seeds": len(over_seeds)})
    if not any(cell["seeds"] > 1 for cell in cells):
        return []
    return sorted(cells, key=lambda cell: cell.get(f"{RANKED_BY}.mean", math.inf))


def _pictures(
    order: pd.DataFrame, records: tuple[TrialRecord, ...], unreadable: list[Skipped]
) -> Iterator[Embedded]:
    """Data, teacher, students in order of rank, and reconstructions of the best."""
    shown = order[[bool(records[i].record.artefacts) for i in order["record"]]]
    shown = shown[shown["status"] != "failed"]
    if shown.empty:
        return
    cell = ["dataset", "size", "student", "objective", "noise_level", "l1_weight", "budget"]
    best = shown.drop_duplicates(cell)
    noisy = best["noise_level"] > 0.0
    # Whatever the rank, the two arms of the question are seen side by side.
    musts = [*best.index[noisy][:1], *best.index[~noisy][:1]]
    chosen = set([*musts, *(i for i in best.index if i not in musts)][:MOST_STUDENTS])
    first = int(best.index[0])
    ranks = {i: f"{rank}. " for rank, i in enumerate(order.index[order["status"] == "finished"], 1)}
    wanted = [(first, "data", "Data", "test images"), (first, "teacher", "Teacher", "own samples")]
    for i in best.index:
        if i not in chosen:
            continue
        row = order.loc[i]
        title, caption = f"{ranks.get(i, '')}{row['trial']}", _cell_caption(row)
        wanted.append((i, "samples", title, caption))
        if i in best.index[noisy][:1]:
            matched = f"{_cell_caption(row, MATCHED)}, at prior scale sqrt(1 + noise²)"
            wanted.append((i, f"samples{MATCHED}", title, matched))
    rebuilt = f"test images, each followed by its reconstruction; {_cell_caption(order.loc[first])}"
    wanted.append((first, "reconstructions", "Reconstructions of the best", rebuilt))
    for i, name, title, caption in wanted:
        png = read_png(records[order["record"].loc[i]], name, unreadable)
        if png:
            yield Embedded(title, data_uri(png), caption)


def _cell_caption(row: Any, suffix: str = "") -> str:
    names = {"noise_level": "noise", "l1_weight": "l1 weight", "seed": "seed"}
    names |= {f"test.classifier_fd{suffix}": "test FD"}
    shown = {label: significant(row.get(name)) for name, label in names.items()}
    parts = [f"{label} {text}" for label, text in shown.items() if text != ABSENT]
    return ", ".join([row["objective"], *parts])
