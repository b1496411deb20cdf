"""Short text for axes and points, in tables and status lines."""

from __future__ import annotations

from raydistill.cluster.design.question import Point


def point_text(point: Point) -> str:
    """A point of the search space in one short line.

    Example:
        >>> point_text({"objective.kind": "oracle", "optimiser.learning_rate": 0.00123456})
        'objective=oracle learning_rate=0.00123'
    """
    return " ".join(f"{axis_name(name)}={value_text(value)}" for name, value in point.items())


def axis_name(path: str) -> str:
    """The last part of a dotted field, or the one before `kind`, which alone says nothing."""
    parts = path.split(".")
    return parts[-2] if parts[-1] == "kind" and len(parts) > 1 else parts[-1]


def value_text(value: object) -> str:
    """A value of an axis, numbers to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
