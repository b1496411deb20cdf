"""The vocoder's teacher: trained once by streams with carried state, kept by content hash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

import raydistill.networks.standardise
import raydistill.tasks.vocoder.corpus
import raydistill.teachers.base
import raydistill.teachers.conditioned
from raydistill.metrics.linear_prediction import LinearPrediction
from raydistill.metrics.sequence_codes import sequence_diagnostics
from raydistill.seeding import generator, key_to_seed
from raydistill.store.assets import Built, Store
from raydistill.store.code import code_version, module_of
from raydistill.store.storage import Storage
from raydistill.tasks.assets import (
    TeacherAsset,
    cost_of,
    cost_of_training,
    costed,
    with_threads,
)
from raydistill.tasks.vocoder.config import SpeechTeacherTraining, VocoderTrial
from raydistill.tasks.vocoder.corpus import (
    Corpus,
    Sequences,
    cut_frames,
    cut_samples,
    dithered,
    windows_or_error,
)
from raydistill.tasks.vocoder.space import SpeechSpace
from raydistill.teachers.conditioned import ConditionedTeacher
from raydistill.teachers.samplernn import SampleRNN
from raydistill.teachers.streams import SequenceLikelihood, StreamBatch
from raydistill.training.job import Job, Outcome, Progress
from raydistill.training.loop import train


def teacher_recipe(training: SpeechTeacherTraining, corpus: Corpus) -> dict[str, Any]:
    """Everything that a trained teacher is a function of."""
    return {
        "training": training.model_dump(mode="json"),
        "data": corpus.data.fingerprint,
        "code": code_version(
            raydistill.networks.standardise,
            raydistill.tasks.vocoder.corpus,
            raydistill.teachers.base,
            raydistill.teachers.conditioned,
            module_of(training.model),
            without=training.model.decoding_only,
        ),
    }


def get_teacher(
    config: VocoderTrial,
    corpus: Corpus,
    store: Store,
    device: torch.device,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> TeacherAsset:
    """The teacher of a configuration from the store, trained first if it is not there."""
    training = config.teacher

    @costed(device)
    @with_threads(training.threads)
    def build(work: Storage) -> Built:
        teacher = untrained(training)
        outcome = _train(teacher, training, corpus, device, work, on_progress)
        history = [[e.updates, e.metrics["nll"]] for e in outcome.history]
        info = _describe(teacher, corpus, device) | {"history": history}
        info |= cost_of_training(outcome, device)
        space = SpeechSpace.of_corpus(corpus, config.data, training.window)
        info["space"] = space.model_dump(mode="json")
        return Built(teacher.state_dict(), info)

    asset = store.get_or_build("teachers", teacher_recipe(training, corpus), build)
    teacher = untrained(training)
    teacher.load_state_dict(asset.tensors)
    teacher = teacher.to(device).eval().requires_grad_(False)
    return TeacherAsset(
        asset.key,
        asset.content,
        teacher,
        asset.info,
        asset.found,
        training.threads,
        normal_prior=True,
        cost=cost_of(asset),
    )


def untrained(training: SpeechTeacherTraining) -> SampleRNN:
    """The teacher before its first update."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        teacher = training.model.build((training.window,))
    assert isinstance(teacher, SampleRNN)
    return teacher


class Streams:
    """What each stream hears: all utterances in an order of its own, epoch after epoch.

    An utterance is cut into whole windows that follow one another; where they begin is drawn, so
    that every sample is heard.

    Args:
        sequences: the training split.
        frames: of a window.
        count: streams.
        seed: of the orders.
    """

    def __init__(self, sequences: Sequences, frames: int, count: int, seed: int) -> None:
        self.sequences, self.frames, self.count, self.seed = sequences, frames, count, seed
        windows = (sequences.frames // frames).numpy()
        self.kept = np.flatnonzero(windows)
        self.windows = windows[self.kept]
        self._orders: dict[tuple[int, int], _Order] = {}

    def at(self, update: int) -> tuple[Tensor, Tensor]:
        """First frames of all streams' windows, and whether each starts an utterance."""
        epoch, place = divmod(update, int(self.windows.sum()))
        first, fresh = [], []
        for stream in range(self.count):
            order = self._order(stream, epoch)
            turn = int(np.searchsorted(order.ends, place, side="right"))
            window = place - int(order.ends[turn] - order.counts[turn])
            first.append(int(order.begins[turn]) + window * self.frames)
            fresh.append(window == 0)
        return torch.tensor(first), torch.tensor(fresh)

    def _order(self, stream: int, epoch: int) -> _Order:
        key = (stream, epoch)
        if key not in self._orders:
            if len(self._orders) >= 2 * self.count:
                self._orders.clear()
            draw = np.random.default_rng(key_to_seed("streams", self.seed, stream, epoch))
            order = draw.permutation(len(self.kept))
            counts = self.windows[order]
            utterances = self.kept[order]
            spare = self.sequences.frames.numpy()[utterances] - counts * self.frames
            begins = self.sequences.starts.numpy()[utterances] + draw.integers(spare + 1)
            self._orders[key] = _Order(begins, counts, counts.cumsum())
        return self._orders[key]


@dataclass(frozen=True)
class _Order:
    begins: np.ndarray[Any, Any]
    counts: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]


