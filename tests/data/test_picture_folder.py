"""A folder of one's own pictures: what is cut from it, how it is split, what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raydistill.config.errors import ConfigError
from raydistill.data.images import ImageData, load_images
from raydistill.data.picture_folder import FolderImages, load_pictures
from raydistill.data.raw import DataError
from raydistill.data.sources import image_files
from raydistill.data.splits import split_pictures
from raydistill.data.staging import fetch, stage
from raydistill.store.assets import Store
from raydistill.tasks.image.config_parts import DataConfig
from raydistill.tasks.paper import deviations
from raydistill.tasks.presets import Preset, image_preset
from raydistill.tasks.registry import parse_trial

SIDE = 48


def picture(seed: int, width: int = SIDE, height: int = SIDE) -> Image.Image:
    """Smooth and of many colours: in another size it is the same picture, and no other is near."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def write(folder: Path, count: int = 12) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        suffix = (".png", ".jpg", ".JPEG")[seed % 3]
        picture(seed).save(folder / f"{seed:02}{suffix}")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("own") / "pictures")


def load(folder: Path, size: int = 8, crop: int | None = 8, *, grey: bool = False) -> ImageData:
    return load_images("folder", size, str(folder), crop=crop, grey=grey)


def parts(data: ImageData) -> list[set[int]]:
    """The pictures that each split has images of."""
    return [set(s.labels.tolist()) for s in (data.train, data.validation, data.test)]


def test_pictures_are_cut_into_squares_and_stay_together(pictures: Path) -> None:
    data = load(pictures)
    assert data.image_shape == (3, 8, 8)
    assert (data.levels, data.classes) == (256, 12)
    train, validation, test = parts(data)
    assert train | validation | test == set(range(12))
    assert len(train) + len(validation) + len(test) == 12  # each in one
    assert [len(s) for s in (data.train, data.validation, data.test)] == [288, 72, 72]
    values = torch.cat([data.train.values, data.validation.values, data.test.values])
    assert torch.equal(values, values.round())
    # A square at its place, to the last level: PNG loses nothing.
    top = np.asarray(picture(0), dtype=np.float32)[8:16, 40:48].transpose(2, 0, 1)
    assert int((values == torch.from_numpy(top)).flatten(1).all(1).sum()) == 1


def test_squares_are_shrunk_and_grey_is_grey(pictures: Path) -> None:
    small, whole = load(pictures, 4, 8), load(pictures, 8, 8)
    blocks = whole.test.values.reshape(-1, 3, 4, 2, 4, 2).mean((3, 5))
    assert float((small.test.values - blocks).abs().max()) <= 0.5
    grey = load(pictures, grey=True)
    assert grey.image_shape == (1, 8, 8)
    luma = (whole.test.values * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    assert float((grey.test.values[:, 0] - luma).abs().max()) <= 1.0


def test_without_a_crop_the_middle_is_taken(tmp_path: Path) -> None:
    for seed in range(140):
        colour = np.random.default_rng(seed).integers(0, 256, 3, dtype=np.uint8)
        values = np.broadcast_to(colour, (20, 32, 3)).copy()
        values[:, :6] = values[:, 26:] = 255 - colour  # what is left of a square, and right of it
        Image.fromarray(values).save(tmp_path / f"{seed}.png")
    data = load(tmp_path, 10, None)
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split.values, split.values[:, :, :1, :1].expand_as(split.values))
    assert len(data.train) + len(data.validation) + len(data.test) == 140


