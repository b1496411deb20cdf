"""A data set that one machine has and another reads, by way of a store."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from raydistill.data import staging
from raydistill.data.files import DataFile
from raydistill.data.images import load_images
from raydistill.data.raw import DataError
from raydistill.data.sources import image_files
from raydistill.data.speech_sets import SOUNDS, find_recordings, speech_files
from raydistill.data.staging import fetch, stage
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from tests.voices import write_voices


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Storage.open(tmp_path / "store"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's cache of its own for each test."""
    staging._fetched.cache_clear()
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_idx(folder: Path, count: int = 80) -> None:
    """A small data set in the form of MNIST."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, seen in (("train", count), ("t10k", 20)):
        images = random.integers(0, 256, (seen, 28, 28), dtype=np.uint8)
        labels = np.arange(seen, dtype=np.uint8) % 10
        header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = bytes([0, 0, 8, 1]) + struct.pack(">I", seen)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(header + labels.tobytes())


def write_speech(folder: Path) -> None:
    """Recordings of two speakers, a transcript, an empty one, and files that are no speech."""
    random = np.random.default_rng(0)
    for name in ("ann/one.wav", "ann/two.flac", "bob/three.wav"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, random.uniform(-0.5, 0.5, 8000), 8000)
    (folder / "ann/one.txt").write_text("said by Ann")
    (folder / "ann/two.txt").write_text("")
    (folder / "bob/photograph.jpg").write_bytes(bytes(5_000_000))
    with open(os.fsencode(folder) + b"/bob/caf\xe9.wav", "wb") as file:
        file.write(b"no sound")


def test_images_arrive_as_they_were(tmp_path: Path, store: Store) -> None:
    write_idx(tmp_path / "mine")
    fingerprint = stage(image_files("mnist", str(tmp_path / "mine")), store)
    here = load_images("mnist", 14, str(tmp_path / "mine"))
    shutil.rmtree(tmp_path / "mine")
    there = load_images("mnist", 14, fetch(fingerprint, store))
    assert there.fingerprint == here.fingerprint
    assert (there.train.values == here.train.values).all()


def test_recordings_arrive_as_they_were(tmp_path: Path, store: Store) -> None:
    mine = tmp_path / "mine"
    write_speech(mine)
    files = speech_files("folder", str(mine))
    there = Path(fetch(stage(files, store), store))
    here, found = find_recordings("folder", str(mine)), find_recordings("folder", str(there))
    assert [(r.name, r.text, r.speaker) for r in found.recordings] == [
        (r.name, r.text, r.speaker) for r in here.recordings
    ]
    assert found.dropped == here.dropped
    for recording in here.recordings:
        assert (there / recording.name).read_bytes() == recording.path.read_bytes()
    # What is no speech is known by its name alone.
    assert (there / "bob/photograph.jpg").stat().st_size == 0


@pytest.mark.skipif(not (SOUNDS / "en_US_f_Allison").is_dir(), reason="needs Debian's package")
def test_transcripts_of_a_debian_package_travel_beside_its_recordings(store: Store) -> None:
    there = fetch(stage(speech_files("asterisk-en", None), store), store)
    here, found = find_recordings("asterisk-en", None), find_recordings("asterisk-en", there)
    assert [(r.name, r.text) for r in found.recordings] == [
        (r.name, r.text) for r in here.recordings
    ]
    assert len(found.dropped) == len(here.dropped)


def test_the_layout_of_ljspeech_travels(tmp_path: Path, store: Store) -> None:
    mine = tmp_path / "LJSpeech-1.1"
    (mine / "wavs").mkdir(parents=True)
    soundfile.write(mine / "wavs/LJ001-0001.wav", np.zeros(8000), 8000)
    (mine / "metadata.csv").write_text("LJ001-0001|Printing|Printing\nLJ001-0002|absent|absent\n")
    there = fetch(stage(speech_files("ljspeech", str(tmp_path)), store), store)
    (one, two) = find_recordings("ljspeech", there).recordings
    assert (one.text, one.path.is_file(), two.path.is_file()) == ("Printing", True, False)


def test_sets_that_come_with_packages_need_no_files() -> None:
    for name in ("digits", "mnist-sample", "photographs"):
        assert image_files(name, None) == ()


def test_a_set_is_staged_once_and_its_packs_hold_many_files(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "PACK_BYTES", 25_000)
    write_speech(tmp_path / "mine")
    files = speech_files("folder", str(tmp_path / "mine"))
    first = stage(files, store)
    assert len(store.storage.child(staging.PACK_KIND).names()) == 3
    assert store.storage.local_path is not None
    before = {p: p.stat().st_mtime_ns for p in store.storage.local_path.rglob("*.*")}
    assert stage(tuple(reversed(files)), store) == first
    assert {p: p.stat().st_mtime_ns for p in store.storage.local_path.rglob("*.*")} == before
    assert len(find_recordings("folder", fetch(first, store)).recordings) == 3


def test_a_copy_that_was_damaged_is_fetched_again(tmp_path: Path, store: Store) -> None:
    write_idx(tmp_path / "mine")
    fingerprint = stage(image_files("mnist", str(tmp_path / "mine")), store)
    copy = Path(fetch(fingerprint, store)) / "train-images-idx3-ubyte"
    whole = copy.read_bytes()
    copy.write_bytes(whole[:-1] + b"\x00")
    staging._fetched.cache_clear()  # as in a new process
    assert Path(fetch(fingerprint, store)) == copy.parent
    assert copy.read_bytes() == whole


def test_what_the_store_lost_is_said_and_staged_again(tmp_path: Path, store: Store) -> None:
    write_idx(tmp_path / "mine")
    files = image_files("mnist", str(tmp_path / "mine"))
    fingerprint = stage(files, store)
    (pack,) = store.storage.child(staging.PACK_KIND).names()
    store.storage.child(staging.PACK_KIND, pack).delete()
    for lost in ("train-images", "is not in the store"):
        with pytest.raises(DataError, match=r"data\.root: ") as refused:
            fetch(fingerprint, store)
        assert lost in str(refused.value)
        assert "--resume on the machine that has the files" in str(refused.value)
    assert stage(files, store) == fingerprint
    load_images("mnist", 28, fetch(fingerprint, store))


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", ""])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, store: Store, name: str) -> None:
    (tmp_path / "file").write_text("evil")
    fingerprint = stage((DataFile(name, tmp_path / "file"),), store)
    with pytest.raises(DataError, match="not in the store"):
        fetch(fingerprint, store)


def test_a_file_that_cannot_be_read_is_a_refusal(tmp_path: Path, store: Store) -> None:
    with pytest.raises(DataError, match=r"data\.root: .*gone cannot be read"):
        stage((DataFile("gone", tmp_path / "gone"),), store)


READ = """
import sys
from raydistill.data.images import load_images
from raydistill.data.speech import SpeechConfig
from raydistill.data.staging import fetch
from raydistill.store.assets import Store
from raydistill.store.storage import Storage

