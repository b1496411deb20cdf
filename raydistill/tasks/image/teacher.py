"""What image trials share and the store keeps: teacher, pair sets, classifier."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import raydistill.data.epochs
import raydistill.data.logit
import raydistill.metrics.classifier
import raydistill.networks.standardise
import raydistill.teachers.base
from raydistill.data.epochs import EpochOrder
from raydistill.data.grey_levels import recorded
from raydistill.data.images import ImageData
from raydistill.data.logit import dequantise, to_logit
from raydistill.metrics.classifier import (
    ClassifierConfig,
    ConvClassifier,
    accuracy,
    train_classifier,
)
from raydistill.metrics.codes import code_diagnostics
from raydistill.metrics.likelihood import GaussianBaseline, held_out_bits, logits_of
from raydistill.seeding import generator
from raydistill.store.assets import Built, Store
from raydistill.store.code import code_version, module_of
from raydistill.store.storage import Storage
from raydistill.tasks.assets import (
    Cost,
    TeacherAsset,
    cost_of,
    cost_of_training,
    costed,
    with_threads,
)
from raydistill.tasks.image.config_parts import TeacherTraining
from raydistill.tasks.image.space import ImageSpace
from raydistill.teachers.base import Teacher
from raydistill.teachers.likelihood import Likelihood
from raydistill.teachers.pixelcnn import PixelCNNConfig
from raydistill.training.job import Job, Progress, Workers
from raydistill.training.loop import train

ENCODE_BATCH = 250


def teacher_recipe(training: TeacherTraining, data: ImageData) -> dict[str, Any]:
    """Everything that a trained teacher is a function of."""
    return {
        "training": training.model_dump(mode="json"),
        "data": data.fingerprint,
        "code": code_version(
            raydistill.data.epochs,
            raydistill.data.logit,
            raydistill.networks.standardise,
            raydistill.teachers.base,
            module_of(training.model),
            without=training.model.decoding_only,
        ),
    }


def get_teacher(
    training: TeacherTraining,
    data: ImageData,
    store: Store,
    device: torch.device,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    train_elsewhere: Callable[[Storage], None] | None = None,
) -> TeacherAsset:
    """The teacher of a configuration from the store, trained first if it is not there.

    Args:
        training, data: what it is.
        store: where it is kept.
        device: where it is returned, and trained.
        on_progress: told of its training.
        train_elsewhere: trains it with several processes, leaving its final checkpoint in the
            folder it is called with; None trains it here.
    """

    @costed(device)
    @with_threads(training.threads)
    def build(work: Storage) -> Built:
        if train_elsewhere is not None:
            train_elsewhere(work)
        trained = train_teacher(training, data, device, work, on_progress=on_progress)
        with _uncompiled(training):
            info = _describe(trained.teacher, data, device) | {"history": trained.history}
        info |= trained.cost
        info["space"] = ImageSpace.of_images(data).model_dump(mode="json")
        return Built(trained.teacher.state_dict(), info)

    asset = store.get_or_build("teachers", teacher_recipe(training, data), build)
    teacher = _untrained(training, data)
    teacher.load_state_dict(asset.tensors)
    teacher = teacher.to(device).eval().requires_grad_(False)
    return TeacherAsset(
        asset.key,
        asset.content,
        teacher,
        asset.info,
        asset.found,
        training.threads,
        training.model.normal_prior,
        training.seed,
        cost_of(asset),
    )


@dataclass(frozen=True)
class TrainedTeacher:
    """A teacher after its last update.

    Attributes:
        teacher: on its device.
        history: (updates, validation bits/dim) along the training.
        cost: see `cost_of_training`.
    """

    teacher: Teacher
    history: list[list[float]]
    cost: dict[str, Any]


def train_teacher(
    training: TeacherTraining,
    data: ImageData,
    device: torch.device,
    work: Storage,
    *,
    workers: Workers = Workers(),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> TrainedTeacher:
    """Maximum likelihood, each image dequantised afresh, from the checkpoint in `work` if any."""
    likelihood = Likelihood(
        _untrained(training, data).to(device),
        ema=training.ema,
        precision=training.precision,
        compiled=training.compile,
    )
    values, count = data.train.values.to(device), training.budget.batch_size
    order = EpochOrder(len(values), count, device, "teacher", training.seed)

    def draw(update: int, share: slice) -> Tensor:
        random = generator(device, "teacher", training.seed, update)
        chosen = values[order.at(update).index]
        return to_logit(dequantise(chosen, data.levels, random))[share]

    def evaluate(updates: int) -> dict[str, float]:
        log_prob = likelihood.trained.log_prob
        with _uncompiled(training):
            return {"bits": held_out_bits(log_prob, data.validation, data.levels, device)}

    job = Job(
        likelihood,
        draw,
        evaluate,
        training.optimiser,
        training.budget,
        training.seed,
        "teacher",
        identity=training.precision,
        after_update=likelihood.after_update,
        capturable=_capturable(training),
    )
    outcome = train(job, device, work, workers=workers, on_progress=on_progress)
    history = [[e.updates, e.metrics["bits"]] for e in outcome.history]
    return TrainedTeacher(likelihood.trained, history, cost_of_training(outcome, device))


def _capturable(training: TeacherTraining) -> bool:
    """Whether an update is known not to wait for the device: a teacher of the user's own may."""
    model = training.model
    return isinstance(model, PixelCNNConfig) and model.conditional.kind == "gaussian"