def _train(
    teacher: SampleRNN,
    training: SpeechTeacherTraining,
    corpus: Corpus,
    device: torch.device,
    work: Storage,
    on_progress: Callable[[Progress], None],
) -> Outcome:
    """Maximum likelihood in place; evaluations are validation nats a sample."""
    sequences, hop = corpus.train.to(device), corpus.data.hop
    frames, count = training.window // hop, training.budget.batch_size
    windows_or_error(sequences, frames, "teacher.window")
    streams = Streams(corpus.train, frames, count, training.seed)
    likelihood = SequenceLikelihood(teacher, streams=count).to(device)

    def draw(update: int, share: slice) -> StreamBatch:
        first, fresh = (found.to(device) for found in streams.at(update))
        x = cut_samples(sequences.x, first, frames, hop)
        x = dithered(x, generator(device, "teacher", training.seed, update))
        return StreamBatch(x, cut_frames(sequences.features, first, frames), fresh)

    def evaluate(updates: int) -> dict[str, float]:
        return {"nll": held_out_nll(teacher, corpus.validation, device)}

    job = Job(
        likelihood,
        draw,
        evaluate,
        training.optimiser,
        training.budget,
        training.seed,
        "teacher",
        identity=corpus.data.fingerprint,
    )
    return train(job, device, work, on_progress=on_progress)


@dataclass(frozen=True)
class Coded:
    """An utterance through the teacher.

    Attributes:
        x, z: (N,).
        log_prob: log p_T of each sample given its past, nats, (N,).
    """

    x: Tensor
    z: Tensor
    log_prob: Tensor

    @cached_property
    def nll(self) -> float:
        """Nats of the whole utterance, negative."""
        return -float(self.log_prob.double().sum())


@torch.no_grad()
def encode_utterance(teacher: ConditionedTeacher, x: Tensor, features: Tensor) -> Coded:
    """A whole utterance (N,) with features (F, C): codes of windows would lack their past."""
    noise = teacher.given(features[None]).steps(x[None])
    log_prob = teacher.conditional.prior_log_prob(noise.z) + noise.log_derivative
    return Coded(x, noise.z[0], log_prob[0])


def coded_split(
    teacher: ConditionedTeacher, sequences: Sequences, device: torch.device, *key: str | int
) -> list[Coded]:
    """All utterances of a split, dithered with the randomness of a key."""
    found = []
    for index in range(len(sequences)):
        x = sequences.x[sequences.samples_of(index)].to(device)
        x = dithered(x, generator(device, "dither", *key, index))
        found.append(encode_utterance(teacher, x, sequences.features_of(index).to(device)))
    return found


def held_out_nll(teacher: ConditionedTeacher, sequences: Sequences, device: torch.device) -> float:
    """Mean nats a standardised sample of a split, negative, with one fixed dither."""
    coded = coded_split(teacher, sequences, device, "held out")
    return sum(one.nll for one in coded) / sum(len(one.x) for one in coded)


def _describe(teacher: ConditionedTeacher, corpus: Corpus, device: torch.device) -> dict[str, Any]:
    """Nats a sample beside the linear-predictive baseline, and codes against the prior."""
    cpu = torch.device("cpu")
    train = dithered(corpus.train.x, generator(cpu, "dither", "baseline"))
    features = corpus.train.features
    plain, given = LinearPrediction.fit(train), LinearPrediction.fit(train, features)
    test = dithered(corpus.test.x, generator(cpu, "dither", "baseline", "test"))
    coded = coded_split(teacher, corpus.test, device, "held out")
    nll = sum(one.nll for one in coded) / sum(len(one.x) for one in coded)
    return {
        "test_nll": {
            "teacher": nll,
            "linear_prediction": plain.nll(test),
            "conditioned_linear_prediction": given.nll(test, corpus.test.features),
        },
        "test_codes": sequence_diagnostics(
            [one.z.double().cpu().numpy() for one in coded],
            [utterance.x.double().numpy() for utterance in corpus.utterances("test")],
            corpus.data.rate,
        ),
        "parameters": sum(p.numel() for p in teacher.parameters()),
    }
