"""The device that a process of Ray computes on: the accelerator that it was given, if any."""

from __future__ import annotations

import logging

import torch

logger = logging.getLogger(__name__)


def granted_device(gpus: float) -> torch.device:
    """The device of a task or trial that has asked Ray for so many accelerators.

    Without one it computes on the CPU even where torch sees some: they are promised to others.
    """
    if gpus <= 0.0:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    logger.warning("Ray has given a GPU, and torch sees none here: computing on the CPU")
    return torch.device("cpu")
