"""Figures as files, from the same synthetic sweep as the report's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.image import imread

from analysis.export import ExportSettings, export
from analysis.records import RecordsError
from tests.analysis.test_report import put, record


def test_the_figures_of_a_noise_sweep_are_files(tmp_path: Path) -> None:
    for number, (noise, fd) in enumerate([(0.0, 9.0), (0.25, 7.0), (0.5, 8.0)]):
        put(tmp_path / "results", "a", record(number, fd, noise=noise))
    settings = ExportSettings(str(tmp_path / "results"), "a", tmp_path / "out" / "images")
    written = export(settings)
    assert {path.name for path in written} >= {"noise_injection.png", "samples.png"}
    for path in written:
        assert imread(path).shape[1] > 400


def test_a_sweep_that_is_not_there_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", record(0, 9.0, noise=0.0))
    with pytest.raises(RecordsError, match="'b'"):
        export(ExportSettings(str(tmp_path), "b", tmp_path / "out"))
