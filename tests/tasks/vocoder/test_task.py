"""The vocoder task on made-up voices: streams, codes of whole utterances, students, sounds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import soundfile
import torch

from raydistill.config.errors import ConfigError
from raydistill.data.raw import DataError
from raydistill.media.sounds import Sound, wav
from raydistill.objectives import Batch
from raydistill.record import Record
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial
from raydistill.tasks.vocoder.config import VocoderTrial
from raydistill.tasks.vocoder.corpus import cut_samples
from raydistill.tasks.vocoder.floors import FloorsPart
from raydistill.tasks.vocoder.task import VocoderTask
from raydistill.tasks.vocoder.teacher import Streams, encode_utterance
from tests.helpers import merge
from tests.trials.runs import interrupt, results, run
from tests.voices import small_trial, write_voices

ARMS: list[dict[str, Any]] = [
    {"objective": {"kind": "x_reconstruction", "l1_weight": 1.0, "noise_level": 0.5}},
    {"objective": {"kind": "oracle", "l1_weight": 0.5}, "power": {"weight": 1.0}},
    {"objective": {"kind": "z_reconstruction", "l1_weight": 1.0}},
    {"objective": {"kind": "reverse_kl", "estimator": "per_step"}, "power": {"weight": 1.0}},
    {"objective": {"kind": "reverse_kl"}},
]


@pytest.fixture(scope="session")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A small trial on a folder of voices."""
    return small_trial(write_voices(tmp_path_factory.mktemp("voices") / "voices"))


@pytest.fixture(scope="session")
def task(values: dict[str, Any], store: Store) -> VocoderTask:
    config = parse_trial(values)
    assert isinstance(config, VocoderTrial)
    return VocoderTask(config, store, torch.device("cpu"))


def trial(values: dict[str, Any], arm: dict[str, Any]) -> VocoderTrial:
    config = parse_trial(merge(values, {"objective": None}) | arm)
    assert isinstance(config, VocoderTrial)
    return config


def test_samples_and_features_are_standardised_by_the_training_split(task: VocoderTask) -> None:
    train = task.corpus.train
    assert float(train.x.std()) == pytest.approx(1.0, abs=1e-3)
    assert float(train.features.mean(0).abs().max()) < 1e-3
    assert len(train.x) == len(train.features) * train.hop
    splits = ("train", "validation", "test")
    names = [u.name for split in splits for u in task.corpus.utterances(split)]
    assert len(names) == len(set(names)) == 10


