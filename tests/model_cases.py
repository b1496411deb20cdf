"""One small model of every registered kind and size: what the property tests run over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from raydistill.students.base import StudentConfig
from raydistill.tasks.models import resolve_student, resolve_teacher
from raydistill.teachers.base import TeacherConfig
from tests.helpers import randomise

CENTRE, SPREAD = 0.7, 1.3

Size = tuple[dict[str, Any], tuple[int, ...]]

PIXELCNN_SIZES: list[Size] = [
    ({"channels": 4, "blocks": 1, "stages": 1}, (1, 8, 8)),
    ({"channels": 4, "blocks": 2, "stages": 2}, (1, 8, 8)),
    ({"channels": 5, "blocks": 1, "stages": 3}, (1, 8, 8)),
    ({"channels": 4, "blocks": 1, "stages": 2}, (3, 8, 8)),
    ({"channels": 4, "blocks": 1, "stages": 3}, (1, 12, 12)),
    ({"channels": 4, "blocks": 1, "stages": 1}, (3, 12, 12)),
    ({"channels": 4, "blocks": 1, "stages": 3}, (3, 12, 12)),
]
TINY = {"channels": 4, "blocks": 1, "stages": 2}
CONDITIONAL_SIZES: list[Size] = [
    (TINY | {"conditional": (("kind", "logistic_mixture"), ("components", 3))}, (1, 4, 4)),
    (TINY | {"conditional": (("kind", "sigmoidal_flow"), ("units", 3))}, (3, 4, 4)),
    (TINY | {"conditional": (("kind", "categorical"), ("levels", 9))}, (1, 4, 4)),
]
RESNET_SIZES: list[Size] = [
    ({"channels": 6, "blocks": 3, "patch": 1}, (1, 8, 8)),
    ({"channels": 12, "blocks": 1, "patch": 2}, (3, 8, 8)),
    ({"channels": 6, "blocks": 5, "patch": 1}, (3, 12, 12)),
    ({"channels": 16, "blocks": 2, "patch": 4}, (1, 12, 12)),
]
GAUSSIAN_SIZES: list[Size] = [
    ({}, (1,)),
    ({"matrix": "scaled", "scale": 0.3}, (5,)),
    ({"matrix": "spectrum", "condition": 40.0, "triangular": True}, (7,)),
    ({"matrix": "spectrum", "eigenvalues": (0.1, 1.0, 9.0)}, (3,)),
]
LINEAR_SIZES: list[Size] = [
    ({}, (1,)),
    ({"start": "random"}, (6,)),
    ({"structure": "lower_triangular"}, (6,)),
]
FRAMES = {"features": 3, "hop": 8}
SAMPLERNN_SIZES: list[Size] = [
    (FRAMES | {"frame_sizes": (8, 4), "hidden": 6, "width": 5, "history": 6}, (24,)),
    (FRAMES | {"frame_sizes": (4, 1), "hidden": 4, "width": 7, "history": 17}, (16,)),
]
WAVENET_SIZES: list[Size] = [
    (FRAMES | {"flows": 2, "channels": 4, "layers": 2}, (24,)),
    (FRAMES | {"flows": 3, "channels": 3, "layers": 3, "kernel": 2, "dilation_base": 2}, (16,)),
]
TEACHER_SIZES = {
    "pixelcnn": PIXELCNN_SIZES + CONDITIONAL_SIZES,
    "gaussian": GAUSSIAN_SIZES,
    "samplernn": SAMPLERNN_SIZES,
}
STUDENT_SIZES = {
    "pixelcnn_flow": PIXELCNN_SIZES[1:6],
    "resnet": RESNET_SIZES,
    "linear": LINEAR_SIZES,
    "wavenet_flow": WAVENET_SIZES,
}


@dataclass(frozen=True)
class Case:
    """One model: kind, size and shape of an example; hashable, so that each is built once."""

    role: str
    kind: str
    sizes: tuple[tuple[str, Any], ...]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        sizes = "-".join(
            str(value[0][1]) if name == "conditional" else f"{name}{value}"
            for name, value in self.sizes
        )
        return f"{self.kind}-{sizes}-{'x'.join(map(str, self.shape))}"

    @property
    def config(self) -> TeacherConfig | StudentConfig:
        values: dict[str, Any] = {"kind": self.kind, **dict(self.sizes)}
        if "conditional" in values:
            values["conditional"] = dict(values["conditional"])
        return resolve_teacher(values) if self.role == "teacher" else resolve_student(values)

    def build(self, seed: int = 0) -> Any:
        """The model in float64 with random weights."""
        torch.manual_seed(seed)
        return randomise(self.config.build(self.shape, centre=CENTRE, spread=SPREAD), seed)


def _cases(role: str, table: dict[str, list[Any]]) -> list[Case]:
    return [
        Case(role, kind, tuple(sizes.items()), shape)
        for kind, rows in table.items()
        for sizes, shape in rows
    ]


def is_flow(case: Case) -> bool:
    config = case.config
    return isinstance(config, StudentConfig) and config.is_flow


TEACHER_CASES = _cases("teacher", TEACHER_SIZES)
STUDENT_CASES = _cases("student", STUDENT_SIZES)
ALL = TEACHER_CASES + STUDENT_CASES
BIJECTIONS = TEACHER_CASES + [case for case in STUDENT_CASES if is_flow(case)]


def _is_triangular(case: Case) -> bool:
    """Whether it is autoregressive; one dimension has no order to respect."""
    dense = {"gaussian": {"triangular": True}, "linear": {"structure": "lower_triangular"}}
    wanted = dense.get(case.kind, {})
    return math.prod(case.shape) > 1 and wanted.items() <= dict(case.sizes).items()


TRIANGULAR = [case for case in BIJECTIONS if _is_triangular(case)]
