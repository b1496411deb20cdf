"""Early against final values, on tables with a known answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.early_values import EarlyValuesSettings, rank_correlations, read_early_values
from analysis.records import RecordsError
from tests.analysis.page_records import put, record


def test_rank_correlation_is_one_in_order_and_minus_one_reversed() -> None:
    table = pd.DataFrame({100: [1.0, 2.0, 3.0], 200: [9.0, 8.0, 7.0], 300: [4.0, 5.0, 6.0]})
    assert rank_correlations(table) == pytest.approx({100: 1.0, 200: -1.0})


def test_every_finished_trial_has_its_row(tmp_path: Path) -> None:
    put(tmp_path, "a", record(0, 9.0, noise=0.0))
    put(tmp_path, "a", record(1, 7.0, noise=0.5))
    table = read_early_values(EarlyValuesSettings(str(tmp_path), "a")).table
    assert table.index.get_level_values("noise_level").tolist() == [0.0, 0.5]


def test_a_sweep_that_is_not_there_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", record(0, 9.0, noise=0.0))
    with pytest.raises(RecordsError):
        read_early_values(EarlyValuesSettings(str(tmp_path), "b"))


def test_a_sweep_without_a_classifier_is_refused(tmp_path: Path) -> None:
    made = record(0, 9.0, noise=0.0)
    pixels = tuple(replace(e, metrics={"pixel_fd": 1.0}) for e in made.history)
    put(tmp_path, "a", replace(made, history=pixels))
    with pytest.raises(RecordsError, match=r"^name: 'a' .*classifier_fd; give a sweep"):
        read_early_values(EarlyValuesSettings(str(tmp_path), "a"))
