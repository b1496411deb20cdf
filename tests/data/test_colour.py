"""Colour images: crops of bundled photographs, and CIFAR-10 as its files are found."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as bundled

from raydistill.data.images import load_images
from raydistill.data.raw import DataError, RawImages
from raydistill.data.sources import DATA_SETS, DataSource

PARTS = (*(f"data_batch_{index}" for index in range(1, 6)), "test_batch")


def batches(count: int = 20) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Six batches of random images, every one another."""
    random = np.random.default_rng(0)
    return {
        part: (random.integers(0, 256, (count, 3072), dtype=np.uint8), np.arange(count) % 10)
        for part in PARTS
    }


def write_python(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for name, (values, labels) in parts.items():
        content = {b"data": values, b"labels": labels.tolist(), b"batch_label": b"x"}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def write_binary(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for name, (values, labels) in parts.items():
        rows = np.concatenate([labels[:, None].astype(np.uint8), values], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


Writer = Callable[[Path, dict[str, tuple[np.ndarray, np.ndarray]]], None]
FORMATS: dict[str, Writer] = {
    "cifar-10-batches-py": write_python,
    "cifar-10-batches-bin": write_binary,
}


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_cifar_is_read_in_both_formats_from_its_folder_or_the_one_above(
    name: str, above: bool, tmp_path: Path
) -> None:
    folder, parts = tmp_path / name, batches()
    folder.mkdir()
    FORMATS[name](folder, parts)
    data = load_images("cifar-10", 32, str(tmp_path if above else folder))
    assert (data.image_shape, data.levels, data.classes) == ((3, 32, 32), 256, 10)
    test_values, _ = parts["test_batch"]
    found = {value.numpy().tobytes() for value in data.test.values}
    assert found == {row.astype(np.float32).tobytes() for row in test_values}
    everything = torch.cat([data.train.values, data.validation.values, data.test.values])
    assert len(everything) == 120


def test_both_formats_are_the_same_data(tmp_path: Path) -> None:
    prints = set()
    for name, write in FORMATS.items():
        folder = tmp_path / name
        folder.mkdir()
        write(folder, batches())
        prints.add(load_images("cifar-10", 32, str(folder)).fingerprint)
    assert len(prints) == 1


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


def test_a_pickle_that_asks_for_more_than_arrays_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_python(tmp_path, batches())
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": _Evil(), b"labels": []}))
    with pytest.raises(DataError, match=r"data_batch_3 cannot be read .*system"):
        load_images("cifar-10", 32, str(tmp_path))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_absent_and_damaged_files_are_named(name: str, tmp_path: Path) -> None:
    FORMATS[name](tmp_path, batches())
    file = tmp_path / ("test_batch" + (".bin" if name.endswith("bin") else ""))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"data\.root: .*test_batch.*cifar-10-batches-py"):
        load_images("cifar-10", 32, str(tmp_path))
    file.unlink()
    with pytest.raises(DataError, match=r"data\.root: no test_batch.*cifar-10-batches-py"):
        load_images("cifar-10", 32, str(tmp_path))
    with pytest.raises(DataError, match=r"data\.root: no data_batch_1"):
        load_images("cifar-10", 32, str(tmp_path / "elsewhere"))


def test_photographs_are_crops_that_do_not_overlap() -> None:
    data = load_images("photographs", 32)
    assert (data.image_shape, data.levels, data.classes) == ((3, 32, 32), 256, 7)
    values = torch.cat([data.train.values, data.validation.values, data.test.values])
    assert len(values) == 1666
    assert len({value.numpy().tobytes() for value in values}) > 1630  # sky repeats itself
    astronaut = bundled.astronaut()[64:96, 32:64].astype(np.float32).transpose(2, 0, 1)
    assert (values == torch.from_numpy(astronaut)).flatten(1).all(1).sum() == 1
    # Whole photographs are held out: crops of one are alike.
    parts = [set(s.labels.tolist()) for s in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [4, 1, 2]
    assert set().union(*parts) == set(range(7))
    small = load_images("photographs", 8)
    assert small.image_shape == (3, 8, 8)


def test_grey_images_are_framed_to_32() -> None:
    plain, framed = load_images("mnist-sample", 28), load_images("mnist-sample", 32)
    assert framed.image_shape == (1, 32, 32)
    assert torch.equal(framed.test.values[:, :, 2:-2, 2:-2], plain.test.values)
    assert float(framed.test.values.sum()) == float(plain.test.values.sum())
    with pytest.raises(DataError, match=r"data.size: 33 is above the 32"):
        load_images("mnist-sample", 33)


def test_levels_outside_their_range_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader of one's own, or files that hold something else."""
    values = np.zeros((300, 8, 8))
    values[7, 3, 3] = 17.0
    raw = RawImages(values, np.arange(300) % 10, levels=17)
    bad = DataSource(lambda root: raw, side=8, train=100)
    monkeypatch.setitem(DATA_SETS, "bad", bad)
    with pytest.raises(DataError, match=r"data\.root: 'bad' .* levels 0 to 17 outside 0 to 16"):
        load_images("bad", 8)
