"""The page of a vocoder sweep: what its template is filled with."""

from __future__ import annotations

from typing import Any

from analysis.charts import Chart
from analysis.page import embed
from analysis.records import RecordSet
from analysis.vocoder.calibration import SOUNDS, calibrate_measures
from analysis.vocoder.charts import named_charts
from analysis.vocoder.claims import headline, judge
from analysis.vocoder.sounds import sound_gallery, spectrogram_sheet
from analysis.vocoder.study import Regime, VocoderStudy, read_vocoder_study
from analysis.vocoder.tables import TABLES, as_frame, costs_of, lines_of, teachers_of

TEMPLATE = "report_vocoder.html.j2"


def values(found: RecordSet) -> dict[str, Any]:
    """What the page of one sweep shows."""
    study = read_vocoder_study(found)
    heard = sound_gallery(study)
    verdicts = judge(study)
    return {
        "statuses": dict(study.frame["status"].value_counts()),
        "trials": len(study.frame),
        "arms": [arm.name for arm in study.arms.values()],
        "regimes": [_regime(study, regime) for regime in study.regimes.values()],
        "teachers": teachers_of(study),
        "tables": TABLES,
        "sounds": SOUNDS | {"teacher": "teacher"},
        "verdicts": verdicts,
        "headline": headline(verdicts),
        "adaptive": study.is_adaptive,
        "charts": [embed(chart) for made in named_charts(study).values() for chart in made],
        "gallery": heard,
        "failed": study.frame[study.frame["status"] == "failed"].to_dict("records"),
        "unreadable": [*study.unreadable, *heard.unreadable],
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


def files(found: RecordSet) -> dict[str, bytes]:
    """File name -> content of the figures and of the table, for a README or a paper."""
    study = read_vocoder_study(found)
    made: dict[str, list[Chart]] = named_charts(study)
    spectrograms = spectrogram_sheet(study)
    if spectrograms is not None:
        made["vocoder_spectrograms"] = [spectrograms]
    contents = {
        f"{name}{'' if place == 0 else f'_{place + 1}'}.png": chart.png
        for name, charts in made.items()
        for place, chart in enumerate(charts)
    }
    table = as_frame(study)
    if len(table):
        contents["vocoder_metrics.csv"] = table.to_csv(index=False).encode()
    return contents
