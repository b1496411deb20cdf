"""`raydistill encode` and `decode`: files to codes and back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import raydistill as rd
from raydistill.cli import main
from raydistill.commands.inputs import read_array, read_codes, read_picture
from raydistill.config.errors import ConfigError
from tests.commands.test_sample import refused, trial_of
from tests.voices import sentence


def test_pictures_become_codes_and_codes_pictures(
    images: rd.Distilled, storage: Path, tmp_path: Path
) -> None:
    trial, pictures = trial_of(images), tmp_path / "pictures"
    assert main(["sample", trial, "--teacher", "--count", "3", "--out", f"{pictures}/"]) == 0
    files = sorted(str(path) for path in pictures.iterdir())
    codes = tmp_path / "codes.safetensors"
    assert main(["encode", trial, *files, "--out", str(codes)]) == 0
    with safetensors.safe_open(codes, framework="numpy") as file:
        metadata = {name: json.loads(text) for name, text in file.metadata().items()}
        z = torch.from_numpy(file.get_tensor("z"))
    assert metadata["teacher"] == images.record.teacher
    assert metadata["files"] == [os.path.basename(path) for path in files]
    teacher = rd.load_teacher(storage, trial)
    values = torch.stack([read_picture(Path(path), teacher.event_shape) for path in files])
    expected = [teacher.encode(values[i : i + 1], dequantise_seed=i) for i in range(3)]
    torch.testing.assert_close(z, torch.cat(expected))  # type: ignore[arg-type]
    for words, model in ((["--teacher"], teacher), ([], rd.load_student(trial))):
        out = tmp_path / f"back{len(words)}.npy"
        assert main(["decode", trial, str(codes), "--out", str(out), *words]) == 0
        torch.testing.assert_close(torch.from_numpy(np.load(out)), model.decode(z))
    back = torch.from_numpy(np.load(tmp_path / "back1.npy"))
    levels = teacher.space.levels  # type: ignore[attr-defined]
    whole = (values * (levels - 1)).round()
    torch.testing.assert_close((back * levels).floor(), whole, rtol=0.0, atol=1.0)


def test_arrays_are_encoded_as_they_are(images: rd.Distilled, tmp_path: Path) -> None:
    trial, arrays = trial_of(images), [tmp_path / "x.npy", tmp_path / "y.safetensors"]
    for array in arrays:
        assert main(["sample", trial, "--count", "4", "--out", str(array)]) == 0
    codes, back = tmp_path / "codes.safetensors", tmp_path / "back.npz"
    assert main(["encode", trial, *map(str, arrays), "--out", str(codes)]) == 0
    assert main(["decode", trial, str(codes), "--teacher", "--out", str(back)]) == 0
    with np.load(back) as found:
        values = found["samples"]
    twice = np.concatenate([np.load(arrays[0])] * 2)
    np.testing.assert_allclose(values, twice, atol=1e-3)


def test_recordings_keep_their_features_beside_their_codes(
    speech: rd.Distilled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = trial_of(speech)
    files = []
    for seed in (5, 6):
        files.append(tmp_path / f"{seed}.wav")
        soundfile.write(files[-1], sentence(seed, 0.6 + 0.2 * (seed - 5)), 8000)
    codes = tmp_path / "codes.safetensors"
    assert main(["encode", trial, *map(str, files), "--out", str(codes)]) == 0
    assert main(["decode", trial, str(codes), "--teacher", "--out", f"{tmp_path}/back/"]) == 0
    assert main(["decode", trial, str(codes), "--out", f"{tmp_path}/student.wav"]) == 0
    for index, path in enumerate(files):
        back, rate = soundfile.read(tmp_path / "back" / f"sample_{index:05}.wav")
        assert rate == 8000
        said = read_codes(codes).z[index]
        assert len(back) == len(said)
        # The recording, trimmed of silence and with dither, which is below a hundredth.
        original, _ = soundfile.read(path)
        start = np.correlate(original, back, "valid").argmax()
        assert np.abs(original[start : start + len(back)] - back).max() < 1e-2
    line = refused(capsys, "encode", trial, str(codes), "--out", str(tmp_path / "x.safetensors"))
    assert "is nothing that this teacher of the vocoder task encodes" in line


def test_codes_of_another_teacher_are_refused(
    images: rd.Distilled,
    gaussians: rd.Distilled,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    array, codes = tmp_path / "x.npy", tmp_path / "codes.safetensors"
    assert main(["sample", trial_of(gaussians), "--count", "2", "--out", str(array)]) == 0
    assert main(["encode", trial_of(gaussians), str(array), "--out", str(codes)]) == 0
    out = str(tmp_path / "x.png")
    line = refused(capsys, "decode", trial_of(images), str(codes), "--out", out)
    assert line.startswith("codes: ")
    assert "are of the teacher" in line
    line = refused(capsys, "decode", trial_of(images), str(array), "--out", out)
    assert line.startswith("codes: shape (2, 3, 2) does not fit")
    line = refused(capsys, "encode", trial_of(images), str(array), "--out", f"{tmp_path}/y.npy")
    assert line.startswith("out: ")
    line = refused(
        capsys, "encode", trial_of(images), str(array), "--out", f"{tmp_path}/y.safetensors"
    )
    assert line.startswith(f"files: {str(array)!r}: shape (2, 3, 2) does not fit")


def test_pictures_of_another_size_or_colour_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    for mode, size in (("L", (9, 8)), ("RGB", (8, 8)), ("RGBA", (8, 8)), ("I;16", (8, 8))):
        Image.new(mode, size).save(path)
        with pytest.raises(ConfigError, match="the model's images are 8x8, grey"):
            read_picture(path, (1, 8, 8))
    Image.new("L", (8, 8), 51).save(path)
    assert torch.equal(read_picture(path, (1, 8, 8)), torch.full((1, 8, 8), 0.2))
    Image.new("RGB", (8, 8), (0, 51, 255)).save(path)
    assert read_picture(path, (3, 8, 8))[:, 0, 0].tolist() == pytest.approx([0.0, 0.2, 1.0])


@pytest.fixture(scope="module")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small whole file of every kind that is read, by suffix."""
    folder = tmp_path_factory.mktemp("good")
    array = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.save(folder / "x.npy", array)
    np.savez(folder / "x.npz", samples=array)
    safetensors.numpy.save_file({"z": array}, folder / "x.safetensors")
    Image.new("L", (8, 8), 51).save(folder / "x.png")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    suffix=st.sampled_from([".npy", ".npz", ".safetensors", ".png"]),
    cut=st.integers(0, 2000),
    flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3),
)
def test_damaged_files_are_read_or_refused(
    suffix: str,
    cut: int,
    flips: list[tuple[int, int]],
    good_files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    content = bytearray(good_files[suffix])
    for place, value in flips:
        content[place % len(content)] = value
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content[: max(0, len(content) - cut % 97)])
    readers = [lambda: read_picture(path, (1, 8, 8))] if suffix == ".png" else [
        lambda: read_array("files", path), lambda: read_codes(path).z,
    ]  # fmt: skip
    for read in readers:
        refusal: str | None = None
        try:
            found = read()
        except ConfigError as error:
            refusal = str(error)
        if refusal is None:
            assert isinstance(found, (torch.Tensor, list))
        else:
            assert str(path) in refusal
            assert len(refusal.splitlines()) == 1


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_array("features", path)
    np.save(path, np.array(["text"]))
    with pytest.raises(ConfigError, match="give real numbers"):
        read_array("features", path)
