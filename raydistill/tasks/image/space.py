"""Images as models see them: dequantised, as logits, with the scale of the training split."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from raydistill.data.grey_levels import to_recorded
from raydistill.data.images import ImageData
from raydistill.data.logit import (
    bits_per_dimension,
    dequantise,
    from_logit,
    log_unit_density,
    to_logit,
)
from raydistill.metrics.likelihood import logits_of
from raydistill.seeding import generator
from raydistill.students.base import Student
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.space import Space
from raydistill.teachers.base import Teacher, TeacherConfig


class ImageSpace(Space):
    """Models compute on logits of pixels; values are images in [0, 1].

    Attributes:
        shape: (C, H, W).
        levels: grey levels of the data set.
        centre, spread: mean and standard deviation of the training logits over all pixels.
    """

    task: Literal["image"] = "image"
    shape: tuple[int, int, int]
    levels: int = Field(ge=2)
    centre: float
    spread: float = Field(gt=0.0)

    @classmethod
    def of_images(cls, data: ImageData) -> ImageSpace:
        """Measured on the training split, dequantised once."""
        x = logits_of(data.train, data.levels, torch.device("cpu"), "scale")
        return cls(
            shape=data.image_shape,
            levels=data.levels,
            centre=float(x.mean()),
            spread=float(x.std()),
        )

    @classmethod
    def of_data(cls, config: ImageTrial) -> ImageSpace:
        return cls.of_images(config.data.load())

    def build_student(self, config: ImageTrial) -> Student:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return config.student.build(self.shape, centre=self.centre, spread=self.spread)

    def build_teacher(self, model: TeacherConfig) -> Teacher:
        return model.build(self.shape, centre=self.centre, spread=self.spread)

    def to_values(self, x: Tensor) -> Tensor:
        return from_logit(x)

    def to_model(self, values: Tensor) -> Tensor:
        return to_logit(values)

    def make_continuous(self, values: Tensor, seed: int) -> Tensor:
        """Images v / (levels - 1) of whole levels v as (v + u) / levels, u uniform in [0, 1)."""
        whole = (values * (self.levels - 1)).round()
        return dequantise(whole, self.levels, generator(values.device, "dequantise", seed))

    def to_recorded(self, values: Tensor) -> Tensor:
        """Images (v + u) / levels as v / (levels - 1)."""
        return to_recorded(values, self.levels)

    def log_prob_of_values(self, log_prob: Tensor, x: Tensor) -> Tensor:
        return log_unit_density(log_prob, x)

    def bits_per_dimension(self, log_prob: Tensor, x: Tensor) -> Tensor:
        return bits_per_dimension(log_prob, x, self.levels)
