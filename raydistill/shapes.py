"""Shapes of one example, checked where a model needs a certain kind."""

from __future__ import annotations


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