@dataclass(frozen=True)
class ClassifierAsset:
    """A trained, frozen classifier.

    Attributes:
        classifier: on its device.
        test_accuracy: share of test images whose class it predicts.
        weights: their hash.
        cost: of its training.
    """

    classifier: ConvClassifier
    test_accuracy: float
    weights: str
    cost: Cost


def get_classifier(
    config: ClassifierConfig, data: ImageData, store: Store, device: torch.device
) -> ClassifierAsset:
    """The classifier behind the image metrics; its test accuracy is stored beside it."""

    @costed(device)
    def build(work: Storage) -> Built:
        trained = train_classifier(config, data, device)
        images = recorded(data.test.values, data.levels).to(device)
        score = accuracy(trained, images, data.test.labels.to(device))
        return Built(trained.state_dict(), {"test_accuracy": score})

    recipe = {
        "config": config.model_dump(mode="json"),
        "data": data.fingerprint,
        "code": code_version(raydistill.metrics.classifier),
    }
    asset = store.get_or_build("classifiers", recipe, build)
    classifier = ConvClassifier(config, data.image_shape, data.classes)
    classifier.load_state_dict(asset.tensors)
    classifier = classifier.to(device).eval().requires_grad_(False)
    return ClassifierAsset(classifier, asset.info["test_accuracy"], asset.content, cost_of(asset))


@dataclass(frozen=True)
class Codes:
    """z = T(x), (N, C, H, W), with log p_T(x) in nats, (N,)."""

    z: Tensor
    log_prob: Tensor


@torch.no_grad()
def encode(teacher: Teacher, x: Tensor) -> Codes:
    """Codes and likelihoods of x (N, C, H, W), in parts that fit any memory."""
    parts = [teacher.encode(part) for part in x.split(ENCODE_BATCH)]
    z = torch.cat([part.z for part in parts])
    log_det = torch.cat([part.log_det for part in parts])
    return Codes(z, teacher.prior_log_prob(z) + log_det)


def _untrained(training: TeacherTraining, data: ImageData) -> Teacher:
    space = ImageSpace.of_images(data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        return space.build_teacher(training.model)


def _uncompiled(training: TeacherTraining) -> AbstractContextManager[object]:
    """Compiled networks run as they are: each further batch size would be compiled for minutes."""
    if not training.compile:
        return nullcontext()  # the compiler takes seconds to import
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _describe(teacher: Teacher, data: ImageData, device: torch.device) -> dict[str, Any]:
    """Bits/dim on the test split beside the Gaussian baselines, and codes against the prior."""
    x = torch.cat(
        [logits_of(data.train, data.levels, torch.device("cpu"), "baseline", i) for i in range(4)]
    )
    bits = {"teacher": held_out_bits(teacher.log_prob, data.test, data.levels, device)}
    for name, full in (("diagonal_gaussian", False), ("full_gaussian", True)):
        baseline = GaussianBaseline(x, full=full)
        bits[name] = held_out_bits(baseline.log_prob, data.test, data.levels, torch.device("cpu"))
    z = encode(teacher, logits_of(data.validation, data.levels, device, "codes")).z.double()
    codes = code_diagnostics(teacher.normal_codes(z))
    return {
        "test_bits_per_dimension": bits,
        "validation_codes": codes,
        "parameters": sum(p.numel() for p in teacher.parameters()),
    }
