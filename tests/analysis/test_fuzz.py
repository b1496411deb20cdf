"""Readers of the analysis on damaged files: a correct reading, or a reason; never an exception.

`--hypothesis-show-statistics` prints how many inputs had which outcome.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

from analysis.gaussian import study as gaussian_study
from analysis.gaussian.claims import judge as judge_gaussian
from analysis.gaussian.failure_causes import failure_cause_findings
from analysis.gaussian.tables import correlations, metric_table, teacher_table
from analysis.image.claims import judge as judge_images
from analysis.image.pictures import PictureError, pixels
from analysis.image.tables import summaries
from analysis.parts import PartMaker
from analysis.records import RecordSet, Skipped, load_records
from analysis.report import render
from analysis.table import ranked, to_frame
from analysis.vocoder import study as vocoder_study
from analysis.vocoder.claims import judge as judge_vocoder
from analysis.vocoder.sounds import Wave, read_wave
from analysis.vocoder.tables import costs_of, lines_of, teachers_of
from tests.analysis import gaussian_records, vocoder_records
from tests.analysis.damage import damaged_bytes, damaged_tree
from tests.analysis.page_records import noise_sweep, put


def both_sizes(test: Callable[..., None], many: int, *inputs: st.SearchStrategy[Any]) -> Any:
    """The test on a hundred inputs, and the slow one on many."""
    few = settings(max_examples=100, derandomize=True, deadline=None)(given(*inputs)(test))
    more = settings(max_examples=many, derandomize=True, deadline=None)(given(*inputs)(test))
    return few, pytest.mark.slow(pytest.mark.timeout(3_000)(more))


def picture(mode: str) -> bytes:
    """A PNG file of 24 x 16 pixels."""
    values = np.arange(24 * 16 * 4, dtype=np.uint8).reshape(16, 24, 4)
    image = Image.fromarray(values, "RGBA")
    image = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


PICTURES = [picture(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]


def check_picture(content: bytes) -> None:
    try:
        values = pixels(content)
    except PictureError as error:
        event("refused")
        reason = str(error)
        assert reason
        return
    event("read")
    assert values.ndim == 2 or values.shape[2] == 3
    assert values.size
    assert 0.0 <= values.min() <= values.max() <= 1.0


test_damaged_pictures, test_many_damaged_pictures = both_sizes(
    check_picture, 5_000, st.sampled_from(PICTURES).flatmap(damaged_bytes)
)


@pytest.mark.parametrize("content", PICTURES)
def test_whole_pictures_are_read(content: bytes) -> None:
    assert pixels(content).shape[:2] == (16, 24)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sweeps of a few whole trials."""
    root = tmp_path_factory.mktemp("fuzz")
    put(root, "image", *noise_sweep()[:3])
    made = [vocoder_records.KL, vocoder_records.X]
    vocoder_records.put(root, vocoder_records.over_seeds(*made, seeds=(0,)))
    for index, kind in enumerate(("reverse_kl", "z_reconstruction", "reverse_kl")):
        tree = gaussian_records.config(kind, 4 + 4 * (index // 2), replicas=7)
        item = gaussian_records.trial(index, tree).record
        put(root, "gaussian", replace(item, artefacts={"arrays": "arrays.safetensors"}))
        content = save({name: np.ones((7, 4)) for name in gaussian_study.Arrays.__annotations__})
        (root / "gaussian" / item.trial / "arrays.safetensors").write_bytes(content)
    return root


SWEEPS = ("image", "gaussian", "vocoder")


def evaluate_images(found: RecordSet) -> Iterator[Callable[[], object]]:
    frame = to_frame(found)
    yield partial(ranked, frame)
    yield partial(judge_images, frame)
    yield partial(summaries, frame)


def evaluate_gaussian(found: RecordSet) -> Iterator[Callable[[], object]]:
    study = gaussian_study.read_gaussian_study(found)
    for make in (judge_gaussian, failure_cause_findings, metric_table, teacher_table, correlations):
        yield partial(make, study)


def evaluate_vocoder(found: RecordSet) -> Iterator[Callable[[], object]]:
    study = vocoder_study.read_vocoder_study(found)
    yield partial(judge_vocoder, study)
    yield partial(teachers_of, study)
    for regime in study.regimes.values():
        yield partial(lines_of, regime)
        yield partial(costs_of, regime, study)


EVALUATIONS = {
    "image": evaluate_images,
    "gaussian": evaluate_gaussian,
    "vocoder": evaluate_vocoder,
}


class Damaged:
    """A file of a sweep, damaged for as long as the block lasts."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content = path, content

    def __enter__(self) -> None:
        self.whole = self.path.read_bytes()
        self.path.write_bytes(self.content)

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.whole)


def draw_record(data: st.DataObject, path: Path) -> bytes:
    """A damaged record: as a tree, or byte by byte."""
    content = path.read_bytes()
    if data.draw(st.integers(0, 3)):
        return json.dumps(data.draw(damaged_tree(json.loads(content)))).encode()
    return data.draw(damaged_bytes(content))


def load(folders: Path, name: str, records: int) -> RecordSet | None:
    """The sweep; every file of it has a record or a reason."""
    found = load_records(folders, name)
    assert len(found.records) + len(found.skipped) == records
    assert all(one.reason and "\n" not in str(one) for one in found.skipped)
    return found if found.records else None


def check_record(folders: Path, name: str, data: st.DataObject) -> None:
    paths = sorted((folders / name).glob("trial_*/record.json"))
    with Damaged(paths[-1], draw_record(data, paths[-1])):
        found = load(folders, name, len(paths))
        assert found is not None
        event(f"{name}: {'left out' if found.skipped else 'read'}")
        if not found.skipped:
            for evaluate in EVALUATIONS[name](found):
                evaluate()


test_damaged_records, test_many_damaged_records = both_sizes(
    check_record, 600, st.sampled_from(SWEEPS), st.data()
)


def check_settings(folders: Path, data: st.DataObject) -> None:
    tree = {"settings": {"search": "grid", "axes": [{"noise": [0.0, 0.5]}]}, "name": "image"}
    content = data.draw(
        damaged_tree(tree).map(lambda t: json.dumps(t).encode())
        | damaged_bytes(json.dumps(tree).encode())
    )
    path = folders / "image" / "sweep.json"
    path.touch()
    try:
        with Damaged(path, content):
            found = load_records(folders, "image")
            assert len(found.records) == 3
            assert isinstance(found.sweeps[0].search, str)
            event("left out" if found.skipped else "read")
            assert len(found.skipped) <= 1
    finally:
        path.unlink()


test_damaged_settings, test_many_damaged_settings = both_sizes(check_settings, 3_000, st.data())


def check_arrays(folders: Path, name: str, data: st.DataObject) -> None:
    (path, *_) = sorted((folders / name).glob("trial_*/arrays.safetensors"))
    with Damaged(path, data.draw(damaged_bytes(path.read_bytes()))):
        found = load_records(folders, name)
        read = gaussian_study.read_gaussian_study if name == "gaussian" else None
        study = read(found) if read else vocoder_study.read_vocoder_study(found)
        event(f"{name}: {'left out' if study.unreadable else 'read'}")
        assert len(study.unreadable) <= 1
        assert all("\n" not in str(one) for one in study.unreadable)
        if isinstance(study, vocoder_study.VocoderStudy):
            judge_vocoder(study)
        else:
            teacher_table(study)


test_damaged_arrays, test_many_damaged_arrays = both_sizes(
    check_arrays, 300, st.sampled_from(("gaussian", "vocoder")), st.data()
)


def check_sound(folders: Path, content: bytes) -> None:
    item = load_records(folders, "vocoder").records[0]
    path = folders / "vocoder" / item.record.trial / item.record.artefacts["natural_0_wav"]
    with Damaged(path, content):
        wave = read_wave(item, "natural_0_wav")
    event(type(wave).__name__)
    if isinstance(wave, Skipped):
        assert "\n" not in str(wave)
    else:
        assert isinstance(wave, Wave)
        assert wave.rate > 0
        assert math.isfinite(float(np.abs(wave.samples).max()))


test_damaged_sounds, test_many_damaged_sounds = both_sizes(
    check_sound, 3_000, damaged_bytes(vocoder_records.tone(0.05))
)


@pytest.mark.slow
@settings(max_examples=12, derandomize=True, deadline=None)
@given(st.sampled_from(SWEEPS), st.data())
def test_pages_with_a_damaged_record(folders: Path, name: str, data: st.DataObject) -> None:
    paths = sorted((folders / name).glob("trial_*/record.json"))
    with Damaged(paths[-1], draw_record(data, paths[-1])):
        rendered = render(load_records(folders, name))
    assert "could not be made" not in " ".join(rendered.problems)
    event("whole" if not rendered.problems else "with something left out")


def test_a_part_that_fails_is_named_and_costs_no_other() -> None:
    parts = PartMaker()
    assert parts.make("one", lambda: [1], []) == [1]
    assert parts.make("two", lambda: [1 // 0], []) == []
    (failed,) = parts.failed
    assert str(failed).startswith("two could not be made: ZeroDivisionError: ")
