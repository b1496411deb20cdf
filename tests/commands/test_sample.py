"""`raydistill sample`: trained models as pictures, sounds and arrays, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import soundfile
import torch
from PIL import Image

import raydistill as rd
from raydistill.cli import main
from raydistill.commands.outputs import open_output, write_folder
from raydistill.media.pictures import grid, png
from tests.commands.processes import shell
from tests.voices import sentence


def trial_of(distilled: rd.Distilled) -> str:
    assert distilled.folder.local_path is not None
    return str(distilled.folder.local_path)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line by which a command is refused."""
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def test_a_process_makes_the_picture_that_python_makes(
    images: rd.Distilled, tmp_path: Path
) -> None:
    finished = shell("sample", trial_of(images), "--count", "9", "--seed", "3", "--scale", "0.5",
                     "--out", "a b.png", cwd=tmp_path, PYTHONPATH=os.getcwd())  # fmt: skip
    assert (finished.code, finished.output, finished.errors) == (0, "a b.png\n", "")
    expected = rd.load_student(trial_of(images)).sample(9, seed=3, scale=0.5)
    assert isinstance(expected, torch.Tensor)
    shown = images.student.space.to_recorded(expected)
    assert (tmp_path / "a b.png").read_bytes() == png(grid(shown))
    assert os.listdir(tmp_path) == ["a b.png"]


@pytest.mark.parametrize("scale", ["matched", "best"])
def test_images_as_a_folder_and_as_arrays(scale: str, images: rd.Distilled, tmp_path: Path) -> None:
    trial = trial_of(images)
    student = rd.load_student(trial)
    wanted = student.matched_scale if scale == "matched" else student.best_scale
    expected = student.sample(3, scale=wanted)
    assert isinstance(expected, torch.Tensor)
    for out in ("folder/", "x.npy", "x.npz", "x.safetensors"):
        words = ["sample", trial, "--count", "3", "--scale", scale]
        assert main([*words, "--out", str(tmp_path / out) + "/" * out.endswith("/")]) == 0
    shown = student.space.to_recorded(expected)
    assert set((16 * shown).round().flatten().tolist()) <= set(range(17))
    assert not torch.equal(shown, expected)
    for index, image in enumerate(shown):
        with Image.open(tmp_path / "folder" / f"sample_{index:05}.png") as picture:
            values = np.asarray(picture)
        assert values.shape == tuple(image.shape[1:])  # a pixel a pixel
        assert np.abs(values / 255 - image[0].numpy()).max() <= 0.5 / 255 + 1e-6
    assert len(os.listdir(tmp_path / "folder")) == 3
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["samples"], expected)
    saved = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(saved["samples"], expected)


def test_a_teacher_by_every_name_of_it(images: rd.Distilled, storage: Path, tmp_path: Path) -> None:
    key = images.record.teacher
    names: list[list[str]] = [
        [f"{storage}:{key}"],
        [f"{storage}:{key[:8]}"],
        [f"{storage}/store/teachers/{key}"],
        [trial_of(images), "--teacher"],
    ]
    drawn = []
    for index, name in enumerate(names):
        out = tmp_path / f"{index}.npy"
        assert main(["sample", *name, "--count", "2", "--out", str(out)]) == 0
        drawn.append(np.load(out))
    assert all(np.array_equal(one, drawn[0]) for one in drawn)
    student = rd.load_student(trial_of(images)).sample(2)
    assert not np.array_equal(drawn[0], student)


