"""Models to export, one of every kind, and what they give when they are called themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from examples.causal_transformer import CausalTransformerConfig
from raydistill.data.logit import from_logit
from raydistill.students.base import Student
from raydistill.students.conditioned import ConditionedFlow
from raydistill.tasks.models import resolve_student, resolve_teacher
from raydistill.teachers.base import Teacher
from raydistill.teachers.conditioned import ConditionedTeacher
from tests.helpers import randomise
from tests.own_models import OwnStudentConfig

SPEECH = {"features": 3, "hop": 8}
SAMPLERNN = {"kind": "samplernn", "frame_sizes": (8, 4), "hidden": 6, "width": 5, "history": 6}
WAVENET = {"kind": "wavenet_flow", "flows": 2, "channels": 4, "layers": 2}
STUDENTS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "resnet": ({"kind": "resnet", "channels": 16, "blocks": 1}, (1, 8, 8)),
    "pixelcnn_flow": ({"kind": "pixelcnn_flow", "channels": 4, "stages": 2}, (3, 4, 4)),
    "linear": ({"kind": "linear", "start": "random"}, (6,)),
    "linear_triangular": ({"kind": "linear", "structure": "lower_triangular"}, (6,)),
    "wavenet_flow": (WAVENET | SPEECH, (24,)),
}
PIXELCNN = {"kind": "pixelcnn", "channels": 4, "stages": 1}
TEACHERS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "pixelcnn": (PIXELCNN | {"stages": 2}, (3, 4, 4)),
    "pixelcnn_mixture": (PIXELCNN | {"conditional": {"kind": "logistic_mixture"}}, (1, 4, 4)),
    "pixelcnn_sigmoidal": (PIXELCNN | {"conditional": {"kind": "sigmoidal_flow"}}, (3, 4, 4)),
    "pixelcnn_categorical": (
        PIXELCNN | {"conditional": {"kind": "categorical", "levels": 17}},
        (1, 4, 4),
    ),
    "gaussian": ({"kind": "gaussian", "matrix": "scaled"}, (5,)),
    "samplernn": (SAMPLERNN | SPEECH, (24,)),
}


@dataclass(frozen=True)
class Scale:
    """Of a speech data set that does not exist."""

    spread: float = 0.07
    centre: tuple[float, ...] = (1.0, -2.0, 0.5)
    deviation: tuple[float, ...] = (2.0, 0.3, 1.0)


def make_student(kind: str) -> Student:
    """A student of a kind in float32, off its initial weights."""
    torch.manual_seed(0)
    if kind == "own":
        return randomise(OwnStudentConfig().build((1, 4, 4), centre=0.7, spread=1.3)).float()
    values, shape = STUDENTS[kind]
    student = resolve_student(values).build(shape, centre=0.7, spread=1.3)
    return randomise(student).float()


def make_teacher(kind: str) -> Teacher:
    """A teacher of a kind in float32, off its initial weights."""
    torch.manual_seed(0)
    if kind == "own":
        config = CausalTransformerConfig(width=8, heads=2, layers=1)
        return randomise(config.build((1, 4, 4), centre=0.7, spread=1.3)).float()
    values, shape = TEACHERS[kind]
    teacher = resolve_teacher(values).build(shape, centre=0.7, spread=1.3)
    return randomise(teacher).float()


@torch.no_grad()
def outputs_of(
    model: Student | Teacher, inputs: dict[str, Tensor], scale: Scale | None = None
) -> dict[str, Tensor]:
    """What an export must give, by the model's own methods."""
    model.eval()
    if isinstance(model, ConditionedFlow | ConditionedTeacher):
        features, spread = inputs["features"], 1.0
        if scale is not None:
            features = (features - torch.tensor(scale.centre)) / torch.tensor(scale.deviation)
            spread = scale.spread
        if isinstance(model, ConditionedFlow):
            return {"samples": spread * model.given(features)(inputs["z"])}
        encoding = model.given(features).encode(inputs["x"] / spread)
        shift = inputs["x"].shape[1] * torch.log(torch.tensor(spread))
        return {"z": encoding.z, "log_det": encoding.log_det - shift}
    if isinstance(model, Teacher):
        encoding = model.encode(inputs["x"])
        return {"z": encoding.z, "log_det": encoding.log_det}
    x = model(inputs["z"])
    return {"images": from_logit(x), "x": x} if len(model.event_shape) == 3 else {"x": x}


MAKERS: dict[str, Callable[[], Student | Teacher]] = {
    **{f"student_{k}": lambda k=k: make_student(k) for k in (*STUDENTS, "own")},
    **{f"teacher_{k}": lambda k=k: make_teacher(k) for k in (*TEACHERS, "own")},
}
"""A maker by the name of each model."""
