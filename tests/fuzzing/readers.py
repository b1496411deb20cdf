"""The readers under test: a sound file, how it is damaged, how it is read, what must hold.

A reader returns "read", "refused" or "built again" and checks what it says: of a reading the shape,
type and range, of a refusal that one line names the file or the field.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import pickle
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from hypothesis import strategies as st
from PIL import Image

from raydistill.cluster.design.settings import saved_settings
from raydistill.config.errors import ConfigError
from raydistill.data.images import load_images
from raydistill.data.picture_folder import FolderImages, load_pictures
from raydistill.data.raw import DataError
from raydistill.data.speech_files import DroppedError, read_recording
from raydistill.data.speech_sets import find_recordings
from raydistill.record import Evaluation, Record, RecordError, parse_record
from raydistill.store.assets import Built, Store
from raydistill.store.storage import Storage
from raydistill.tasks.presets import image_preset
from raydistill.tasks.registry import parse_trial_json
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from raydistill.training.job import TrainingState
from tests.fuzzing.damage import damaged_bytes, damaged_json
from tests.training.jobs import JOBS
from tests.voices import sentence


@dataclass(frozen=True)
class Reader:
    """What is damaged, and the check of what comes of it."""

    inputs: st.SearchStrategy[bytes]
    read: Callable[[bytes, Path], str]


def refusal(error: Exception, *names: str) -> str:
    """Check that a message is one line that names what it is about."""
    message = str(error)
    assert message.strip()
    assert "\n" not in message
    assert any(name in message for name in names), message
    return "refused"


def _idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape)
    return header + values.astype(np.uint8).tobytes()


IMAGES, LABELS = np.arange(24 * 784).reshape(24, 28, 28) % 251, np.arange(24) % 10


def read_idx(stem: str) -> Callable[[bytes, Path], str]:
    def read(content: bytes, folder: Path) -> str:
        for part in ("train", "t10k"):
            (folder / f"{part}-images-idx3-ubyte").write_bytes(_idx(IMAGES))
            (folder / f"{part}-labels-idx1-ubyte").write_bytes(_idx(LABELS))
        (folder / stem).write_bytes(content)
        try:
            data = load_images("mnist", 28, str(folder))
        except DataError as error:
            return refusal(error, str(folder))
        values = torch.cat([part.values for part in (data.train, data.validation, data.test)])
        labels = torch.cat([part.labels for part in (data.train, data.validation, data.test)])
        assert values.shape == (48, 1, 28, 28)
        assert 0 <= float(values.min()) <= float(values.max()) <= 255
        assert 0 <= int(labels.min()) <= int(labels.max()) <= 9
        return "read"

    return read


BATCH = np.arange(4 * 3072).reshape(4, 3072).astype(np.uint8)
CIFAR = {
    "": pickle.dumps({b"data": BATCH, b"labels": [0, 1, 2, 9]}, protocol=2),
    ".bin": np.concatenate([np.arange(4, dtype=np.uint8)[:, None], BATCH], axis=1).tobytes(),
}


def read_cifar(suffix: str) -> Callable[[bytes, Path], str]:
    def read(content: bytes, folder: Path) -> str:
        for part in (*(f"data_batch_{index}" for index in range(1, 6)), "test_batch"):
            (folder / f"{part}{suffix}").write_bytes(CIFAR[suffix])
        (folder / f"data_batch_2{suffix}").write_bytes(content)
        try:
            data = load_images("cifar-10", 32, str(folder))
        except DataError as error:
            return refusal(error, str(folder))
        assert len(data.train) + len(data.validation) + len(data.test) == 24
        assert data.image_shape == (3, 32, 32)
        assert data.classes <= 10
        return "read"

    return read


def _picture(form: str) -> bytes:
    buffer = io.BytesIO()
    coarse = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(buffer, format=form)
    return buffer.getvalue()


def read_picture_folder(name: str) -> Callable[[bytes, Path], str]:
    def read(content: bytes, folder: Path) -> str:
        for index in range(3):
            noise = np.random.default_rng(1 + index).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"{index}.png")
        (folder / name).write_bytes(content)
        try:
            raw = load_pictures(str(folder), FolderImages(8, 8))
        except DataError as error:
            return refusal(error, str(folder / name))
        assert raw.values.shape[1:] == (8, 8, 3)
        assert raw.values.dtype == np.uint8
        assert len(raw.values) == len(raw.labels) > 3 * 64
        assert raw.pictures is not None
        return "read"

    return read


def _sound(form: str, subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, sentence(0, 0.5), 8000, format=form, subtype=subtype)
    return buffer.getvalue()


def read_sound(name: str) -> Callable[[bytes, Path], str]:
    def read(content: bytes, folder: Path) -> str:
        (folder / name).write_bytes(content)
        try:
            x = read_recording(folder / name, 8000)
        except DroppedError as error:
            return refusal(error, "")  # the loader puts the file's name before it
        assert x.dtype == np.float32
        assert x.ndim == 1
        assert len(x) % 40 == 0
        assert len(x) >= 2400
        assert np.isfinite(x).all()
        assert 0.0 < np.abs(x).max() <= 1.0
        return "read"

    return read


def read_transcripts(content: bytes, folder: Path) -> str:
    (folder / "hello.wav").write_bytes(b"")
    (folder / "core-sounds-en.txt.gz").write_bytes(content)
    try:
        (one,) = find_recordings("asterisk-en", str(folder)).recordings
    except DataError as error:
        return refusal(error, str(folder), "asterisk-en")
    assert one.name == "hello"
    assert one.text is None or isinstance(one.text, str)
    return "read"


def read_config(content: bytes, folder: Path) -> str:
    try:
        config = parse_trial_json(content)
    except ConfigError as error:
        return refusal(ValueError(str(error).replace("\n", "; ")), ":")  # a line a problem
    assert isinstance(config, TrialConfig)
    assert parse_trial_json(config.to_json()) == config
    return "read"


RECORD = Record(
    "trial_00000",
    "finished",
    {"task": "image", "seed": 1},
    "0123456789abcdef",
    history=(Evaluation(2, "test", {"fd": 1.5}, {"replica": {"fd": (1.0, 2.0)}}),),
    reference={"teacher": {"fd": 1.0}},
    artefacts={"samples": "samples.png"},
    environment={"torch": "2"},
)


def read_record(content: bytes, folder: Path) -> str:
    try:
        record = parse_record(content)
    except RecordError as error:
        return refusal(error, "not a record", "schema_version")
    assert record.status in ("running", "finished", "failed")
    assert record.spent.updates >= 0
    for evaluation in record.history:
        assert all(isinstance(value, float) for value in evaluation.metrics.values())
    assert parse_record(record.to_json()).to_json() == record.to_json()
    return "read"


SETTINGS = json.dumps({"question": "loss_type", "settings": {"preset": "smoke", "seeds": 2}})


def read_settings(content: bytes, folder: Path) -> str:
    try:
        settings = saved_settings(content.decode(errors="replace"), "loss_type")
    except ConfigError as error:
        return refusal(error, "name:", "sweep.json")
    assert isinstance(settings, dict)
    return "read"


TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.int64)}


def _asset_files() -> dict[str, bytes]:
    """Both files of an asset by their paths in the store: the index entry and the blob."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Storage.open(folder))
        store.get_or_build("k", {"n": 1}, lambda work: Built(TENSORS, {"i": 1}))
        files = [*Path(folder).glob("k/*/asset.json"), *Path(folder).glob("blobs/*")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


ASSET = _asset_files()
ENTRY, BLOB = ASSET


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """A thousand warnings of damage say nothing that the table does not."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def read_asset(name: str) -> Callable[[bytes, Path], str]:
    def read(content: bytes, folder: Path) -> str:
        store = Store(Storage.open(folder))
        for file, good in (ASSET | {name: content}).items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(good)
        with _silent("raydistill.store.assets"):
            found = store.get_or_build("k", {"n": 1}, lambda work: Built(TENSORS, {"i": 1}))
        assert found.info == {"i": 1}
        assert found.tensors.keys() == TENSORS.keys()
        for key, value in TENSORS.items():
            assert found.tensors[key].dtype == value.dtype
            assert torch.equal(found.tensors[key], value)
        return "read" if found.found else "built again"

    return read


def _checkpoint() -> bytes:
    job = next(iter(JOBS.values()))()
    optimiser = torch.optim.Adam(job.module.parameters())
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(job, optimiser, TrainingState(updates=7), Storage.open(folder))
        return (Path(folder) / CHECKPOINT).read_bytes()


def read_checkpoint(content: bytes, folder: Path) -> str:
    (folder / CHECKPOINT).write_bytes(content)
    job = next(iter(JOBS.values()))()
    optimiser = torch.optim.Adam(job.module.parameters())
    state = load_checkpoint(job, optimiser, Storage.open(folder), torch.device("cpu"))
    assert state.updates in (0, 7)
    return "read" if state.updates else "built again"


READERS = {
    "IDX images": Reader(damaged_bytes(_idx(IMAGES)), read_idx("train-images-idx3-ubyte")),
    "IDX labels": Reader(damaged_bytes(_idx(LABELS)), read_idx("t10k-labels-idx1-ubyte")),
    "IDX gzipped": Reader(
        damaged_bytes(gzip.compress(_idx(IMAGES))), read_idx("train-images-idx3-ubyte")
    ),
    "CIFAR-10 pickle": Reader(damaged_bytes(CIFAR[""]), read_cifar("")),
    "CIFAR-10 binary": Reader(damaged_bytes(CIFAR[".bin"]), read_cifar(".bin")),
    "PNG of a folder": Reader(damaged_bytes(_picture("PNG")), read_picture_folder("a.png")),
    "JPEG of a folder": Reader(damaged_bytes(_picture("JPEG")), read_picture_folder("a.jpg")),
    "WAV of integers": Reader(damaged_bytes(_sound("WAV", "PCM_16")), read_sound("a.wav")),
    "WAV of floats": Reader(damaged_bytes(_sound("WAV", "FLOAT")), read_sound("a.wav")),
    "FLAC": Reader(damaged_bytes(_sound("FLAC", "PCM_16")), read_sound("a.flac")),
    "transcripts": Reader(damaged_bytes(gzip.compress(b"hello: Hello.\n")), read_transcripts),
    "config.json": Reader(damaged_json(image_preset("smoke", None).to_json()), read_config),
    "record.json": Reader(damaged_json(RECORD.to_json()), read_record),
    "sweep.json": Reader(damaged_json(SETTINGS), read_settings),
    "asset tensors": Reader(damaged_bytes(ASSET[BLOB]), read_asset(BLOB)),
    "asset.json": Reader(damaged_json(ASSET[ENTRY].decode()), read_asset(ENTRY)),
    "checkpoint": Reader(damaged_bytes(_checkpoint()), read_checkpoint),
}