def test_streams_hear_every_utterance_in_whole_windows(task: VocoderTask) -> None:
    sequences, frames = task.corpus.train, 15
    streams = Streams(sequences, frames, count=3, seed=0)
    epoch = int((sequences.frames // frames).sum())
    starts = sequences.starts.tolist()
    before: list[int | None] = [None] * 3
    heard: list[set[int]] = [set() for _ in range(3)]
    for update in range(epoch):
        first, fresh = streams.at(update)
        for stream, (at, new) in enumerate(zip(first.tolist(), fresh.tolist(), strict=True)):
            utterance = sum(start <= at for start in starts) - 1
            assert starts[utterance] <= at
            assert at + frames <= starts[utterance + 1]
            if not new:
                # It follows what the stream heard last, in the same utterance.
                assert at == before[stream]
            before[stream] = at + frames
            heard[stream].add(utterance)
    assert all(found == set(range(len(sequences))) for found in heard)
    assert not torch.equal(streams.at(0)[0], streams.at(epoch)[0])


def test_data_pairs_are_windows_of_codes_of_whole_utterances(
    task: VocoderTask, values: dict[str, Any]
) -> None:
    batch = task.draw(trial(values, ARMS[0]))(0, slice(0, 2))
    assert batch.x is not None
    pairs = task._pairs_of("data pairs")
    sequences = task.corpus.train
    index = 2
    samples = sequences.samples_of(index)
    coded = encode_utterance(task.teacher, pairs.x[0, samples], sequences.features_of(index))
    assert torch.equal(coded.z, pairs.z[0, samples])
    assert batch.context == 400
    assert batch.z.shape == batch.x.shape == (2, 1200)
    assert batch.conditioning is not None
    assert batch.conditioning.shape == (2, 30, task.config.data.features)
    position = (pairs.x[0].unfold(0, 1200, 40) == batch.x[0]).all(1).nonzero()[0, 0]
    first = position[None]
    assert torch.equal(cut_samples(pairs.z[0], first, 30, 40)[0], batch.z[0])


def test_oracle_pairs_are_what_the_teacher_decodes(
    task: VocoderTask, values: dict[str, Any]
) -> None:
    task.draw(trial(values, ARMS[1]))
    pairs = task._pairs_of("oracle pairs")
    sequences = task.corpus.train
    samples, features = sequences.samples_of(1), sequences.features_of(1)
    code = encode_utterance(task.teacher, pairs.x[0, samples], features)
    assert (code.z - pairs.z[0, samples]).abs().max() < 1e-3
    assert float(pairs.z.std()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_shares_of_workers_are_the_batch_of_one(
    arm: dict[str, Any], task: VocoderTask, values: dict[str, Any]
) -> None:
    draw = task.draw(trial(values, arm))
    whole, halves = draw(3, slice(0, 2)), [draw(3, slice(0, 1)), draw(3, slice(1, 2))]
    for name in ("z", "x", "noise", "conditioning", "reference"):
        expected = getattr(whole, name)
        if expected is None:
            assert all(getattr(half, name) is None for half in halves)
        else:
            found = torch.cat([getattr(half, name) for half in halves])
            assert torch.equal(found, expected), name


def test_only_scored_samples_are_in_the_loss() -> None:
    batch = Batch(torch.zeros(2, 10), context=4)
    assert batch.scored(torch.arange(20).view(2, 10)).tolist() == [
        [4, 5, 6, 7, 8, 9],
        [14, 15, 16, 17, 18, 19],
    ]


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_every_objective_trains_and_leaves_its_record(
    arm: dict[str, Any], values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    record = run(trial(values, arm), tmp_path / "trial", store)
    assert record.status == "finished", record.cause
    metrics = record.metrics("test")
    assert {"whispering", "periodicity_excess", "voiced_level_db", "reverse_kl"} <= set(metrics)
    assert metrics["whispering"] == pytest.approx(
        1.0
        - metrics["periodicity_excess"] / record.reference["natural_test"]["periodicity_excess"],
        abs=1e-6,
    )
    _check_sounds(record, tmp_path / "trial")
    arrays = safetensors.torch.load((tmp_path / "trial" / "arrays.safetensors").read_bytes())
    assert arrays["periodicity_excess"].shape == (2,)
    assert arrays["floor/whisper/periodicity_excess"].shape == (2,)
    # Prior draws are N(0, 1); codes of data, and noised ones, have another deviation.
    assert ("matched/periodicity_excess" in arrays) == (metrics["prior_scale_matched"] != 1.0)
    assert (metrics["prior_scale_matched"] == 1.0) == (
        trial(values, arm).objective.kind in ("reverse_kl", "z_reconstruction", "oracle")
    )


def _check_sounds(record: Record, folder: Path) -> None:
    for name in ("natural", "copy", "teacher", "student"):
        x, rate = soundfile.read(folder / record.artefacts[f"{name}_0_wav"])
        assert rate == 8000
        assert len(x) == 6400
    natural, _ = soundfile.read(folder / record.artefacts["natural_0_wav"])
    assert abs(natural).max() > 0.1


def test_an_interrupted_trial_ends_as_one_that_was_not(
    values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    config = trial(values, ARMS[0]).model_dump(mode="json")
    whole = run(config, tmp_path / "whole", store)
    interrupt(config, tmp_path / "broken", store, at=4)
    resumed = run(config, tmp_path / "broken", store)
    assert results(resumed) == results(whole)


def test_an_interrupted_teacher_ends_as_one_that_was_not(
    values: dict[str, Any], tmp_path: Path, task: VocoderTask
) -> None:
    class StopError(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.evaluation is None and progress.updates >= 10:
            raise StopError

    config = parse_trial(values)
    assert isinstance(config, VocoderTrial)
    store = Store(Storage.open(tmp_path / "store"))
    with pytest.raises(StopError):
        VocoderTask(config, store, torch.device("cpu"), stop)
    resumed = VocoderTask(config, store, torch.device("cpu"))
    for name, value in resumed.teacher.state_dict().items():
        assert torch.equal(value, task.teacher.state_dict()[name]), name


def test_parts_are_what_is_missing(
    values: dict[str, Any], task: VocoderTask, tmp_path: Path
) -> None:
    config = trial(values, ARMS[1])
    assert "natural_test" in task.references
    task.draw(config)
    assert task.parts(config) == ()
    fresh = VocoderTask(config, Store(Storage.open(tmp_path / "other")), torch.device("cpu"))
    missing = fresh.parts(config)
    assert FloorsPart() in missing
    for part in missing:
        fresh.build_part(part)
    assert fresh.parts(config) == ()


def test_the_teacher_is_described_beside_its_baselines(task: VocoderTask) -> None:
    info = task.trained.info
    assert set(info["test_nll"]) == {
        "teacher",
        "linear_prediction",
        "conditioned_linear_prediction",
    }
    assert info["test_codes"]["periodicity_white"] < 0.3
    assert "held-out nats a sample" in task.facts[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window": 830}, "window: 830 samples are no whole number of frames of 40"),
        ({"context": 10}, "context: 10 samples are no whole number"),
        ({"data": {"rate": 16000}}, "teacher.window|teacher.model.hop: 40 does not fit"),
        ({"student": {"kind": "wavenet_flow", "features": 3}}, "student.features: 3 does not fit"),
        ({"student": {"kind": "linear"}}, "student"),
        ({"power": {"weight": 1.0, "window": 4096}}, "power.window: 4096 is longer"),
        ({"data": {"name": "nothing"}}, "data.name: 'nothing' is unknown"),
        ({"data": {"rate": 8001}}, "data.rate: 8001 Hz has no whole number"),
        ({"objective": {"kind": "reverse_kl", "estimator": "path"}}, "objective.estimator: 'path'"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_any_work(
    values: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    changed = {
        name: merge(values[name], value)
        if isinstance(value, dict) and name not in ("objective", "student")
        else value
        for name, value in change.items()
    }
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        parse_trial(values | changed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"teacher": {"model": {"kind": "tests.own_models:FramedTeacherConfig"}}},
            r"teacher\.model\.kind: .*FramedTeacherConfig.*trained by streams; choose samplernn",
        ),
        (
            {"student": {"kind": "tests.own_models:FramedStudentConfig"}},
            r"student\.kind: .*FramedStudentConfig.* is no flow.*choose wavenet_flow",
        ),
    ],
    ids=["teacher", "student"],
)
def test_models_that_the_vocoder_cannot_use_are_refused_by_name(
    values: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_trial(values | change)


def test_a_student_that_is_a_flow_in_name_alone_is_refused_when_built(
    values: dict[str, Any], store: Store
) -> None:
    config = parse_trial(values | {"student": {"kind": "tests.own_models:FramedFlowInNameConfig"}})
    assert isinstance(config, VocoderTrial)
    task = VocoderTask(config, store, torch.device("cpu"))
    with pytest.raises(ConfigError, match=r"student\.kind: .* builds a OwnStudent"):
        task.build_student(config)


def test_windows_longer_than_any_utterance_are_refused(
    values: dict[str, Any], store: Store
) -> None:
    config = parse_trial(values | {"window": 80_000})
    assert isinstance(config, VocoderTrial)
    task = VocoderTask(config, store, torch.device("cpu"))
    with pytest.raises(DataError, match="window: no training utterance has 80400 samples"):
        task.draw(config)


def test_a_wav_file_holds_the_samples() -> None:
    samples = torch.linspace(-1.5, 1.5, 100)
    x, rate = soundfile.read(io.BytesIO(wav(Sound(samples, 16000))))
    assert rate == 16000
    assert torch.from_numpy(x).float() == pytest.approx(samples.clamp(-1, 1).numpy(), abs=1e-4)
