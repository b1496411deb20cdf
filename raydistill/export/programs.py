"""Programs: what an exported model computes, from what a user has to what a user wants.

A program is a plain module with named tensor inputs and outputs:

    images      z (B, C, H, W) -> images in [0, 1], and the logits x that the student gives
    vectors     z (B, ...) -> x
    speech      z (B, N), features (B, N / hop, F) -> samples
    teachers    x (B, ...) [, features] -> z = T(x), and log |det dT/dx| of each example in nats
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from raydistill.data.logit import from_logit
from raydistill.students.base import Student
from raydistill.students.conditioned import ConditionedFlow
from raydistill.teachers.base import Teacher
from raydistill.teachers.conditioned import ConditionedTeacher

BATCH, FRAMES = "batch", "frames"
"""Names of the dimensions that an exported program leaves open."""

FEWEST_FRAMES = 2
"""Of a sequence. With one, torch.export could not tell a frame from a dimension to broadcast."""

Size = int | str | tuple[int, str]
"""A size of an input: fixed, open by its name, or a multiple (hop, "frames")."""


class SpeechScale(Protocol):
    """What the samples and features of a speech data set were standardised with."""

    @property
    def spread(self) -> float:
        """Standard deviation of the samples."""
        ...

    @property
    def centre(self) -> Sequence[float]:
        """Mean of each feature."""
        ...

    @property
    def deviation(self) -> Sequence[float]:
        """Standard deviation of each feature."""
        ...


@dataclass(frozen=True)
class Input:
    """An input of a program.

    Attributes:
        name: of the argument of `forward`.
        sizes: its shape.
        draw: the method of numpy's Generator that examples are drawn by.
        centre, deviation: examples are centre + deviation * draw, along the last dimension.
    """

    name: str
    sizes: tuple[Size, ...]
    draw: Literal["standard_normal", "logistic"] = "standard_normal"
    centre: float | tuple[float, ...] = 0.0
    deviation: float | tuple[float, ...] = 1.0

    def shape(self, batch: int, frames: int) -> tuple[int, ...]:
        """Its shape for so many examples, and frames of a sequence."""
        opened = {BATCH: batch, FRAMES: frames}
        return tuple(
            size
            if isinstance(size, int)
            else opened[size]
            if isinstance(size, str)
            else size[0] * opened[size[1]]
            for size in self.sizes
        )

    def examples(self, random: np.random.Generator, batch: int, frames: int) -> Tensor:
        """Examples in float64; see `draw`."""
        drawn = getattr(random, self.draw)(size=self.shape(batch, frames))
        return torch.from_numpy(np.asarray(self.centre) + np.asarray(self.deviation) * drawn)


@dataclass(frozen=True)
class Program:
    """A module with the names and sizes of what goes in and comes out.

    Attributes:
        module: takes tensors in the order of `inputs`, returns a tuple in the order of `outputs`.
        inputs: see `Input`.
        outputs: names.
        meaning: what the inputs and outputs are, a line each, by name.
    """

    module: nn.Module
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    meaning: dict[str, str]


class ImageProgram(nn.Module):
    """(images, x) of codes z, all (B, C, H, W): x = S(z) are logits, images are in [0, 1]."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.model = student

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x = self.model(z)
        return from_logit(x), x


class VectorProgram(nn.Module):
    """x = S(z), of the shape of z."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.model = student

    def forward(self, z: Tensor) -> tuple[Tensor]:
        return (self.model(z),)


class _Standardised(nn.Module):
    """Samples and features on the scale of the data set, or on the model's where there is none."""

    centre: Tensor
    deviation: Tensor

    def __init__(self, features: int, scale: SpeechScale | None) -> None:
        super().__init__()
        self.scaled, self.spread = scale is not None, 1.0 if scale is None else scale.spread
        centre = [0.0] * features if scale is None else list(scale.centre)
        deviation = [1.0] * features if scale is None else list(scale.deviation)
        if self.scaled:
            self.register_buffer("centre", torch.tensor(centre))
            self.register_buffer("deviation", torch.tensor(deviation))

    def standardise(self, features: Tensor) -> Tensor:
        return (features - self.centre) / self.deviation if self.scaled else features


