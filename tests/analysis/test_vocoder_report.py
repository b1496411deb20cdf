"""The page and the files of a vocoder sweep: whole, unfinished, without sounds, damaged."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from scipy.io import wavfile

import analysis.vocoder.sounds
from analysis.export import ExportSettings, export
from analysis.report import ReportSettings, write_reports
from analysis.vocoder.arms import arm_of, distinct_arms
from analysis.vocoder.claims import judge
from analysis.vocoder.sounds import SoundGallery, Wave, sound_gallery, spectrogram
from analysis.vocoder.tables import costs_of, lines_of
from tests.analysis.vocoder_records import (
    DEFAULT,
    FLOORS,
    KL,
    RATE,
    SEEDS,
    SOUNDS,
    X_NOISE,
    X,
    over_seeds,
    put,
    student_arrays,
    study_of,
    tone,
)


class Page(HTMLParser):
    """Sources and text of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.sounds: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if name in ("src", "href")}
        self.links += [value or "" for value in found.values()]
        self.sounds += [found["src"] or ""] if tag == "audio" else []

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(storage: Path) -> Page:
    (report,) = write_reports(ReportSettings(str(storage)))
    return Page(Path(report.place).read_text(encoding="utf-8"))


def clips_of(heard: SoundGallery) -> int:
    return sum(len(u.clips) for stage in heard.stages for u in stage.utterances)


def test_the_page_plays_every_sound_without_a_network(tmp_path: Path) -> None:
    folder = put(tmp_path, over_seeds(*DEFAULT))
    page = page_of(tmp_path)
    # Recording, copy, teacher, five arms of one seed each, and one of them at the matched scale.
    assert len(page.sounds) == SOUNDS * (3 + len(DEFAULT) + 1)
    assert all(link.startswith("data:") for link in page.links)
    prefix = "data:audio/wav;base64,"
    first = base64.b64decode(page.sounds[0].removeprefix(prefix))
    assert first == (folder / "trial_00000" / "natural_0.wav").read_bytes()
    assert wavfile.read(io.BytesIO(first))[0] == RATE
    for words in (
        "reproduced : 15. Students of x-reconstruction l1",
        "15d. x-reconstruction l1 whispers less than reverse KL (closed form a step) + power loss",
        "In order on all of them, over 12 sentences",
        "linear prediction −0.700",
        "white noise 0.085",
        "x-reconstruction l1, noise 0.5, at the matched prior scale",
        "teacher's own samples",
        "Cost of a trial",
        "Learning curves.",
        "Students between whisper and recording.",
    ):
        assert words in page.text
    assert "no better than" not in page.text


def test_an_unfinished_sweep_has_a_page(tmp_path: Path) -> None:
    put(tmp_path, [replace(KL, status="running"), replace(X, status="running")])
    page = page_of(tmp_path)
    assert "Nothing to judge yet" in page.text
    assert "No sounds have been written yet" in page.text
    assert "Not calibrated" in page.text
    assert "Learning curves." in page.text


def test_a_failed_trial_is_named_and_a_sweep_without_sounds_is_judged(tmp_path: Path) -> None:
    put(tmp_path, [*over_seeds(*DEFAULT), replace(X, seed=7, status="failed")], sounds=False)
    page = page_of(tmp_path)
    assert "No sounds have been written yet" in page.text
    assert "loss is not finite" in page.text
    assert "reproduced : 15." in page.text


def test_without_any_arrays_means_are_shown_and_nothing_is_judged(tmp_path: Path) -> None:
    folder = put(tmp_path, over_seeds(KL, X), sounds=False)
    for path in folder.glob("*/arrays.safetensors"):
        path.unlink()
    (regime,) = study_of(tmp_path).regimes.values()
    lines = {line.name: line for line in lines_of(regime)}
    own = [student_arrays(one)["periodicity_excess"].mean() for one in over_seeds(X)]
    found = lines["x-reconstruction l1"].values["periodicity_excess"]
    assert found.value == pytest.approx(np.mean(own), abs=1e-4)
    assert found.low < found.value < found.high
    assert "natural recordings" in lines
    study = study_of(tmp_path)
    assert {verdict.verdict for verdict in judge(study)} == {"undecided"}
    assert study.unreadable[0].path.endswith("trial_00000/arrays.safetensors")


def test_files_that_are_no_sounds_are_left_out_and_named(tmp_path: Path) -> None:
    folder = put(tmp_path, over_seeds(X))
    (folder / "trial_00000" / "student_0.wav").write_bytes(b"RIFF no wave at all")
    (folder / "trial_00000" / "teacher_1.wav").write_bytes(tone()[:30])
    heard = sound_gallery(study_of(tmp_path))
    assert clips_of(heard) == SOUNDS * 4 - 2
    assert [problem.path for problem in heard.unreadable] == [
        "vocoder/trial_00000/student_0.wav",
        "vocoder/trial_00000/teacher_1.wav",
    ]


