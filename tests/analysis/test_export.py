"""Figures as files, from the same synthetic sweep as the report's tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from analysis.export import ExportSettings, export
from analysis.records import RecordsError
from analysis.report import ReportSettings, write_reports
from tests.analysis.page_records import put, record


def test_the_figures_of_a_noise_sweep_are_files(tmp_path: Path) -> None:
    for number, (noise, fd) in enumerate([(0.0, 9.0), (0.25, 7.0), (0.5, 8.0)]):
        put(tmp_path / "results", "a", record(number, fd, noise=noise))
    settings = ExportSettings(str(tmp_path / "results"), "a", tmp_path / "out" / "images")
    written = export(settings).paths
    names = {path.name for path in written}
    assert names >= {"noise_injection.png", "figure_4_losses.png", "samples.png"}
    for path in written:
        if path.suffix == ".png":
            assert imread(path).shape[1] > 400


def test_the_summary_is_a_table_in_two_formats(tmp_path: Path) -> None:
    for number, seed in enumerate(range(3)):
        put(tmp_path / "results", "a", record(number, 9.0 + seed, noise=0.5, seed=seed))
    settings = ExportSettings(str(tmp_path / "results"), "a", tmp_path)
    assert {path.suffix for path in export(settings).paths} == {".png", ".csv", ".parquet"}
    table = pd.read_csv(tmp_path / "image_metrics.csv")
    binary = pd.read_parquet(tmp_path / "image_metrics.parquet")
    assert list(table["student"]) == list(binary["student"])
    assert np.allclose(
        table["classifier_fd_best.mean"], binary["classifier_fd_best.mean"], equal_nan=True
    )
    cell, teacher, train = (row for _, row in table.iterrows())
    assert (cell["seeds"], cell["noise_level"], cell["l1_weight"]) == (3, 0.5, 0.5)
    assert cell["classifier_fd_best.mean"] == pytest.approx(10.0)
    assert cell["classifier_fd_best.half"] == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert (teacher["is_floor"], teacher["classifier_fd_best.mean"]) == (True, 115.0)
    assert train["validation.classifier_fd.mean"] == 7.0


def test_without_a_classifier_pixels_rank_and_caption(tmp_path: Path) -> None:
    for number, (noise, fd) in enumerate([(0.0, 9.0), (0.5, 7.0)]):
        seen = record(number, fd, noise=noise)
        history = tuple(
            replace(e, metrics={"pixel_fd": fd, "pixel_fd_best": fd}) for e in seen.history
        )
        put(tmp_path / "results", "a", replace(seen, history=history))
    written = export(ExportSettings(str(tmp_path / "results"), "a", tmp_path)).paths
    assert {path.name for path in written} >= {"samples.png", "learning_curves.png"}
    (report,) = write_reports(ReportSettings(str(tmp_path / "results")))
    text = Path(report.place).read_text(encoding="utf-8")
    assert "Ranked by pixel FD" in text
    assert "test pixel FD 7" in text


def test_a_sweep_that_is_not_there_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", record(0, 9.0, noise=0.0))
    with pytest.raises(RecordsError, match="'b'"):
        export(ExportSettings(str(tmp_path), "b", tmp_path / "out"))