def test_content_alone_decides(pictures: Path, tmp_path: Path) -> None:
    """Neither names, nor their order, nor equal files, nor what is hidden or no picture."""
    (tmp_path / "deeper" / "still").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for index, path in enumerate(sorted(pictures.iterdir(), reverse=True)):
        shutil.copy(path, tmp_path / "deeper" / ("still" * (index % 2)) / f"{index}{path.suffix}")
    shutil.copy(pictures / "00.png", tmp_path / "again.png")
    (tmp_path / ".hidden" / "x.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    first, other = load(pictures), load(tmp_path)
    assert other.fingerprint == first.fingerprint
    assert torch.equal(other.test.values, first.test.values)
    picture(99).save(tmp_path / "one_more.png")
    assert load(tmp_path).fingerprint != first.fingerprint
    assert load(pictures, 8, 12).fingerprint != first.fingerprint


def test_sizes_of_one_picture_are_one_picture(tmp_path: Path) -> None:
    for seed in range(12):
        for side in (48, 64, 96):
            picture(seed, side, side).save(tmp_path / f"{seed}_{side}.jpg", quality=90)
    data = load(tmp_path)
    assert data.classes == 12
    train, validation, test = parts(data)
    assert len(train) + len(validation) + len(test) == 12  # each in one


def test_transparent_turned_and_other_modes(tmp_path: Path) -> None:
    write(tmp_path)
    clear = Image.new("RGBA", (SIDE, SIDE), (10, 20, 30, 0))
    clear.save(tmp_path / "clear.png")
    picture(50).convert("P").save(tmp_path / "palette.png")
    picture(51).convert("CMYK").save(tmp_path / "cmyk.jpg")
    picture(52).convert("L").save(tmp_path / "grey.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # a camera on its side
    picture(53, 64, 48).save(tmp_path / "turned.png", exif=turned)
    raw = load_pictures(str(tmp_path), FolderImages(8, 48))
    assert raw.values.shape == (17, 8, 8, 3)
    assert int((raw.values == 255).all((1, 2, 3)).sum()) == 1  # on white
    assert load_pictures(str(tmp_path), FolderImages(8, 48, grey=True)).values.shape[3] == 1


@given(counts=st.lists(st.integers(1, 40), min_size=3, max_size=30))
def test_no_picture_is_in_two_splits(counts: list[int]) -> None:
    numbers = np.repeat(np.arange(len(counts)), counts)
    rows = split_pictures(numbers)
    found = [rows.train.numpy(), rows.validation.numpy(), rows.test.numpy()]
    assert sorted(np.concatenate(found).tolist()) == list(range(len(numbers)))
    seen = [set(numbers[part].tolist()) for part in found]
    assert sum(map(len, seen)) == len(counts)
    assert len(rows.test) >= 0.15 * len(numbers)


def spoil(folder: Path, what: str) -> None:
    """One file that cannot be used, among twelve that can."""
    bad = folder / "bad.png"
    if what == "damaged":
        bad.write_bytes((folder / "00.png").read_bytes()[:200])
    elif what == "empty":
        bad.write_bytes(b"")
    elif what == "another format":
        picture(0).save(bad, format="BMP")
    elif what == "deep":
        Image.fromarray(np.full((SIDE, SIDE), 40_000, dtype=np.uint16)).save(bad)
    elif what == "small":
        picture(0, 48, 7).save(bad)
    elif what == "huge":
        Image.new("1", (20_000, 6_000)).save(bad)
    elif what == "dangling":
        bad.symlink_to(folder / "nowhere.png")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("damaged", r"bad\.png cannot be read as a picture \(.*\); take it out of the folder"),
        ("empty", r"bad\.png cannot be read as a picture \(.*\); take it out of the folder"),
        ("another format", r"bad\.png cannot be read as a picture \(.*\); take it out"),
        ("deep", r"bad\.png cannot be read as a picture \(more than 8 bits a colour; save"),
        ("small", r"bad\.png is 48x7, smaller than the 8 of data\.crop; give at most 7, or take"),
        ("huge", r"bad\.png cannot be read as a picture \(20000x6000 are too many pixels; scale"),
        ("dangling", r"bad\.png cannot be read as a picture \(No such file.*\); take it out"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(what: str, said: str, tmp_path: Path) -> None:
    write(tmp_path)
    spoil(tmp_path, what)
    with pytest.raises(DataError, match=r"^data\.root: .*" + said):
        load(tmp_path)


def test_folders_that_do_not_do_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root: .*absent is no folder; give the one"):
        load(tmp_path / "absent")
    with pytest.raises(DataError, match=r"data\.root: no PNG or JPEG file in .*; give a folder"):
        load(tmp_path)
    write(tmp_path)
    with pytest.raises(DataError, match=r"leave 8 for train; give more pictures, or a data\.crop"):
        load(tmp_path, 8, None)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", count=2)
    with pytest.raises(DataError, match=r"leave none for \w+; give more pictures"):
        load(tmp_path / "empty")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(pictures: Path, tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shutil.copytree(pictures, shut)
    shut.chmod(0)
    with pytest.raises(DataError, match=r"data\.root: .*shut cannot be read \(Permission denied"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "folder"}, "data.root: is not given; give the folder"),
        ({"name": "folder", "root": "x", "size": 14, "crop": 8}, "data.crop: 8 is below data.size"),
        ({"name": "digits", "size": 8, "crop": 8}, "data.crop: 8 has a meaning for a folder"),
        ({"name": "digits", "size": 8, "grey": True}, "data.grey: True has a meaning for a folder"),
        ({"name": "folder", "root": "x", "crop": 0}, "data.crop: 0 is not allowed"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_trial({"data": values})
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
def test_every_preset_takes_a_folder_by_its_path(preset: Preset, tmp_path: Path) -> None:
    write(tmp_path, count=140)
    trial = image_preset(preset, str(tmp_path))
    assert (trial.data.name, trial.data.root) == ("folder", str(tmp_path))
    assert trial.event_shape[0] == 3
    assert trial.evaluation.classifier is None
    if preset == "paper":
        assert "budget.updates" in {one.field for one in deviations(trial)}


def test_a_folder_travels_by_its_fingerprint(pictures: Path, store: Store) -> None:
    config = DataConfig(name="folder", root=str(pictures), size=8, crop=8)
    assert config.folder == str(pictures)
    files = config.files()
    assert files == image_files("folder", str(pictures))
    there = config.reading_from(fetch(stage(files, store), store))
    assert there.load().fingerprint == config.load().fingerprint
    assert there.model_dump() == config.model_dump()


@settings(max_examples=10, deadline=None)
@given(width=st.integers(8, 60), height=st.integers(8, 60), crop=st.integers(8, 60))
def test_any_size_is_cut_or_refused(
    width: int, height: int, crop: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for seed in range(140):
        picture(seed, width, height).save(folder / f"{seed}.png")
    if min(width, height) < crop:
        with pytest.raises(DataError, match=f"is {width}x{height}, smaller than the {crop}"):
            load(folder, 8, crop)
        return
    count = 140 * (width // crop) * (height // crop)
    data = load(folder, 8, crop)
    assert len(data.train) + len(data.validation) + len(data.test) == count
