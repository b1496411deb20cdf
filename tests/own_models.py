"""A teacher and a student of a user's own, named by module:Class."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from raydistill.conditionals import GaussianConditional
from raydistill.students.base import Student, StudentConfig
from raydistill.teachers.autoregressive import AutoregressiveTeacher
from raydistill.teachers.base import Encoding, Teacher, TeacherConfig


class OwnStudentConfig(StudentConfig):
    """A user's own student, in one file: this is all that it takes."""

    kind: Literal["tests.own_models:OwnStudentConfig"] = "tests.own_models:OwnStudentConfig"
    gain: float = 1.0

    def check(self, event_shape: tuple[int, ...]) -> None:
        if event_shape[0] != 1:
            raise ValueError("student.kind: OwnStudent is for grey images; give grey data")

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> Student:
        return OwnStudent(event_shape, centre, spread * self.gain)


class OwnStudent(Student):
    """x = offset + scale * z, pixel by pixel."""

    def __init__(self, event_shape: tuple[int, ...], centre: float, spread: float) -> None:
        super().__init__()
        self.event_shape = event_shape
        self.offset = nn.Parameter(torch.full(event_shape, centre))
        self.scale = nn.Parameter(torch.full(event_shape, spread))

    def forward(self, z: Tensor) -> Tensor:
        return self.offset + self.scale * z


class OwnTeacherConfig(TeacherConfig):
    """A user's own teacher: a first-order Gaussian chain along the pixels."""

    kind: Literal["tests.own_models:OwnTeacherConfig"] = "tests.own_models:OwnTeacherConfig"

    def check(self, event_shape: tuple[int, ...]) -> None:
        pass

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> Teacher:
        return OwnTeacher(event_shape, centre, spread)


class OwnTeacher(AutoregressiveTeacher):
    """x_t = offset_t + weight_t x_(t-1) + exp(log_scale_t) z_t; decoders come with the base."""

    def __init__(self, event_shape: tuple[int, ...], centre: float, spread: float) -> None:
        super().__init__()
        self.event_shape = event_shape
        self.conditional = GaussianConditional()
        size = torch.Size(event_shape).numel()
        self.offset = nn.Parameter(torch.full((size,), centre))
        self.weight = nn.Parameter(torch.zeros(size))
        self.log_scale = nn.Parameter(torch.full((size,), spread).log())

    def _params(self, x: Tensor) -> Tensor:
        before = nn.functional.pad(x.flatten(1), (1, -1))
        mean = self.offset + self.weight * before
        return torch.stack([mean, self.log_scale.expand_as(mean)], dim=-1)

    def encode(self, x: Tensor) -> Encoding:
        noise = self.conditional.to_noise(x.flatten(1), self._params(x))
        return Encoding(noise.z.view_as(x), noise.log_derivative.sum(1))

    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        return self.conditional.from_noise(z.flatten(1), self._params(x)).view_as(x)

    def decoding_order(self) -> Tensor:
        return torch.arange(self.dimension)


class FlowOnlyInName(StudentConfig):
    """Not complete: it says neither how to check itself nor how to build."""

    kind: str = "tests.own_models:FlowOnlyInName"
    is_flow: ClassVar[bool] = True


FLOW = {"kind": "pixelcnn_flow", "channels": 4, "blocks": 1, "stages": 1}


class FramedTeacherConfig(OwnTeacherConfig):
    """Says what conditioning it takes, but its teacher carries no state from window to window."""

    kind: str = "tests.own_models:FramedTeacherConfig"
    features: int = 27
    hop: int = 40


class FramedStudentConfig(OwnStudentConfig):
    """Says what conditioning it takes, but its student is no flow."""

    kind: str = "tests.own_models:FramedStudentConfig"
    features: int = 27
    hop: int = 40

    def check(self, event_shape: tuple[int, ...]) -> None:
        """Any shape will do."""


class FramedFlowInNameConfig(FramedStudentConfig):
    """Says it is a flow; what it builds is none."""

    kind: str = "tests.own_models:FramedFlowInNameConfig"
    is_flow: ClassVar[bool] = True