def test_one_of_a_stack_or_all(
    gaussians: rd.Distilled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", trial_of(gaussians), "--count", "5"]) == 0
    assert np.load("samples.npy").shape == (5, 3, 2)
    assert main(["sample", trial_of(gaussians), "--count", "5", "--replica", "1", "--force"]) == 0
    assert np.load("samples.npy").shape == (5, 2)


def test_sounds_as_files_and_in_one_with_pauses(speech: rd.Distilled, tmp_path: Path) -> None:
    trial = trial_of(speech)
    for out in ("one.wav", "folder/", "x.npz"):
        assert main(["sample", trial, "--count", "2", "--out", f"{tmp_path}/{out}"]) == 0
    parts = [soundfile.read(tmp_path / "folder" / f"sample_{index:05}.wav") for index in (0, 1)]
    (first, rate), (second, _) = parts
    together, own = soundfile.read(tmp_path / "one.wav")
    assert own == rate == 8000
    pause = len(together) - len(first) - len(second)
    assert pause == 4000
    np.testing.assert_array_equal(together[: len(first)], first)
    assert not together[len(first) : len(first) + pause].any()
    np.testing.assert_array_equal(together[-len(second) :], second)
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["rate"] == 8000
        assert arrays["sample_00001"].shape == second.shape


def test_speech_is_conditioned_on_a_recording_or_on_features(
    speech: rd.Distilled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "said.wav"
    soundfile.write(recording, sentence(7), 8000)
    student = rd.load_student(trial_of(speech))
    features = tmp_path / "features.npy"
    np.save(features, rd.api.speech.analyse_recording(student.space, recording))  # type: ignore[arg-type]
    outs = []
    for option, path in (("--recording", recording), ("--features", features)):
        outs.append(tmp_path / f"{option}.wav")
        words = ["sample", trial_of(speech), "--count", "1", option, str(path)]
        assert main([*words, "--out", str(outs[-1])]) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    for option, path, named in (
        ("--recording", tmp_path / "absent.wav", "recording: "),
        ("--features", recording, "features: "),
        ("--features", tmp_path / "absent.npy", "features: no file"),
    ):
        words = ["sample", trial_of(speech), option, str(path), "--out", str(tmp_path / "no.wav")]
        assert refused(capsys, *words).startswith(named)
    assert not (tmp_path / "no.wav").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--count", "0"), "count: 0"),
        (("--seed", "-1"), "seed: -1"),
        (("--scale", "-1"), "scale: -1.0"),
        (("--scale", "nan"), "scale: nan"),
        (("--device", "abacus"), "device: 'abacus'"),
        (("--device", "cuda:99"), "device: 'cuda:99'"),
        (("--replica", "5", "--teacher"), "replica: 5"),
        (("--teacher", "--scale", "matched"), "scale: 'matched'"),
        (("--recording", "x.wav"), "recording: this model takes no conditioning"),
        (("--out", "x.wav"), "out: 'x.wav' is no place for samples of the image task"),
        (("--out", "x.jpeg"), "out: 'x.jpeg'"),
        (("--out", "/dev/null/x.png"), "out: '/dev/null/x.png' cannot be written"),
        (("--out", "/dev/null/x/"), "out: '/dev/null/x/' cannot be written"),
        (("--out", "s3://bucket/x/"), "out: 's3://bucket/x/' is no local folder"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_one_line(
    options: tuple[str, ...],
    named: str,
    images: rd.Distilled,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, "sample", trial_of(images), *options).startswith(named)
    assert os.listdir(tmp_path) == []


def test_models_that_are_not_there_are_refused(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, named in (
        (f"{tmp_path}/absent", "trial: no folder"),
        (str(tmp_path), "trial: "),
        (f"{storage}:0123456789abcdef", "teacher: '0123456789abcdef' names none"),
        (f"{tmp_path}:0123", "teacher: '0123' names none"),
        ("gopher://x/y", "storage_path: "),
    ):
        line = refused(capsys, "sample", name, "--out", str(tmp_path / "x.npy"))
        assert line.startswith(named), line
    line = refused(capsys, "sample", str(tmp_path), "--teacher", "--out", f"{tmp_path}/x.npy")
    assert "no store of teachers beside it" in line


def test_nothing_is_replaced_without_being_told_to(
    images: rd.Distilled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", trial_of(images), "--count", "2", "--out"]
    file, folder = tmp_path / "x.npy", tmp_path / "samples"
    file.write_text("precious")
    assert refused(capsys, *words, str(file)).endswith("or --force to replace it")
    assert file.read_text() == "precious"
    assert main([*words, str(file), "--force"]) == 0
    assert np.load(file).shape[0] == 2
    for count in ("3", "2"):
        assert main([*words, f"{folder}/", "--count", count, "--force"]) == 0
    assert sorted(os.listdir(folder)) == ["sample_00000.png", "sample_00001.png"]
    assert "is not empty" in refused(capsys, *words, str(folder))
    (folder / "thesis.tex").write_text("precious")
    assert "thesis.tex" in refused(capsys, *words, str(folder), "--force")
    assert (folder / "thesis.tex").read_text() == "precious"


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / "sample_00000.png").write_bytes(b"old")

    def files():
        yield "sample_00000.png", b"new"
        raise RuntimeError("the power fails")

    with pytest.raises(RuntimeError):
        write_folder(open_output(f"{folder}/", force=True), files())
    assert (folder / "sample_00000.png").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["samples"]
