"""Students whose metrics are known."""

from __future__ import annotations

import torch
from torch import Tensor

from raydistill.students.base import Student
from raydistill.tasks.image.task import ImageTask


class TeacherInverse(Student):
    """The perfect student: it decodes exactly, and is as slow as that."""

    def __init__(self, task: ImageTask) -> None:
        super().__init__()
        self.event_shape = task.teacher.event_shape
        self.decode = task.teacher.decode

    def forward(self, z: Tensor) -> Tensor:
        return self.decode(z)


class Constant(Student):
    """A student that has collapsed to one image."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.event_shape = tuple(image.shape)
        self.image = image

    def forward(self, z: Tensor) -> Tensor:
        # The smallest of noise: covariances of a true constant are all rounding.
        return self.image + 1e-3 * z


class Copier(Student):
    """A student that has learnt images by heart, and gives one of them by the signs of z."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.event_shape = tuple(images.shape[1:])
        self.images = images

    def forward(self, z: Tensor) -> Tensor:
        digits = len(self.images).bit_length()
        places = 2 ** torch.arange(digits, device=z.device)
        index = ((z.flatten(1)[:, :digits] > 0) * places).sum(1)
        return self.images[index % len(self.images)]


class InOrder(Student):
    """A student that gives stored images one after another, whatever z, from the first again."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.event_shape = tuple(images.shape[1:])
        self.images, self.given = images, 0

    def forward(self, z: Tensor) -> Tensor:
        index = (self.given + torch.arange(len(z))) % len(self.images)
        self.given += len(z)
        return self.images[index]
