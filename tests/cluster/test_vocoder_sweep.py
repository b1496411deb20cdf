"""The vocoder sweep on made-up voices, on real Ray."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cluster.scripts import run_sweep_script, trials
from tests.voices import write_voices

pytestmark = pytest.mark.ray

SHORT = (
    "--set", "budget.updates=6", "--set", "budget.evaluate_every=3",
    "--set", "teacher.budget.updates=6", "--set", "teacher.budget.batch_size=2",
    "--set", "teacher.window=800", "--set", "window=800", "--set", "context=400",
    "--set", "evaluation.seconds=0.8", "--set", "evaluation.sounds=1",
    "--set", "data.seconds=null",
)  # fmt: skip


def test_all_arms_are_trained_on_any_folder_of_voices(tmp_path: Path):
    voices = write_voices(tmp_path / "voices")
    (voices / "notes.wav").write_text("not audio at all")
    finished = run_sweep_script(
        "vocoder", "--preset", "smoke", "--dataset", str(voices),
        "--storage-path", str(tmp_path / "results"), "--name", "voices", *SHORT,
    )  # fmt: skip
    assert finished.code == 0, finished.errors
    records = trials(tmp_path / "results" / "voices")
    assert len(records) == 5
    assert {record["status"] for record in records.values()} == {"finished"}
    arms = [
        (r["config"]["objective"]["kind"], r["config"]["power"]["weight"]) for r in records.values()
    ]
    assert ("reverse_kl", 1.0) in arms
    assert ("reverse_kl", 0.0) in arms
    assert len({record["teacher"] for record in records.values()}) == 1
    for words in ("held-out nats a sample", "notes", "whisper", "HNR dB"):
        assert words in finished.output
    sound = tmp_path / "results" / "voices" / "trial_00000" / "student_0.wav"
    assert sound.read_bytes()[:4] == b"RIFF"


def test_an_absent_data_set_is_refused_before_any_work(tmp_path: Path):
    finished = run_sweep_script(
        "vocoder", "--dataset", str(tmp_path / "nowhere"), "--storage-path", str(tmp_path / "r")
    )
    assert finished.code == 2
    assert "data.root" in finished.errors
    assert len(finished.errors.strip().splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_a_folder_without_one_usable_recording_is_refused_by_its_files(tmp_path: Path):
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / "notes.wav").write_text("not audio at all")
    soundfile.write(folder / "silent.wav", np.zeros(8000), 8000)
    soundfile.write(folder / "stereo.wav", np.full((8000, 2), 0.1), 8000)
    finished = run_sweep_script(
        "vocoder", "--preset", "smoke", "--dataset", str(folder),
        "--storage-path", str(tmp_path / "results"),
    )  # fmt: skip
    assert finished.code == 2
    assert "Traceback" not in finished.errors
    said = finished.errors.strip().splitlines()[-1]
    for words in ("data.root", "3 dropped", "notes.wav", "silent.wav", "stereo.wav", "give at"):
        assert words in said
