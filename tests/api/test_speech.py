"""Students and teachers of speech: given features, a recording, or sentences of the data."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import raydistill as rd
from raydistill.data.world import analyse
from raydistill.store.assets import Store
from raydistill.tasks.vocoder.config import VocoderTrial
from raydistill.tasks.vocoder.task import VocoderTask
from raydistill.trials.weights import WEIGHTS
from tests.voices import sentence, small_trial, write_voices


@dataclass(frozen=True)
class Spoken:
    """A finished vocoder trial with the folder of its voices."""

    distilled: rd.Distilled
    voices: Path


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory, storage: Path) -> Spoken:
    # Of another length than other tests' voices: a teacher that one of them had trained would take
    # its data from that test's folder.
    voices = write_voices(tmp_path_factory.mktemp("front") / "voices", 1.25)
    objective = {"kind": "x_reconstruction", "l1_weight": 1.0, "noise_level": 0.5}
    config = rd.parse_trial(small_trial(voices) | {"objective": objective})
    distilled = rd.distill(config, storage=storage, name="front/speech")
    return Spoken(distilled, voices)


def sounds(found: object) -> list[rd.Sound]:
    assert isinstance(found, list)
    assert all(isinstance(one, rd.Sound) for one in found)
    return found


def test_samples_are_those_of_the_trial_s_own_task(spoken: Spoken, store: Store) -> None:
    student = spoken.distilled.student
    assert isinstance(student.config, VocoderTrial)
    task = VocoderTask(student.config, store, torch.device("cpu"))
    judged = task.evaluation.sentences("test")[0]
    own = task.build_student(student.config).eval()
    own.load_state_dict(student.module.state_dict())
    expected = task.evaluation.sample(own, judged)  # type: ignore[arg-type]
    (made,) = sounds(student.decode([judged.z[0]], features=judged.raw))
    assert made.rate == 8000
    assert torch.equal(made.samples, expected)
    teacher = rd.load_teacher(store.storage.uri.removesuffix("/store"), student.teacher_key)
    (drawn,) = sounds(teacher.decode([judged.z[0]], features=judged.raw))
    assert torch.equal(drawn.samples, task.evaluation.teacher_sample(judged))
    (code,) = teacher.encode([drawn], features=judged.raw)
    torch.testing.assert_close(code, judged.z[0], rtol=0.0, atol=1e-3)
    nats = teacher.log_prob([drawn], features=judged.raw)
    spread = task.corpus.scale.spread
    given = task.teacher.given(judged.features)
    own_nats = given.log_prob(drawn.samples[None] / spread) - len(code) * np.log(spread)
    torch.testing.assert_close(nats, own_nats)


def test_a_recording_a_sound_and_features_are_ways_to_condition(
    spoken: Spoken, tmp_path: Path
) -> None:
    student = spoken.distilled.student
    x = sentence(77).astype(np.float32)
    soundfile.write(tmp_path / "own.wav", x, 8000, subtype="FLOAT")
    first = sounds(student.sample(2, seed=3, recording=tmp_path / "own.wav"))
    second = sounds(student.sample(2, seed=3, recording=rd.Sound(torch.from_numpy(x), 8000)))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.samples, other.samples)
        assert one.rate == 8000
        assert len(one.samples) % 40 == 0
    assert not torch.equal(first[0].samples, first[1].samples)  # other noise, the same words
    features = analyse(x.astype(np.float64), 8000)
    made = sounds(student.sample(1, features=features))
    assert len(made[0].samples) == 40 * len(features)
    scaled = sounds(student.sample(1, features=features, scale=student.matched_scale))
    assert not torch.equal(made[0].samples, scaled[0].samples)


def test_without_conditioning_sentences_of_the_test_split_are_spoken(spoken: Spoken) -> None:
    student = spoken.distilled.student
    first, again = sounds(student.sample(3, seed=1)), sounds(student.sample(3, seed=1))
    assert [len(one.samples) for one in first] == [len(one.samples) for one in again]
    assert all(torch.equal(a.samples, b.samples) for a, b in zip(first, again, strict=True))
    # The split has two: the third is the first one's words with other noise.
    assert len(first[2].samples) == len(first[0].samples)
    assert not torch.equal(first[2].samples, first[0].samples)


def test_loading_and_sampling_need_no_data_set(spoken: Spoken, storage: Path) -> None:
    away = spoken.voices.with_name("away")
    spoken.voices.rename(away)
    try:
        student = rd.load_student(spoken.distilled.folder.uri)
        teacher = rd.load_teacher(storage, student.teacher_key)
        for model in (student, teacher):
            (made,) = sounds(model.sample(1, features=torch.zeros(30, 27)))
            assert made.samples.shape == (1200,)
            with pytest.raises(rd.DataError, match=r"^features: none are given, .* recording="):
                model.sample(1)
        folder = spoken.distilled.folder.local_path
        assert folder is not None
        old = folder.with_name("old")
        shutil.copytree(folder, old)
        (old / WEIGHTS).unlink()
        with pytest.raises(rd.DataError, match="voices"):
            rd.load_student(old)
    finally:
        away.rename(spoken.voices)
    rebuilt = rd.load_student(old)
    assert rebuilt.space == spoken.distilled.student.space


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": torch.zeros(30, 26)}, r"^features: shape \(30, 26\) does not fit 8000 Hz"),
        ({"features": torch.full((3, 27), torch.nan)}, "^features: hold values that are not"),
        ({"features": [torch.zeros(3, 27)] * 3}, "^features: 3 are given for 2 sounds"),
        ({"recording": "no/such.wav"}, "^recording: no file 'no/such.wav'"),
        ({"recording": rd.Sound(torch.zeros(8000), 8000)}, "^recording: silent"),
        ({"recording": rd.Sound(torch.zeros(2, 8000), 8000)}, "^recording: .* not mono"),
        ({"recording": "a.wav", "features": torch.zeros(3, 27)}, "^features: a recording is given"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_conditioning_that_does_not_fit_is_refused(
    arguments: dict[str, object], message: str, spoken: Spoken
) -> None:
    with pytest.raises(ValueError, match=message):
        spoken.distilled.student.sample(2, **arguments)  # type: ignore[arg-type]
