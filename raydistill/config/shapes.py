"""Checks of shapes: what a model accepts, and what its conditioning must look like."""

from __future__ import annotations

from torch import Tensor


def image_shape(field: str, event_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return an event shape as (channels, height, width).

    Args:
        field: the configuration's field that an error message names.
        event_shape: shape of one example.

    Raises:
        ValueError: it is not the shape of an image.
    """
    if len(event_shape) != 3:
        raise ValueError(
            f"{field}: needs images (channels, height, width), not examples of shape "
            f"{event_shape}; choose a model for vectors, or another task"
        )
    depth, height, width = event_shape
    return depth, height, width


def vector_length(field: str, event_shape: tuple[int, ...]) -> int:
    """Return the length T of an event shape (T,).

    Args:
        field: the configuration's field that an error message names.
        event_shape: shape of one example.

    Raises:
        ValueError: it is not the shape of a vector.
    """
    if len(event_shape) != 1:
        raise ValueError(
            f"{field}: needs vectors, not examples of shape {event_shape}; choose a model for "
            "images, or the gaussian task"
        )
    return event_shape[0]


def sequence_length(field: str, event_shape: tuple[int, ...], hop: int) -> int:
    """Return the number of samples N of an event shape (N,).

    Args:
        field: the configuration's field that an error message names.
        event_shape: shape of one example.
        hop: samples in a frame of conditioning.

    Raises:
        ValueError: it is not the shape of a sequence, or N is not a multiple of `hop`.
    """
    if len(event_shape) != 1:
        raise ValueError(
            f"{field}: needs sequences (samples,), not examples of shape {event_shape}; choose a "
            "model for images, or another task"
        )
    if event_shape[0] % hop:
        raise ValueError(
            f"{field}: {event_shape[0]} samples are no whole number of frames of {hop}; give a "
            "multiple"
        )
    return event_shape[0]


def mean_conditioning(x: Tensor, hop: int, features: int) -> Tensor:
    """The conditioning of a model that is called without one: zeros (B, N / hop, features).

    Features are standardised, so that zero is their mean.

    Args:
        x: sequences, (B, N).
        hop: samples in a frame.
        features: how many numbers condition one frame.

    Raises:
        ValueError: N is not a multiple of `hop`.
    """
    frames, rest = divmod(x.shape[1], hop)
    if rest:
        raise ValueError(
            f"x: {x.shape[1]} samples are no whole number of frames; give a multiple of {hop}"
        )
    return x.new_zeros(len(x), frames, features)


def check_conditioning(conditioning: Tensor, features: int) -> None:
    """Raise ValueError unless conditioning has the shape (B, frames, features)."""
    if conditioning.dim() != 3 or conditioning.shape[2] != features:
        raise ValueError(
            f"conditioning: shape {tuple(conditioning.shape)} does not fit; expected (batch, "
            f"frames, {features})"
        )
