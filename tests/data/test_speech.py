"""Whole speech data sets: folders with every kind of bad file, LJSpeech, caches, kills."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.datasets import LJSPEECH

from raydistill.data import speech_sets
from raydistill.data.raw import DataError
from raydistill.data.speech import SpeechConfig, SpeechData, Utterance
from raydistill.store.storage import Storage
from tests.voices import SPLITS as VOICES
from tests.voices import sentence, write_voices

SPLITS = ("train", "validation", "test")
COUNT = sum(VOICES.values())


class Seen:
    """What a loader says of its progress."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.steps: list[tuple[int, int]] = []
        self.stop_at = stop_at

    def __call__(self, done: int, total: int) -> None:
        self.steps.append((done, total))
        if self.stop_at is not None and done >= self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few short sentences with their words."""
    return write_voices(tmp_path_factory.mktemp("voices"), 0.45)


@pytest.fixture(scope="module")
def loaded(voices: Path) -> SpeechData:
    return folder(voices).load()


def folder(root: Path, **changes: object) -> SpeechConfig:
    return SpeechConfig.model_validate({"name": "folder", "root": str(root), **changes})


def utterances(data: SpeechData) -> dict[str, Utterance]:
    found = (one for split in SPLITS for one in getattr(data, split))
    return {one.name: one for one in found}


def assert_same_bits(one: SpeechData, other: SpeechData) -> None:
    assert one.fingerprint == other.fingerprint
    for split in SPLITS:
        for a, b in zip(getattr(one, split), getattr(other, split), strict=True):
            assert (a.name, a.text, a.speaker) == (b.name, b.text, b.speaker)
            assert torch.equal(a.x, b.x)
            assert torch.equal(a.features, b.features)


def test_a_folder_is_read_whole(voices: Path, loaded: SpeechData) -> None:
    found = utterances(loaded)
    assert sorted(found) == [path.name for path in sorted(voices.glob("*.wav"))]
    config = folder(voices)
    assert (loaded.rate, loaded.hop, loaded.features) == (8000, 40, 27)
    assert (config.hop, config.features) == (40, 27)
    for one in found.values():
        assert one.x.dtype == one.features.dtype == torch.float32
        assert one.features.shape == (len(one.x) // 40, 27)
        assert len(one.x) == len(one.features) * 40
        assert float(one.x.abs().max()) <= 1.0
        assert one.text == (voices / one.name).with_suffix(".txt").read_text()
        assert one.speaker == "speaker"
        assert 0.3 < float(one.features[:, 0].mean()) <= 1.0
    assert loaded.dropped == ()
    assert all(getattr(loaded, split) for split in SPLITS)
    assert loaded.summary().startswith("speech: train ")
    assert "\n" not in loaded.summary()


def test_bad_files_are_named_and_the_rest_goes_on(voices: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(voices, tmp_path / "voices"))
    voice = sentence(0, 0.6)
    soundfile.write(root / "stereo.wav", np.stack([voice, voice], 1), 8000)
    soundfile.write(root / "low.wav", voice, 4000)
    soundfile.write(root / "silent.flac", np.zeros(8000), 8000)
    soundfile.write(root / "empty.wav", np.zeros(0), 8000)
    soundfile.write(root / "clipped.wav", np.clip(30.0 * voice, -1.0, 1.0), 8000)
    soundfile.write(root / "beep.wav", 0.3 * np.sin(np.arange(4000)), 8000)
    (root / "text.wav").write_text("no sound")
    (root / "cut.wav").write_bytes((root / "voice_000.wav").read_bytes()[:4000])
    (root / "notes.pdf").write_bytes(b"%PDF")
    shutil.copy(root / "voice_003.wav", root / "zz_copy.wav")  # without its words
    (root / "other").mkdir()
    soundfile.write(root / "other" / "high.FLAC", sentence(99, 0.6, 16_000), 16_000)
    data = folder(root).load()
    reasons = {dropped.name: dropped.reason for dropped in data.dropped}
    assert sorted(reasons) == [
        "beep.wav",
        "clipped.wav",
        "cut.wav",
        "empty.wav",
        "low.wav",
        "notes.pdf",
        "silent.flac",
        "stereo.wav",
        "text.wav",
        "zz_copy.wav",
    ]
    assert reasons["stereo.wav"] == "has 2 channels, not one"
    assert reasons["notes.pdf"] == "no WAV or FLAC file"
    assert reasons["zz_copy.wav"] == "the same samples as another file"
    found = utterances(data)
    assert len(found) == COUNT + 1
    assert found["other/high.FLAC"].speaker == "other"
    assert found["other/high.FLAC"].text is None
    first, second = data.summary().split("\n")
    assert first.endswith("recordings")
    assert second.startswith("dropped 10: ")
    assert "for example beep.wav, clipped.wav" in second


def test_a_folder_in_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data.root: no WAV or FLAC file of speech in .*give a"):
        folder(tmp_path).load()
    for index in range(4):
        soundfile.write(tmp_path / f"{index}.wav", np.zeros(8000), 8000)
    with pytest.raises(DataError, match=r"no usable .*\(4 dropped: 0.wav: silent; .*least three"):
        folder(tmp_path).load()
    with pytest.raises(DataError, match="is no folder"):
        folder(tmp_path / "absent").check()


def test_bad_configurations_are_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'polish' is unknown; choose one of asterisk-en, "):
        SpeechConfig(name="polish")
    with pytest.raises(ValueError, match=r"22050 Hz has no whole number .* multiple of 200"):
        SpeechConfig(rate=22_050)
    with pytest.raises(DataError, match=r"'folder' needs a folder; give data\.root"):
        SpeechConfig(name="folder").check()
    with pytest.raises(DataError, match=r"apt install asterisk-core-sounds-it-wav asterisk-core"):
        SpeechConfig(name="asterisk-it", root=str(tmp_path / "absent")).check()
    with pytest.raises(DataError, match=r"metadata\.csv in .*; give the folder of LJSpeech"):
        SpeechConfig(name="ljspeech", root=str(tmp_path)).check()


def test_debian_speech_without_words_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "activated.wav", sentence(0, 0.5), 8000)
    monkeypatch.setattr(speech_sets, "DOCS", tmp_path / "doc")
    with pytest.raises(
        DataError, match=r"no transcripts in .*; apt install asterisk-core-sounds-es,"
    ):
        SpeechConfig(name="asterisk-es", root=str(tmp_path)).check()


@pytest.mark.parametrize("zipped", [True, False])
def test_transcripts_are_read_zipped_or_not_and_refused_when_damaged(
    tmp_path: Path, zipped: bool
) -> None:
    soundfile.write(tmp_path / "activated.wav", sentence(0, 0.5), 8000)
    table, text = tmp_path / "core-sounds-es.txt.gz", b"; a comment\nactivated: activado\n"
    table.write_bytes(gzip.compress(text) if zipped else text)
    (one,) = speech_sets.find_recordings("asterisk-es", str(tmp_path)).recordings
    assert one.text == "activado"
    table.write_bytes(gzip.compress(text)[:-9])
    with pytest.raises(DataError, match=r"^data\.root: the transcripts .*core-sounds-es\.txt\.gz"):
        SpeechConfig(name="asterisk-es", root=str(tmp_path)).check()


def test_a_name_that_is_no_text_is_dropped(voices: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(voices, tmp_path / "voices"))
    with open(os.fsencode(root) + b"/caf\xe9.wav", "wb") as stream:
        stream.write((root / "voice_003.wav").read_bytes())
    (dropped,) = folder(root).load().dropped
    assert dropped.name == "caf\\xe9.wav"
    assert dropped.reason == "its name is not UTF-8; rename it"


def test_a_sentence_that_is_listed_twice_is_read_once(tmp_path: Path) -> None:
    rows = "\ufeffLJ001-0001|One|One\nLJ001-0001|Two|Two\nLJ001-0002|Three|Three\n"
    (tmp_path / "metadata.csv").write_text(rows, encoding="utf-8")
    listing = speech_sets.find_recordings("ljspeech", str(tmp_path))
    assert [one.text for one in listing.recordings] == ["One", "Three"]
    assert [(one.name, one.reason) for one in listing.dropped] == [
        ("LJ001-0001", "named twice in metadata.csv")
    ]


def test_a_folder_that_cannot_be_looked_at_is_refused() -> None:
    with pytest.raises(DataError, match=r"^data\.root: .* cannot be read \(File name too long\)"):
        SpeechConfig(name="folder", root="x" * 5000).check()


def test_ljspeech_is_read_as_torchaudio_lays_it_out(tmp_path: Path) -> None:
    home = tmp_path / "LJSpeech-1.1"
    (home / "wavs").mkdir(parents=True)
    names = [f"LJ001-{index:04}" for index in range(4)]
    rows = [f"{name}|Dr. {index}|Doctor {index}" for index, name in enumerate(names)]
    (home / "metadata.csv").write_text("\n".join([*rows, "LJ001-9999|Gone|Gone"]))
    for index, name in enumerate(names):
        soundfile.write(home / "wavs" / f"{name}.wav", sentence(index, 0.5, 22_050), 22_050)
    assert len(LJSPEECH(tmp_path)) == 5  # the layout is the one that torchaudio reads
    for root in (tmp_path, home):
        data = SpeechConfig(name="ljspeech", root=str(root)).load()
        found = utterances(data)
        assert {name: one.text for name, one in found.items()} == {
            name: f"Doctor {index}" for index, name in enumerate(names)
        }
        assert [one.name for one in data.dropped] == ["LJ001-9999"]
        assert all(len(one.x) / 8000 == pytest.approx(0.9, abs=0.5) for one in found.values())


def test_cache_gives_the_same_bits_without_analysing(
    voices: Path, loaded: SpeechData, tmp_path: Path
) -> None:
    cache, first, second = Storage.open(tmp_path / "cache"), Seen(), Seen()
    assert_same_bits(folder(voices).load(cache, first), loaded)
    assert first.steps[0] == (0, COUNT)
    assert first.steps[-1] == (COUNT, COUNT)
    assert first.steps == sorted(first.steps)
    moved = shutil.copytree(voices, tmp_path / "moved")  # what counts is the content
    assert_same_bits(folder(Path(moved)).load(cache, second), loaded)
    assert second.steps == []


def test_one_changed_recording_costs_little(
    voices: Path, loaded: SpeechData, tmp_path: Path
) -> None:
    root, cache = Path(shutil.copytree(voices, tmp_path / "voices")), Storage.open(tmp_path / "c")
    folder(root).load(cache)
    x, rate = soundfile.read(root / "voice_005.wav")
    soundfile.write(root / "voice_005.wav", 0.5 * x, rate)
    seen = Seen()
    changed = folder(root).load(cache, seen)
    assert seen.steps[0][0] >= COUNT - 3  # its bucket alone
    assert changed.fingerprint != loaded.fingerprint
    before, after = utterances(loaded), utterances(changed)
    same = [name for name in after if torch.equal(before[name].features, after[name].features)]
    assert sorted(set(after) - set(same)) == ["voice_005.wav"]


def test_damaged_cache_is_built_again(voices: Path, loaded: SpeechData, tmp_path: Path) -> None:
    cache = Storage.open(tmp_path / "cache")
    folder(voices).load(cache)
    files = sorted((tmp_path / "cache").rglob("*.safetensors"))
    files[0].write_bytes(files[0].read_bytes()[:-8])
    seen = Seen()
    assert_same_bits(folder(voices).load(cache, seen), loaded)
    assert 0 < seen.steps[0][0] < COUNT


def test_interrupted_analysis_goes_on(voices: Path, loaded: SpeechData, tmp_path: Path) -> None:
    cache, seen = Storage.open(tmp_path / "cache"), Seen()
    with pytest.raises(KeyboardInterrupt):
        folder(voices).load(cache, Seen(stop_at=3))
    assert_same_bits(folder(voices).load(cache, seen), loaded)
    assert not seen.steps or seen.steps[0][0] >= 3


def test_seconds_keeps_a_part_of_the_same_splits(voices: Path, loaded: SpeechData) -> None:
    part = folder(voices, seconds=2.0).load()
    again = folder(voices, seconds=2.0).load()
    assert_same_bits(part, again)
    assert sum(len(one.x) for one in part.train) <= 16_000
    assert 0 < len(part.train) < len(loaded.train)
    assert part.fingerprint != loaded.fingerprint
    whole = utterances(loaded)
    for name, one in utterances(part).items():
        assert torch.equal(one.features, whole[name].features)


LOAD = """
import sys
from raydistill.data.speech import SpeechConfig
from raydistill.store.storage import Storage

SpeechConfig(name="folder", root=sys.argv[1]).load(
    Storage.open(sys.argv[2]), lambda done, total: print(done, total, flush=True)
)
"""


@pytest.mark.slow
def test_killed_analysis_goes_on(tmp_path: Path) -> None:
    # A script without a main guard, from standard input: no process of its own is needed.
    root = tmp_path / "voices"
    root.mkdir()
    for index in range(24):
        soundfile.write(root / f"{index}.wav", sentence(index, 1.0), 8000)
    command = [sys.executable, "-", str(root), str(tmp_path / "cache")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LOAD)
        process.stdin.close()
        done = 0
        while done < 4:
            done = int(process.stdout.readline().split()[0])
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    seen = Seen()
    data = folder(root).load(Storage.open(tmp_path / "cache"), seen)
    assert done <= seen.steps[0][0] < 24
    assert_same_bits(data, folder(root).load())
