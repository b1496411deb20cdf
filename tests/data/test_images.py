"""Image data sets: splits, resizing, and every way in which a file can be damaged."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from raydistill.data.images import ImageData, load_images
from raydistill.data.raw import DataError
from raydistill.data.sources import check_images

FASHION = Path("/usr/share/datasets/fashion-mnist")
STEMS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def idx(values: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def small_mnist(train: int = 60, test: int = 20, side: int = 28) -> dict[str, np.ndarray]:
    """Four arrays in the shape of MNIST's files; every image is told from every other."""
    random = np.random.default_rng(0)
    return {
        "train-images-idx3": random.integers(0, 256, (train, side, side)),
        "train-labels-idx1": np.arange(train) % 10,
        "t10k-images-idx3": random.integers(0, 256, (test, side, side)),
        "t10k-labels-idx1": np.arange(test) % 10,
    }


def write(folder: Path, arrays: dict[str, np.ndarray], *, zipped: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, values in arrays.items():
        content = idx(values)
        name = f"{stem}-ubyte.gz" if zipped else f"{stem}-ubyte"
        (folder / name).write_bytes(gzip.compress(content) if zipped else content)
    return folder


def rows(data: ImageData) -> list[bytes]:
    """Every image with its label, of all splits."""
    return [
        values.numpy().tobytes() + bytes([int(label)])
        for split in (data.train, data.validation, data.test)
        for values, label in zip(split.values, split.labels, strict=True)
    ]


def test_splits_are_disjoint_stable_and_cover_everything(tmp_path: Path) -> None:
    arrays = small_mnist(train=600, test=100)
    folder = write(tmp_path, arrays, zipped=False)
    data = load_images("mnist", 28, str(folder))
    found = rows(data)
    images = np.concatenate([arrays["train-images-idx3"], arrays["t10k-images-idx3"]])
    labels = np.concatenate([arrays["train-labels-idx1"], arrays["t10k-labels-idx1"]])
    expected = [
        image.astype(np.float32).tobytes() + bytes([int(label)])
        for image, label in zip(images, labels, strict=True)
    ]
    assert len(set(found)) == len(found) == 700  # disjoint: every image is another
    assert sorted(found) == sorted(expected)  # complete, and each with its own label
    again = load_images("mnist", 28, str(folder))
    assert rows(again) == found
    assert again.fingerprint == data.fingerprint
    # The data set's own test part is the test split; validation is cut from the rest.
    assert sorted(v.numpy().tobytes() for v in data.test.values) == sorted(
        image.astype(np.float32).tobytes() for image in arrays["t10k-images-idx3"]
    )
    assert len(data.validation) == 50
    assert data.image_shape == (1, 28, 28)
    assert (data.levels, data.classes) == (256, 10)
    for name in ("train", "validation", "test"):
        assert data.split(name) is getattr(data, name)


def test_splits_are_shuffled(tmp_path: Path) -> None:
    """Packages store classes in blocks: an unshuffled split would hold out a few classes."""
    arrays = small_mnist(train=600, test=100)
    arrays["train-labels-idx1"] = np.arange(600) // 60
    data = load_images("mnist", 28, str(write(tmp_path, arrays, zipped=False)))
    assert len(set(data.validation.labels.tolist())) >= 8


def test_digits_are_split_in_balance(digits: ImageData) -> None:
    splits = (digits.train, digits.validation, digits.test)
    assert [len(split) for split in splits] == [1259, 269, 269]
    assert sum(len(split) for split in splits) == 1797
    assert len(set(rows(digits))) == len(set(map(bytes, rows(digits))))
    for split in splits:
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert shares.shape == (10,)
        # A tenth each; four standard deviations of a random split of 269.
        assert float((shares - 0.1).abs().max()) < 0.075
    values = torch.cat([split.values for split in splits])
    assert (float(values.min()), float(values.max())) == (0.0, 16.0)
    assert digits.levels == 17
    assert torch.equal(values, values.round())


def test_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    arrays = small_mnist()
    prints = set()
    for name, change in (("plain", 0), ("image", 1), ("label", 1)):
        changed = {stem: values.copy() for stem, values in arrays.items()}
        if name == "image":
            changed["t10k-images-idx3"][3, 4, 5] ^= change
        if name == "label":
            changed["train-labels-idx1"][7] = 9
        folder = write(tmp_path / name, changed, zipped=False)
        prints.add(load_images("mnist", 28, str(folder)).fingerprint)
    prints.add(load_images("mnist", 14, str(tmp_path / "plain")).fingerprint)
    assert len(prints) == 4


def test_shrinking_averages_over_areas(tmp_path: Path) -> None:
    arrays = small_mnist()
    folder = write(tmp_path, arrays, zipped=False)
    small, whole = load_images("mnist", 14, str(folder)), load_images("mnist", 28, str(folder))
    for split in ("train", "validation", "test"):
        blocks = whole.split(split).values.numpy().reshape(-1, 14, 2, 14, 2)
        expected = blocks.mean((2, 4)).round()
        np.testing.assert_array_equal(small.split(split).values.numpy()[:, 0], expected)
    assert small.levels == 256


def test_plain_and_zipped_files_are_the_same_data(tmp_path: Path) -> None:
    arrays = small_mnist()
    plain = load_images("mnist", 28, str(write(tmp_path / "plain", arrays, zipped=False)))
    zipped = load_images("mnist", 28, str(write(tmp_path / "zipped", arrays, zipped=True)))
    assert plain.fingerprint == zipped.fingerprint
    assert rows(plain) == rows(zipped)


def flip(position: int) -> Callable[[bytes], bytes]:
    """Invert the bits of one byte."""

    def change(content: bytes) -> bytes:
        at = position % len(content)
        return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]

    return change