class SpeechProgram(_Standardised):
    """samples = spread * S(z; (features - centre) / deviation), z (B, N), (B, N / hop, F)."""

    def __init__(self, student: ConditionedFlow, scale: SpeechScale | None) -> None:
        super().__init__(student.features, scale)
        self.model = student

    def forward(self, z: Tensor, features: Tensor) -> tuple[Tensor]:
        x = self.model.steps_given(z, self.standardise(features)).x
        return (self.spread * x if self.scaled else x,)


class EncodingProgram(nn.Module):
    """z = T(x) of the shape of x, and log |det dT/dx| (B,), in nats."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.model = teacher

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        encoding = self.model.encode(x)
        return encoding.z, encoding.log_det


class SpeechEncodingProgram(_Standardised):
    """z = T(x / spread; standardised features), (B, N), and log |det dz/dx| (B,), in nats."""

    def __init__(self, teacher: ConditionedTeacher, scale: SpeechScale | None) -> None:
        super().__init__(teacher.features, scale)
        self.model = teacher

    def forward(self, x: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        teacher = self.model.given(self.standardise(features))
        encoding = teacher.encode(x / self.spread if self.scaled else x)
        log_det = encoding.log_det
        if self.scaled:
            log_det = log_det - x.shape[1] * float(np.log(self.spread))
        return encoding.z, log_det


IMAGE_DIMENSIONS = 3
"""(C, H, W): an example of this many dimensions is an image, given to models as logits."""

PIXELS = "pixels in [0, 1], continuous: of data with L grey levels, floor(L * value) is the level"
Z = "codes: draws from N(0, 1) times a prior scale (a temperature), or a teacher's encoding"
FEATURES = {
    False: "standardised features of each frame: (features - mean) / deviation of the data set",
    True: "features of each frame, as analysed",
}
SAMPLES = {
    False: "samples in standard deviations of the data set",
    True: "samples at full scale 1",
}
LOG_DET = "log |det dz/dx| of each example, in nats"


def student_program(student: Student, scale: SpeechScale | None = None) -> Program:
    """What a student's export computes; see the module.

    Args:
        student: any of the registry, or of the user's own.
        scale: of speech. Without it programs take and give standardised numbers.
    """
    shape = tuple(student.event_shape)
    if isinstance(student, ConditionedFlow):
        meaning = {"z": Z, "features": FEATURES[bool(scale)], "samples": SAMPLES[bool(scale)]}
        inputs = _sequence("z", student.hop, student.features, scale, 1.0)
        return Program(SpeechProgram(student, scale), inputs, ("samples",), meaning)
    z = (Input("z", (BATCH, *shape)),)
    if len(shape) == IMAGE_DIMENSIONS:
        meaning = {"z": Z, "images": PIXELS, "x": "logits of the pixels, S(z)"}
        return Program(ImageProgram(student), z, ("images", "x"), meaning)
    return Program(VectorProgram(student), z, ("x",), {"z": Z, "x": "samples S(z)"})


def teacher_program(teacher: Teacher, scale: SpeechScale | None = None) -> Program:
    """What the export of a teacher's `encode` computes; see the module.

    Args:
        teacher: any of the registry, or of the user's own.
        scale: of speech. Without it programs take standardised numbers.
    """
    shape, outputs = tuple(teacher.event_shape), ("z", "log_det")
    given = {"z": "codes T(x)", "log_det": LOG_DET}
    if isinstance(teacher, ConditionedTeacher):
        given |= {"x": SAMPLES[bool(scale)], "features": FEATURES[bool(scale)]}
        spread = 1.0 if scale is None else scale.spread
        inputs = _sequence("x", teacher.hop, teacher.features, scale, spread)
        return Program(SpeechEncodingProgram(teacher, scale), inputs, outputs, given)
    if len(shape) == IMAGE_DIMENSIONS:
        given["x"] = "logits of dequantised pixels in (0, 1)"
        x = Input("x", (BATCH, *shape), "logistic")
    else:
        given["x"] = "examples"
        x = Input("x", (BATCH, *shape))
    return Program(EncodingProgram(teacher), (x,), outputs, given)


def _sequence(
    name: str, hop: int, features: int, scale: SpeechScale | None, spread: float
) -> tuple[Input, Input]:
    """A sequence of samples and its features."""
    values = Input(name, (BATCH, (hop, FRAMES)), deviation=spread)
    sizes = (BATCH, FRAMES, features)
    if scale is None:
        return values, Input("features", sizes)
    centre, deviation = tuple(scale.centre), tuple(scale.deviation)
    return values, Input("features", sizes, centre=centre, deviation=deviation)