def read(kind, folder):
    if kind == "images":
        return load_images("mnist", 14, folder).fingerprint
    return SpeechConfig(name="folder", root=folder).load().fingerprint
"""
OTHER_MACHINE = f"""
{READ}
folder = fetch(sys.argv[2], Store(Storage.open(sys.argv[1])))
print(folder, read(sys.argv[3], folder))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "cache"),
    [("images", "writable"), ("speech", "writable"), ("speech", "a file"), ("images", "nowhere"),
     ("images", "off")],
)  # fmt: skip
def test_another_process_with_a_home_of_its_own(
    tmp_path: Path, store: Store, kind: str, cache: str
) -> None:
    mine = tmp_path / "mine"
    if kind == "images":
        write_idx(mine)
        files = image_files("mnist", str(mine))
    else:
        write_voices(mine, 0.45)
        files = speech_files("folder", str(mine))
    fingerprint = stage(files, store)
    scope: dict[str, Any] = {}
    exec(READ, scope)
    here = scope["read"](kind, str(mine))
    shutil.rmtree(mine)
    (tmp_path / "file").write_text("")
    (home := tmp_path / "home").mkdir()
    changes = {"HOME": str(home), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    changes |= {
        "writable": {},
        "a file": {"RAYDISTILL_CACHE": str(tmp_path / "file")},
        "off": {"RAYDISTILL_CACHE_GB": "0"},
        "nowhere": {"RAYDISTILL_CACHE": "/proc/none", "TMPDIR": str(home)},
    }[cache]
    environment = {k: v for k, v in os.environ.items() if k not in ("RAYDISTILL_CACHE", "TMPDIR")}
    command = [sys.executable, "-c", OTHER_MACHINE, store.storage.uri, fingerprint, kind]
    finished = subprocess.run(
        command, env=environment | changes, capture_output=True, text=True, cwd=home, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    folder, there = finished.stdout.split()
    assert there == here
    kept = Path(folder)
    assert kept.is_relative_to(home) == (cache in ("writable", "nowhere"))
    assert kept.exists() == (cache == "writable")
    assert ("give RAYDISTILL_CACHE" in finished.stderr) == (cache in ("a file", "nowhere"))


def test_where_nothing_can_be_written_it_is_said(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path / "mine")
    fingerprint = stage(image_files("mnist", str(tmp_path / "mine")), store)
    monkeypatch.setenv("RAYDISTILL_CACHE", "/proc/none")
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    with pytest.raises(DataError, match=r"RAYDISTILL_CACHE: neither /proc/none nor .* give a"):
        fetch(fingerprint, store)


def test_a_listing_is_what_the_fingerprint_says(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_text("content")
    fingerprint = stage((DataFile("file", tmp_path / "file"),), store)
    (index,) = (store.storage.local_path or Path()).glob(f"{staging.KIND}/*/*.json")
    entry = json.loads(index.read_text())
    entry["info"]["packs"][0][0][0] = "other"
    index.write_text(json.dumps(entry))
    with pytest.raises(DataError, match="not in the store"):
        fetch(fingerprint, store)