PLAIN_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in the magic": lambda content: content[:3],
    "cut in a dimension": lambda content: content[:6],
    "cut after the header": lambda content: content[:16],
    "last byte missing": lambda content: content[:-1],
    "one byte too many": lambda content: content + b"\0",
    "wrong type in the magic": flip(2),
    "wrong rank in the magic": flip(3),
    "another kind of file": lambda content: b"<html>404 not found</html>",
    # The product is right, so that only the sign tells.
    "negative dimensions": lambda content: (
        content[:4] + struct.pack(">3i", -int.from_bytes(content[4:8]), -28, 28) + content[16:]
    ),
    "absurd dimensions": lambda content: content[:4] + struct.pack(">3i", *[2**31 - 1] * 3),
}
ZIPPED_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "not gzip": flip(0),
    "cut": lambda content: content[: len(content) // 2],
    "checksum missing": lambda content: content[:-8],
    "flipped at the start": flip(12),
    "flipped in the middle": lambda content: flip(len(content) // 2)(content),
    "flipped checksum": flip(-6),
}


def assert_refused(folder: Path, *, naming: str) -> None:
    with pytest.raises(DataError) as caught:
        load_images("mnist", 28, str(folder))
    message = str(caught.value)
    assert message.startswith("data.root: ")
    assert str(folder) in message
    assert naming in message
    assert "torchvision" in message or "fetch" in message  # what to do
    assert "\n" not in message


@pytest.mark.parametrize("stem", ["train-images-idx3", "t10k-images-idx3"])
@pytest.mark.parametrize("damage", PLAIN_DAMAGE)
def test_damaged_plain_file_is_refused(tmp_path: Path, stem: str, damage: str) -> None:
    folder = write(tmp_path, small_mnist(), zipped=False)
    path = folder / f"{stem}-ubyte"
    path.write_bytes(PLAIN_DAMAGE[damage](path.read_bytes()))
    assert_refused(folder, naming=f"{stem}-ubyte")


@pytest.mark.parametrize("damage", ZIPPED_DAMAGE)
def test_damaged_zipped_file_is_refused(tmp_path: Path, damage: str) -> None:
    folder = write(tmp_path, small_mnist(), zipped=True)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(ZIPPED_DAMAGE[damage](path.read_bytes()))
    assert_refused(folder, naming="train-images-idx3-ubyte.gz")


@pytest.mark.parametrize("missing", STEMS)
def test_absent_file_is_named(tmp_path: Path, missing: str) -> None:
    folder = write(tmp_path, small_mnist(), zipped=False)
    (folder / f"{missing}-ubyte").unlink()
    assert_refused(folder, naming=f"{missing}-ubyte")


def test_absent_folder_is_named(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere", naming="train-images-idx3-ubyte")


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_images_and_labels_that_do_not_match_are_refused(tmp_path: Path, part: str) -> None:
    arrays = small_mnist()
    arrays[f"{part}-labels-idx1"] = arrays[f"{part}-labels-idx1"][:-1]
    assert_refused(write(tmp_path, arrays, zipped=False), naming="labels")


def test_parts_of_different_shapes_are_refused(tmp_path: Path) -> None:
    arrays = small_mnist() | {"t10k-images-idx3": np.zeros((20, 12, 12))}
    folder = write(tmp_path, arrays, zipped=False)
    assert_refused(folder, naming="28x28 beside test images of 12x12")


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_a_label_outside_the_classes_is_refused(tmp_path: Path, part: str) -> None:
    arrays = small_mnist()
    arrays[f"{part}-labels-idx1"][3] = 47
    assert_refused(
        write(tmp_path, arrays, zipped=False), naming="a label 47 outside its 10 classes"
    )


@pytest.mark.parametrize("zipped", [False, True])
def test_the_content_says_whether_a_file_is_gzipped(tmp_path: Path, zipped: bool) -> None:
    """Whatever its name: browsers unpack downloads, and scripts add suffixes."""
    folder = write(tmp_path / "true", small_mnist(), zipped=zipped)
    other = tmp_path / "misnamed"
    other.mkdir()
    for path in folder.iterdir():
        name = path.name.removesuffix(".gz") if zipped else f"{path.name}.gz"
        (other / name).write_bytes(path.read_bytes())
    assert rows(load_images("mnist", 28, str(other))) == rows(load_images("mnist", 28, str(folder)))


def test_a_split_without_images_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, small_mnist(train=5), zipped=False)
    assert_refused(folder, naming="leave none for validation")


def test_a_file_that_unpacks_to_more_than_it_promises_is_not_unpacked(tmp_path: Path) -> None:
    folder = write(tmp_path, small_mnist(), zipped=True)
    path = folder / "train-images-idx3-ubyte.gz"
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content + bytes(50_000_000)))
    tracemalloc.start()
    assert_refused(folder, naming="it has more")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_files_of_another_side_are_refused(tmp_path: Path) -> None:
    """A configuration is checked against 28x28 before any file is read; 12x12 would break it."""
    folder = write(tmp_path, small_mnist(side=12), zipped=False)
    assert_refused(folder, naming="12")