def test_a_page_holds_no_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis.vocoder.sounds, "MOST_BYTES", 60_000)
    put(tmp_path, over_seeds(X, KL))
    heard = sound_gallery(study_of(tmp_path))
    assert 0 < heard.left_out < SOUNDS * 5
    assert clips_of(heard) == SOUNDS * 5 - heard.left_out


def test_the_seed_that_is_heard_is_the_lowest_not_the_best(tmp_path: Path) -> None:
    put(tmp_path, [replace(X, seed=4, way=1.0), replace(X, seed=2, way=0.2)])
    (stage,) = sound_gallery(study_of(tmp_path)).stages
    titles = [clip.title for clip in stage.utterances[0].clips]
    assert titles == ["Recording", "Copy-synthesis", "Teacher", "x-reconstruction l1 (seed 2)"]


def test_tables_hold_means_over_seeds_and_what_trials_cost(tmp_path: Path) -> None:
    put(tmp_path, over_seeds(X_NOISE), sounds=False)
    study = study_of(tmp_path)
    (regime,) = study.regimes.values()
    own, matched, *floors = lines_of(regime)
    arrays = [student_arrays(one) for one in over_seeds(X_NOISE)]
    expected = np.mean([a["harmonics_to_noise"] for a in arrays])
    assert own.values["harmonics_to_noise"].value == pytest.approx(expected, abs=1e-4)
    assert matched.values["harmonics_to_noise"].value == pytest.approx(expected + 0.01, abs=1e-4)
    assert own.values["reconstruction_l1"].value == pytest.approx(0.31)
    whispering = {line.name: line.values["whispering"].value for line in floors}
    assert whispering["natural recordings"] == pytest.approx(0.0, abs=1e-6)
    assert whispering["whisper"] == pytest.approx(1.0, abs=0.03)
    record = study.records[0].record.metrics("test")["whispering"]
    natural = FLOORS["natural"]["periodicity_excess"]
    first = 1.0 - arrays[0]["periodicity_excess"].mean() / natural
    assert record == pytest.approx(first)
    (cost,) = costs_of(regime, study)
    assert (cost.trials, cost.updates, cost.train_seconds) == (len(SEEDS), 800, 300.0)


def test_export_writes_figures_and_every_metric(tmp_path: Path) -> None:
    put(tmp_path, over_seeds(*DEFAULT))
    written = export(ExportSettings(str(tmp_path), "vocoder", tmp_path / "out")).paths
    assert {path.name for path in written} == {
        "vocoder_students.png",
        "vocoder_curves.png",
        "vocoder_spectrograms.png",
        "vocoder_metrics.csv",
    }
    for path in written:
        if path.suffix == ".png":
            assert imread(path).shape[0] > 200
    table = pd.read_csv(tmp_path / "out" / "vocoder_metrics.csv")
    assert set(table["floor"].dropna()) >= {"natural recordings", "whisper"}
    row = table[(table["student"] == "oracle l1") & (table["metric"] == "periodicity_excess")]
    assert row["low"].item() < row["mean"].item() < row["high"].item()
    assert row["interval_over"].item() == "seeds and sentences"
    assert {"whispering", "voiced_level_db", "reverse_kl"} <= set(table["metric"])


def test_a_spectrogram_has_its_energy_where_the_tone_is() -> None:
    t = np.arange(RATE) / RATE
    levels = spectrogram(Wave(0.5 * np.sin(2 * np.pi * 1000.0 * t), RATE, b""))
    peak = levels[:, 20:-20].argmax(axis=0)
    assert set(peak.tolist()) == {round(1000.0 * 0.032)}
    quiet = spectrogram(Wave(0.05 * np.sin(2 * np.pi * 1000.0 * t), RATE, b""))
    assert levels.max() - quiet.max() == pytest.approx(20.0, abs=0.1)


def test_arms_have_names_of_their_own() -> None:
    trees = [
        {
            "objective": {"kind": "reverse_kl", "estimator": "plain"},
            "power": {"weight": w, "hop": h},
        }
        for w, h in ((0.0, 40), (1.0, 40), (1.0, 80), (0.5, 40))
    ]
    names = [arm.name for arm in distinct_arms(arm_of(tree) for tree in trees).values()]
    assert len(set(names)) == len(trees)
    assert names[0] == "reverse KL (Monte Carlo)"
    assert any(name.endswith("power loss 0.5") for name in names)
    assert sum(bool(re.search(r"\([0-9a-f]{4}\)$", name)) for name in names) == 1
    assert arm_of({}).name.startswith("unknown objective")
