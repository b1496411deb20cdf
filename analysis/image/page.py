"""The page of an image sweep: what its template is filled with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.costs import PURPOSES, ArmCost, arm_costs
from analysis.effects import Verdict
from analysis.image.claims import CLAIMS, judge
from analysis.image.contrasts import BEST
from analysis.image.figure_set import TITLES, draw_figure_set
from analysis.image.pictures import CELL, NAMES, read_png
from analysis.image.tables import TEXT, TeacherSummary, summaries
from analysis.page import ABSENT, Embedded, data_uri, embed, significant
from analysis.parts import PartMaker
from analysis.records import RecordSet, Skipped, TrialRecord
from analysis.table import data_of, ranked, ranking_of, to_frame

TEMPLATE = "report_image.html.j2"
MOST_STUDENTS = 8

DESCRIBING = (
    "dataset", "size", "train_count", "teacher_updates", "student", "objective", "estimator",
    "rescale", "learning_rate", "seed", "updates",
)  # fmt: skip
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
    parts = PartMaker()
    figures = draw_figure_set(frame, records)
    nothing_judged: tuple[Verdict, ...] = ()
    verdicts = parts.make("the verdicts on the claims", lambda: judge(frame), nothing_judged)
    unreadable = list(figures.unreadable)
    filled = {str(name) for name in frame if bool(frame[name].notna().any())}
    alike = {name for name in DESCRIBING if frame[name].nunique(dropna=False) == 1}
    if len(set(frame["estimator"]) - {""}) < 2:  # objectives without one are no second kind
        alike.add("estimator")
    no_summaries: list[TeacherSummary] = []
    no_costs: list[ArmCost] = []
    no_pictures: list[Embedded] = []
    return {
        "data": sorted({data_of(row) for _, row in frame.iterrows()}),
        "teachers": _teachers(found),
        "rows": order.to_dict("records"),
        "columns": filled - alike,
        "ranking": ranking_of(frame),
        "summaries": parts.make("the metrics of cells", lambda: summaries(frame), no_summaries),
        "key_text": TEXT,
        "costs": parts.make("what trials have cost", lambda: arm_costs(found), no_costs),
        "purposes": PURPOSES,
        "charts": [embed(chart) for chart in figures.charts.values()],
        "not_drawn": {TITLES[name]: missing for name, missing in figures.missing.items()},
        "verdicts": verdicts,
        "silent": _silent(verdicts),
        "pictures": parts.make(
            "the pictures of trials",
            lambda: list(_pictures(order, records, filled - alike, unreadable)),
            no_pictures,
        ),
        "unreadable": unreadable,
        "failed_parts": [*figures.failed, *parts.failed],
    }


def _silent(verdicts: Sequence[Verdict]) -> list[str]:
    """Claims that the sweep does not ask about, in words."""
    spoken_of = {verdict.number for verdict in verdicts}
    return [f"{number} ({words})" for number, words in CLAIMS.items() if number not in spoken_of]


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


def _pictures(
    order: pd.DataFrame,
    records: tuple[TrialRecord, ...],
    told: set[str],
    unreadable: list[Skipped],
) -> Iterator[Embedded]:
    """Data and teachers, students in order of rank, and reconstructions of the best."""
    shown = order[[bool(records[i].record.artefacts) for i in order["record"]]]
    shown = shown[shown["status"] != "failed"]
    if shown.empty:
        return
    best = shown.drop_duplicates(CELL)
    noisy = best["noise_level"] > 0.0
    # Whatever the rank, the two arms of the question, and all objectives, are seen side by side.
    musts = [*best.index[noisy][:1], *best.index[~noisy][:1]]
    musts += list(best.drop_duplicates(["teacher", "objective"]).index)
    candidates = dict.fromkeys([*musts, *best.index])
    chosen = set(list(candidates)[:MOST_STUDENTS])
    first = int(best.index[0])
    ranks = {i: f"{rank}. " for rank, i in enumerate(order.index[order["status"] == "finished"], 1)}
    wanted: list[tuple[int, str, str, str]] = []
    several = best.loc[list(chosen)]["teacher"].nunique() > 1
    for i in best[best.index.isin(chosen)].drop_duplicates("teacher").index:
        whose = f", {data_of(order.loc[i])}" if several else ""
        wanted += [(i, "data", "Data", f"test images{whose}")]
        wanted += [(i, "teacher", "Teacher", f"own samples{whose}")]
    for i in best.index:
        if i not in chosen:
            continue
        row = order.loc[i]
        title, caption = f"{ranks.get(i, '')}{row['trial']}", _cell_caption(row, told)
        wanted.append((i, "samples", title, caption))
        if f"samples{BEST}" in records[order["record"].loc[i]].record.artefacts:
            scale = f"at its best prior scale {significant(row.get(f'test.prior_scale{BEST}'))}"
            wanted.append(
                (i, f"samples{BEST}", title, f"{_cell_caption(row, told, BEST)}, {scale}")
            )
    words = _cell_caption(order.loc[first], told)
    rebuilt = f"test images, each followed by its reconstruction; {words}"
    wanted.append((first, "reconstructions", "Reconstructions of the best", rebuilt))
    for i, name, title, caption in wanted:
        png = read_png(records[order["record"].loc[i]], name, unreadable)
        if png:
            yield Embedded(title, data_uri(png), caption)


def _cell_caption(row: Any, told: set[str], suffix: str = "") -> str:
    """A trial in words, with what the trials of its sweep differ in."""
    parts = [data_of(row)] if told & {"dataset", "size", "train_count"} else []
    parts += [f"{row['student']} student"] if "student" in told else []
    parts.append(NAMES.get(row["objective"], row["objective"]))
    parts += [f"{row['estimator']} estimator"] if "estimator" in told and row["estimator"] else []
    numbers = {"teacher_updates": "teacher's updates", "learning_rate": "rate"}
    names = {name: label for name, label in numbers.items() if name in told}
    names |= {"noise_level": "noise", "l1_weight": "l1 weight", "seed": "seed"}
    fd = "classifier_fd" if "test.classifier_fd" in told else "pixel_fd"
    names |= {f"test.{fd}{suffix}": "test FD" if fd == "classifier_fd" else "test pixel FD"}
    shown = {label: significant(row.get(name)) for name, label in names.items()}
    parts += [f"{label} {text}" for label, text in shown.items() if text != ABSENT]
    return ", ".join(parts)
