"""What the driver says of the teachers that it builds, in a file that anyone can read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

FOLDER = "teacher"
"""In a sweep's folder: a folder for each teacher that was trained, by its number."""

PROGRESS = "progress.json"
"""In a teacher's folder."""

MOST_POINTS = 200
"""Of a curve; beyond that every other one is dropped."""

Point = tuple[int, float]
"""Updates and a value."""


@dataclass
class TeacherProgress:
    """How far a teacher's training is.

    Attributes:
        label: what it is a teacher of.
        updates: done.
        total: to do.
        seconds: of devices, so far.
        curves: name to points; losses and validation metrics.
    """

    label: str
    updates: int = 0
    total: int = 0
    seconds: float = 0.0
    curves: dict[str, list[Point]] = field(default_factory=dict)

    def add(self, name: str, updates: int, value: float) -> None:
        """Add a point to a curve."""
        curve = self.curves.setdefault(name, [])
        curve.append((updates, value))
        if len(curve) > MOST_POINTS:
            del curve[1:-1:2]

    def to_json(self) -> str:
        """As one line of JSON; what is no number becomes text."""
        return json.dumps(_finite(asdict(self)), allow_nan=False) + "\n"


def parse_progress(text: str | bytes) -> TeacherProgress | None:
    """The progress that a file has; None if it is damaged, or another program's."""
    try:
        values = json.loads(text)
        curves = {
            str(name): [(int(updates), float(value)) for updates, value in points]
            for name, points in values["curves"].items()
        }
        return TeacherProgress(
            str(values["label"]), int(values["updates"]), int(values["total"]),
            float(values["seconds"]), curves,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def shown_curve(progress: TeacherProgress) -> tuple[str, Sequence[Point]]:
    """The curve to show where there is room for one: of a validation metric, else of the loss."""
    names = sorted(name for name in progress.curves if name != "loss")
    name = names[0] if names else "loss"
    return name, progress.curves.get(name, [])


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and value - value != 0.0 else value
