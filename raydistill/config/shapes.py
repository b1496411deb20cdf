"""Shapes of one example, checked where a model needs a certain kind."""

from __future__ import annotations

from torch import Tensor


def image_shape(field: str, event_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """An event shape as (C, H, W).

    Raises:
        ValueError: it is no image; the message names the field.
    """
    if len(event_shape) != 3:
        raise ValueError(
            f"{field}: needs images (channels, height, width), not examples of shape "
            f"{event_shape}; choose a model for vectors, or another task"
        )
    depth, height, width = event_shape
    return depth, height, width


def vector_length(field: str, event_shape: tuple[int, ...]) -> int:
    """An event shape as the length T of a vector.

    Raises:
        ValueError: it is no vector; the message names the field.
    """
    if len(event_shape) != 1:
        raise ValueError(
            f"{field}: needs vectors, not examples of shape {event_shape}; choose a model for "
            "images, or the gaussian task"
        )
    return event_shape[0]


def sequence_length(field: str, event_shape: tuple[int, ...], hop: int) -> int:
    """The number of samples of an event shape (N,), a multiple of `hop`.

    Raises:
        ValueError: it is no sequence, or no whole number of frames; the message names the field.
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
    """The mean of standardised features, for x (B, N): (B, N / hop, features) of zeros.

    Raises:
        ValueError: N is no multiple of `hop`.
    """
    frames, rest = divmod(x.shape[1], hop)
    if rest:
        raise ValueError(
            f"x: {x.shape[1]} samples are no whole number of frames; give a multiple of {hop}"
        )
    return x.new_zeros(len(x), frames, features)


def check_conditioning(conditioning: Tensor, features: int) -> None:
    """Raise ValueError unless it has the shape (B, F, features)."""
    if conditioning.dim() != 3 or conditioning.shape[2] != features:
        raise ValueError(
            f"conditioning: shape {tuple(conditioning.shape)} does not fit; expected (batch, "
            f"frames, {features})"
        )
