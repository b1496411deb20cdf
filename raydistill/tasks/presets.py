"""Three sizes of every task, as base trials that a sweep varies: the same code, other numbers.

`smoke` takes seconds, `small` minutes on a laptop, `paper` has the paper's settings;
`tasks.paper.deviations` says where it has not.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from raydistill.config.errors import ConfigError
from raydistill.data.picture_folder import FOLDER
from raydistill.data.sources import DATA_SETS, has_classes, has_colour
from raydistill.tasks.gaussian.config import GaussianTrial
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.paper import ADAM, EPOCHS
from raydistill.tasks.registry import parse_trial
from raydistill.tasks.vocoder.config import VocoderTrial
from raydistill.teachers.pixelcnn import PixelCNNConfig

Preset = Literal["smoke", "small", "paper"]

Values = dict[str, Any]

BOUNDED = {"kind": "gaussian", "max_log_scale": 1.0}
"""The conditional of small colour teachers. Without an upper bound of its scale, such a teacher now
and then samples an unlikely value, answers it with a larger one, and so on until it overflows;
docs/teachers.md has the measurement, and what the bound costs."""


def image_preset(preset: Preset, dataset: str | None) -> ImageTrial:
    """The image task's base trial at one of three sizes.

    Args:
        preset: smoke (seconds, digits), small (minutes on a laptop, MNIST sample at 14x14) or
            paper (section 4.1.2's numbers, for a GPU).
        dataset: a name in `raydistill.data.sources.DATA_SETS`, or the path of a folder of pictures;
            None takes the preset's own.

    Raises:
        ConfigError: the data set is unknown.

    Example:
        >>> from raydistill.tasks.presets import image_preset
        >>> trial = image_preset("smoke", None)
        >>> trial.data.name, trial.event_shape, trial.student.kind
        ('digits', (1, 8, 8), 'resnet')
    """
    builders = {"smoke": _smoke, "small": _small, "paper": _paper}
    data = _named(dataset)
    values = builders[preset](data.get("name"))
    values["data"] |= data
    if not has_classes(values["data"]["name"]):
        values["evaluation"] = values.get("evaluation", {}) | {"classifier": None}
    if preset != "paper" and has_colour(values["data"]["name"]):
        model = {"kind": "pixelcnn"} | values["teacher"].get("model", {})
        values["teacher"]["model"] = model | {"conditional": BOUNDED}
    trial = parse_trial({"task": "image", **values})
    assert isinstance(trial, ImageTrial)
    return trial


def flow_like_teacher(trial: ImageTrial) -> Values:
    """Fields of a trial that make its student a flow of the teacher's architecture and size.

    This is the student of section 4.1.2. If the teacher is not a PixelCNN++, the flow has the
    default size.

    Returns:
        Values by dotted field, as sweeps set them.

    Example:
        >>> from raydistill.tasks.presets import flow_like_teacher, image_preset
        >>> fields = flow_like_teacher(image_preset("smoke", None))
        >>> fields["student.kind"], fields["student.channels"]
        ('pixelcnn_flow', 8)
    """
    fields: Values = {"student.kind": "pixelcnn_flow"}
    model = trial.teacher.model
    if isinstance(model, PixelCNNConfig):
        sizes = ("channels", "blocks", "stages")
        fields |= {f"student.{name}": getattr(model, name) for name in sizes}
    return fields


def gaussian_preset(preset: Preset, dataset: str | None) -> GaussianTrial:
    """The Gaussian study's base trial; `small` and `paper` are both the paper's settings.

    Args:
        preset: smoke has few updates and samples.
        dataset: must be None; teachers are drawn.

    Raises:
        ConfigError: a data set is named.

    Example:
        >>> from raydistill.tasks.presets import gaussian_preset
        >>> trial = gaussian_preset("smoke", None)
        >>> trial.event_shape, trial.student.kind
        ((4,), 'linear')
    """
    if dataset is not None:
        raise ConfigError(
            f"dataset: {dataset!r} has no meaning for the gaussian task, whose teachers are drawn; "
            "leave it out"
        )
    values: Values = {"task": "gaussian"}
    if preset == "smoke":
        values |= {
            "dimension": 4,
            "budget": {"updates": 1000, "evaluate_every": 250, "checkpoint_every": 500},
            "evaluation": {"samples": 200},
        }
    trial = parse_trial(values)
    assert isinstance(trial, GaussianTrial)
    return trial


def vocoder_preset(preset: Preset, dataset: str | None) -> VocoderTrial:
    """The vocoder task's base trial at one of three sizes.

    Args:
        preset: smoke (a minute of speech, small models), small (a laptop) or paper (section
            4.1.4, whose sizes are those of the systems that it builds on, for a GPU).
        dataset: a name in `raydistill.data.speech.SPEECH_SETS`, or the path of a folder of mono
            WAV or FLAC files; None takes the preset's own.

    Raises:
        ConfigError: the data set is unknown.

    Example:
        >>> from raydistill.tasks.presets import vocoder_preset
        >>> trial = vocoder_preset("smoke", None)
        >>> trial.teacher.model.kind, trial.student.kind
        ('samplernn', 'wavenet_flow')
    """
    data = _named(dataset)
    values: Values = {"task": "vocoder", "data": data}
    if preset == "smoke":
        budget = {"updates": 30, "evaluate_every": 15, "checkpoint_every": 10}
        values |= {
            "data": data | {"seconds": 60.0},
            "teacher": {
                "model": {"kind": "samplernn", "hidden": 32},
                "budget": budget | {"batch_size": 8},
                "threads": 1,
            },
            "student": {"kind": "wavenet_flow", "flows": 2, "channels": 8, "layers": 3},
            "budget": budget | {"batch_size": 4},
            "pairs": {"data_copies": 1},
            "evaluation": {"sentences": 4, "validation_sentences": 2, "seconds": 1.5},
        }
    if preset == "paper":
        values |= {
            "teacher": {
                "model": {"kind": "samplernn", "hidden": 1024},
                "optimiser": {"learning_rate": 1e-3, "warmup": 500},
                "budget": {
                    "updates": 100_000,
                    "batch_size": 32,
                    "evaluate_every": 5_000,
                    "checkpoint_every": 1_000,
                },
            },
            "student": {"kind": "wavenet_flow", "channels": 64, "layers": 6},
            "optimiser": {"learning_rate": 1e-3, "warmup": 1_000},
            "budget": {
                "updates": 200_000,
                "batch_size": 8,
                "evaluate_every": 10_000,
                "checkpoint_every": 1_000,
            },
            "window": 8_000,
            "context": 2_000,
            "pairs": {"data_copies": 8, "oracle_copies": 4},
            "evaluation": {"sentences": 100, "validation_sentences": 20, "seconds": 10.0},
        }
    trial = parse_trial(values)
    assert isinstance(trial, VocoderTrial)
    return trial


def _named(dataset: str | None) -> Values:
    """Fields of a data set that is given by its name, or by the path of a folder."""
    if dataset is None:
        return {}
    if "/" in dataset or dataset.startswith("."):
        return {"name": FOLDER, "root": dataset}
    return {"name": dataset}


def _smoke(dataset: str | None) -> Values:
    return {
        "data": {"name": dataset or "digits", "size": 8},
        "teacher": {
            "model": {"kind": "pixelcnn", "channels": 8, "blocks": 1, "stages": 2},
            "budget": {"updates": 60, "evaluate_every": 30, "checkpoint_every": 20},
            "threads": 1,
        },
        "student": {"kind": "resnet", "channels": 16, "blocks": 2, "patch": 2},
        "budget": {"updates": 60, "evaluate_every": 30, "checkpoint_every": 20},
        "pairs": {"data_copies": 2, "oracle_count": 500},
        "evaluation": {
            "samples": 200,
            "draws": 2,
            "validation_draws": 1,
            "teacher_draws": 400,
            "prior_scales": (0.8, 0.9, 1.0),
            "classifier": {"width": 8, "updates": 100},
            "norm_draws": 20,
        },
    }


def _small(dataset: str | None) -> Values:
    name = dataset or "mnist-sample"
    if name == "digits":
        return {
            "data": {"name": name, "size": 8},
            "teacher": {"budget": {"updates": 1200, "evaluate_every": 300}},
            "student": {"kind": "resnet", "channels": 32, "blocks": 4, "patch": 1},
            "budget": {"updates": 1600, "evaluate_every": 400},
        }
    return {
        "data": {"name": name, "size": 14},
        "teacher": {"budget": {"updates": 900, "evaluate_every": 300}},
        "student": {"kind": "resnet", "channels": 32, "blocks": 4, "patch": 2},
        "optimiser": {"learning_rate": 3e-3},
        "budget": {"updates": 3200, "evaluate_every": 800},
    }


def _paper(dataset: str | None) -> Values:
    name = dataset or "mnist"
    # A folder is unread here, so that it has the budget of MNIST; an unknown name is refused later.
    source = DATA_SETS.get(name, DATA_SETS["mnist"])
    # Section 4.1.2: 100 epochs in batches of 64, Adam at 5e-4, times 0.95 an epoch, no clipping.
    count, batch = source.train, 64
    epoch = count / batch
    optimiser = ADAM | {"decay_every": epoch}
    budget = {
        "updates": math.ceil(EPOCHS * epoch),
        "batch_size": batch,
        "evaluate_every": round(10 * epoch),
        "checkpoint_every": math.ceil(epoch),
    }
    return {
        "data": {"name": name, "size": 32 if name == FOLDER else source.side},
        "teacher": {
            "model": {"kind": "pixelcnn", "channels": 32, "blocks": 3, "stages": 3},
            "optimiser": optimiser,
            "budget": budget,
        },
        "student": {"kind": "resnet", "channels": 128, "blocks": 8, "patch": 2},
        "optimiser": optimiser,
        "budget": budget,
        # Noise of its own in every epoch: to store the codes of 100 would take tens of gigabytes.
        "pairs": {"data_copies": None, "oracle_count": count},
        "evaluation": {
            "samples": 5000,
            "teacher_draws": 10_000,
            "classifier": {"width": 32, "updates": 4000},
        },
    }
