"""The registry of teachers and students: from a `kind` to the class of its configuration.

A kind is a name from the tables below, or `package.module:ConfigClass` for a model of your own. A
configuration class knows how to check itself against the data and how to build its model; nothing
else needs to know the model.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, TypeVar

from raydistill.students.base import StudentConfig
from raydistill.teachers.base import TeacherConfig

TEACHERS = {
    "pixelcnn": "raydistill.teachers.pixelcnn:PixelCNNConfig",
    "gaussian": "raydistill.teachers.gaussian:GaussianTeacherConfig",
    "samplernn": "raydistill.teachers.samplernn:SampleRNNConfig",
}
"""Kind of a teacher -> module and class of its configuration."""

STUDENTS = {
    "resnet": "raydistill.students.resnet:ResNetConfig",
    "pixelcnn_flow": "raydistill.students.pixelcnn_flow:PixelCNNFlowConfig",
    "linear": "raydistill.students.linear:LinearStudentConfig",
    "wavenet_flow": "raydistill.students.wavenet_flow:WaveNetFlowConfig",
}
"""Kind of a student -> module and class of its configuration."""

Config = TypeVar("Config", TeacherConfig, StudentConfig)


def resolve_teacher(value: Any) -> TeacherConfig:
    """The configuration of a teacher from a dictionary with a `kind`, or from the kind alone.

    A configuration is returned as it is.

    Raises:
        ValueError: the kind is unknown, or a field is wrong.

    Example:
        >>> from raydistill.tasks.models import resolve_teacher
        >>> type(resolve_teacher({"kind": "pixelcnn", "channels": 8})).__name__
        'PixelCNNConfig'
    """
    return _resolve("teacher.model", value, TEACHERS, TeacherConfig)  # type: ignore[type-abstract]


def resolve_student(value: Any) -> StudentConfig:
    """The configuration of a student from a dictionary with a `kind`, or from the kind alone.

    A configuration is returned as it is.

    Raises:
        ValueError: the kind is unknown, or a field is wrong.

    Example:
        >>> from raydistill.tasks.models import resolve_student
        >>> resolve_student("resnet")
        ResNetConfig(kind='resnet', channels=64, blocks=4, patch=2)
    """
    return _resolve("student", value, STUDENTS, StudentConfig)  # type: ignore[type-abstract]


def _resolve(field: str, value: Any, table: dict[str, str], base: type[Config]) -> Config:
    if isinstance(value, base):
        return value
    kind = value.get("kind") if isinstance(value, dict) else value
    path = table.get(str(kind), str(kind))
    module_name, _, class_name = path.partition(":")
    config_class, reason = None, ""
    try:
        config_class = (
            getattr(importlib.import_module(module_name), class_name) if class_name else None
        )
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        reason = f" ({error})"
    if not (
        isinstance(config_class, type) and issubclass(config_class, base)
    ) or inspect.isabstract(config_class):
        raise ValueError(
            f"{field}.kind: {kind!r} is unknown{reason}; choose one of {', '.join(table)}, or give "
            f"module:Class of a {base.__name__} of your own"
        )
    return config_class.model_validate(value if isinstance(value, dict) else {"kind": kind})