@pytest.mark.skipif(
    not any(FASHION.glob("t10k-images-idx3-ubyte*")),
    reason="the Debian package dataset-fashion-mnist is not installed",
)
def test_fashion_mnist_of_debian() -> None:
    data = load_images("fashion-mnist", 7)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [55_000, 5000, 10_000]
    assert data.image_shape == (1, 7, 7)
    # Its own test part: ten classes, a thousand each.
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    rest = torch.bincount(torch.cat([data.train.labels, data.validation.labels]))
    assert rest.tolist() == [6000] * 10
    assert 60.0 < float(data.train.values.mean()) < 85.0


def test_mnist_sample_comes_with_its_package() -> None:
    data = load_images("mnist-sample", 7)
    labels = torch.cat([split.labels for split in (data.train, data.validation, data.test)])
    assert torch.bincount(labels).tolist() == [500] * 10
    assert data.image_shape == check_images("mnist-sample", 7) == (1, 7, 7)
    assert data.levels == 256


def test_unknown_name_and_size_are_refused() -> None:
    with pytest.raises(DataError, match=r"^data\.name: 'cifar' is unknown; choose one of digits"):
        load_images("cifar", 8)
    with pytest.raises(DataError, match=r"^data\.size: 9 is above the 8 of 'digits'; .*most 8$"):
        load_images("digits", 9)


@pytest.mark.parametrize("size", [4, 5, 8])
def test_shape_is_known_before_reading(size: int) -> None:
    assert check_images("digits", size) == load_images("digits", size).image_shape


def test_a_part_of_the_training_images_is_another_data_set_with_the_same_held_out_ones() -> None:
    whole = load_images("digits", 8)
    part = whole.keep(100)
    assert torch.equal(part.train.values, whole.train.values[:100])
    assert torch.equal(part.train.labels, whole.train.labels[:100])
    assert part.test is whole.test
    assert part.validation is whole.validation
    assert part.fingerprint != whole.fingerprint
    assert whole.keep(100).fingerprint == part.fingerprint != whole.keep(101).fingerprint


def test_more_training_images_than_there_are_is_refused() -> None:
    whole = load_images("digits", 8)
    with pytest.raises(DataError, match=r"data.train_count: 99999 is above the \d+ .*at most"):
        whole.keep(99_999)
