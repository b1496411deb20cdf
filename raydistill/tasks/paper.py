"""What of the paper's settings a trial does not follow, as a table.

The paper is short on settings: where it says nothing, the table says what is taken instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raydistill.data.raw import DataError
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.trial_config import TrialConfig

EPOCHS = 100
"""Of the teacher, and again of the student (section 4.1.2)."""

NOT_SAID = "not said"
TOLERANCE = 1e-3
"""Of an epoch's length and number, since updates are whole."""


@dataclass(frozen=True)
class Deviation:
    """A setting in which a trial differs from the paper.

    Attributes:
        field: dotted field of the trial's configuration, or what no field holds.
        paper: the paper's value.
        ours: the trial's.
        why: in a few words.
    """

    field: str
    paper: str
    ours: str
    why: str


SET_OTHERWISE = "set otherwise"

ADAM: dict[str, Any] = {
    "learning_rate": 5e-4, "warmup": 0, "decay": "exponential", "decay_rate": 0.95,
    "beta1": 0.9, "beta2": 0.999, "clip": None,
}  # fmt: skip

SAID: dict[str, dict[str, Any]] = {
    "image": {
        "teacher.model.kind": "pixelcnn",
        "teacher.model.channels": 32,
        "teacher.model.blocks": 3,
        "teacher.model.stages": 3,
        "teacher.model.conditional.kind": "gaussian",
        "teacher.model.conditional.max_log_scale": None,
        "teacher.ema": None,
        "teacher.precision": "float32",
        "data.train_count": None,
        "objective.l1_weight": 0.0,
        **{f"{part}optimiser.{name}": v for part in ("teacher.", "") for name, v in ADAM.items()},
        **{f"{part}budget.batch_size": 64 for part in ("teacher.", "")},
    },
    "gaussian": {
        "teacher.matrix": "standard",
        "teacher.scale": 1.0,
        "teacher.mean": 2.0,
        "teacher.triangular": False,
        "optimiser.learning_rate": 0.005,
        "optimiser.warmup": 0,
        "optimiser.decay": "constant",
        "optimiser.clip": None,
        "budget.updates": 5000,
        "budget.batch_size": 64,
        "evaluation.samples": 1000,
    },
    "vocoder": {
        "teacher.model.kind": "samplernn",
        "student.kind": "wavenet_flow",
        "student.flows": 6,
        "objective.l1_weight": 1.0,
    },
}
"""By task: what the paper says, or what goes without saying, by field (sections 3.2, 4.1)."""

LEFT_OPEN: dict[str, tuple[tuple[str, str], ...]] = {
    "image": (
        ("student", "the sizes of the ResNet; the flow has the teacher's"),
        ("pairs.oracle_count", "how many of the teacher's samples; as many as training images"),
        ("objective.noise_level", "whether N(0, 0.5) names a variance; sweeps try both readings"),
    ),
    "gaussian": (
        ("replicas", "how many teachers; each seed has one of its own"),
        ("precision", "an ill-conditioned teacher's codes need the digits"),
    ),
    "vocoder": (
        ("data.name", "the corpus"),
        ("teacher.model.hidden", "sizes of SampleRNN"),
        ("teacher.budget.updates", "how long"),
        ("student.channels", "sizes of the flows"),
        ("budget.updates", "how long"),
        ("optimiser.learning_rate", "the optimiser"),
    ),
}
"""By task: fields on which the paper says nothing, and about what."""


def deviations(trial: TrialConfig) -> tuple[Deviation, ...]:
    """What a trial cannot follow, does not follow, or had to choose.

    The training images are counted in the data set where it is at hand, and else as it is known to
    have them.

    Example:
        >>> from raydistill.tasks.paper import deviations
        >>> from raydistill.tasks.presets import gaussian_preset
        >>> [one.field for one in deviations(gaussian_preset("paper", None))]
        ['replicas', 'precision']
    """
    values = trial.model_dump(mode="json")
    found = [
        Deviation(field, _text(said), _text(_value(values, field)), SET_OTHERWISE)
        for field, said in SAID[trial.task].items()
        if _value(values, field) != said
    ]
    if isinstance(trial, ImageTrial):
        found += _of_images(trial)
    found += [
        Deviation(field, NOT_SAID, _short(_value(values, field)), what)
        for field, what in LEFT_OPEN[trial.task]
    ]
    return tuple(found)


def _of_images(trial: ImageTrial) -> Iterator[Deviation]:
    """What is a matter of the data set and of its training split."""
    data, train = trial.data, _training_images(trial)
    if data.name not in ("mnist", "fashion-mnist", "cifar-10"):
        yield Deviation("data.name", "MNIST, Fashion-MNIST, CIFAR-10", data.name, SET_OTHERWISE)
    elif data.name == "cifar-10":
        why = "Figure 6 comes without any: those of section 4.1.2 are taken"
        yield Deviation("all settings", NOT_SAID, "as on MNIST", why)
    if data.size != data.original_side:
        yield Deviation("data.size", _text(data.original_side), _text(data.size), SET_OTHERWISE)
    if data.train_count is None:
        why = "a part is held out for validation: choices may not be made on the test part"
        yield Deviation("training images", "all", f"{train:,}", why)
    for name, part in (("teacher.", trial.teacher), ("", trial)):
        epoch = train / part.budget.batch_size
        epochs = part.budget.updates / epoch
        if abs(epochs / EPOCHS - 1.0) > TOLERANCE:
            ours = f"{part.budget.updates} updates, {epochs:.4g} epochs"
            yield Deviation(f"{name}budget.updates", f"{EPOCHS} epochs", ours, SET_OTHERWISE)
        optimiser = part.optimiser
        off = abs(optimiser.decay_every / epoch - 1.0) > TOLERANCE
        if off and optimiser.decay == "exponential":
            ours = f"{optimiser.decay_every:g} updates, {optimiser.decay_every / epoch:.4g} epochs"
            yield Deviation(f"{name}optimiser.decay_every", "1 epoch", ours, SET_OTHERWISE)
    if trial.pairs.data_copies is not None:
        ours = f"{trial.pairs.data_copies} stored dequantisations, epochs taking turns"
        yield Deviation("pairs.data_copies", "uniform noise, not said how often", ours, "cheaper")
    why = "PixelCNN++ as published has it (0.5), this paper does not mention it"
    yield Deviation("dropout", NOT_SAID, "none", why)
    yield Deviation("end points of the logit", NOT_SAID, "squeezed by 1e-6", "they are infinite")


def _training_images(trial: ImageTrial) -> int:
    try:
        return len(trial.data.load().train)
    except DataError:
        if trial.data.training_images is None:
            raise
        return trial.data.training_images


def _value(values: Any, field: str) -> Any:
    for name in field.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _short(value: Any) -> str:
    """A value, of a node its fields on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return _text(value)


def _text(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
