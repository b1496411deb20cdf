"""The page of a vocoder sweep: what its template is filled with."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from analysis.charts import numbered_files
from analysis.page import ExportedFiles, embed
from analysis.parts import PartMaker
from analysis.records import RecordSet
from analysis.vocoder.calibration import SOUNDS, calibrate_measures
from analysis.vocoder.charts import named_charts
from analysis.vocoder.claims import headline, judge
from analysis.vocoder.sounds import SoundGallery, sound_gallery, spectrogram_sheet
from analysis.vocoder.study import Regime, VocoderStudy, read_vocoder_study
from analysis.vocoder.tables import TABLES, as_frame, costs_of, lines_of, teachers_of

TEMPLATE = "report_vocoder.html.j2"


def values(found: RecordSet) -> dict[str, Any]:
    """What the page of one sweep shows."""
    study = read_vocoder_study(found)
    parts = PartMaker()
    nothing_heard = SoundGallery((), 0, ())
    heard = parts.make("the sounds", lambda: sound_gallery(study), nothing_heard)
    nothing: list[Any] = []
    verdicts = parts.make("the verdicts on the claim", lambda: list(judge(study)), nothing)
    regimes = (
        parts.make(f"the tables of {regime.words}", partial(_regime, study, regime), None)
        for regime in study.regimes.values()
    )
    charts = named_charts(study, parts)
    return {
        "statuses": dict(study.frame["status"].value_counts()),
        "trials": len(study.frame),
        "arms": [arm.name for arm in study.arms.values()],
        "regimes": [regime for regime in regimes if regime is not None],
        "teachers": parts.make("the table of teachers", lambda: teachers_of(study), nothing),
        "tables": TABLES,
        "sounds": SOUNDS | {"teacher": "teacher"},
        "verdicts": verdicts,
        "headline": headline(verdicts),
        "adaptive": study.is_adaptive,
        "charts": [embed(chart) for made in charts.values() for chart in made],
        "gallery": heard,
        "failed": study.frame[study.frame["status"] == "failed"].to_dict("records"),
        "unreadable": [*study.unreadable, *heard.unreadable],
        "failed_parts": list(parts.failed),
    }


def _regime(study: VocoderStudy, regime: Regime) -> dict[str, Any]:
    return {
        "words": regime.words,
        "calibration": calibrate_measures(regime),
        "lines": lines_of(regime),
        "costs": costs_of(regime, study),
        "sentences": regime.sentences,
        "cells": len(regime.cells),
    }


def files(found: RecordSet) -> ExportedFiles:
    """The figures as PNG files and the table as CSV, for a README or a paper."""
    parts = PartMaker()
    study = read_vocoder_study(found)
    charts = named_charts(study, parts)
    spectrograms = parts.make("the spectrograms", lambda: spectrogram_sheet(study), None)
    if spectrograms is not None:
        charts["vocoder_spectrograms"] = [spectrograms]
    contents = numbered_files(charts)
    table = parts.make("the table of metrics", lambda: as_frame(study), pd.DataFrame())
    if len(table):
        contents["vocoder_metrics.csv"] = table.to_csv(index=False).encode()
    return ExportedFiles(contents, (*study.unreadable, *parts.failed))
