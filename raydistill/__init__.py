"""raydistill: probability distillation of autoregressive models, settled by measurement.

The names below are loaded when they are first used: importing this package loads no torch, no
numba and no Ray.

Example:
    >>> import raydistill as rd
    >>> config = rd.presets.image("smoke")
    >>> config.student.kind, config.objective.kind
    ('resnet', 'x_reconstruction')
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raydistill.api import presets as presets
    from raydistill.api.loading import load_student as load_student
    from raydistill.api.loading import load_teacher as load_teacher
    from raydistill.api.student import LoadedStudent as LoadedStudent
    from raydistill.api.teacher import LoadedTeacher as LoadedTeacher
    from raydistill.api.training import Distilled as Distilled
    from raydistill.api.training import distill as distill
    from raydistill.api.training import train_teacher as train_teacher
    from raydistill.config.errors import ConfigError as ConfigError
    from raydistill.data.raw import DataError as DataError
    from raydistill.media.sounds import Sound as Sound
    from raydistill.objectives import Batch as Batch
    from raydistill.objectives import Oracle as Oracle
    from raydistill.objectives import OracleConfig as OracleConfig
    from raydistill.objectives import PowerLoss as PowerLoss
    from raydistill.objectives import PowerLossConfig as PowerLossConfig
    from raydistill.objectives import ReverseKL as ReverseKL
    from raydistill.objectives import ReverseKLConfig as ReverseKLConfig
    from raydistill.objectives import XReconstruction as XReconstruction
    from raydistill.objectives import XReconstructionConfig as XReconstructionConfig
    from raydistill.objectives import ZReconstruction as ZReconstruction
    from raydistill.objectives import ZReconstructionConfig as ZReconstructionConfig
    from raydistill.record import Record as Record
    from raydistill.students.base import FlowStudent as FlowStudent
    from raydistill.students.base import Student as Student
    from raydistill.students.base import StudentConfig as StudentConfig
    from raydistill.tasks.registry import parse_trial as parse_trial
    from raydistill.teachers.autoregressive import AutoregressiveTeacher as AutoregressiveTeacher
    from raydistill.teachers.base import Teacher as Teacher
    from raydistill.teachers.base import TeacherConfig as TeacherConfig
    from raydistill.trials.weights import LoadError as LoadError

__version__ = "0.1.0"

_MODULES = {
    "raydistill.api.presets": "",
    "raydistill.api.loading": "load_student load_teacher",
    "raydistill.api.student": "LoadedStudent",
    "raydistill.api.teacher": "LoadedTeacher",
    "raydistill.api.training": "Distilled distill train_teacher",
    "raydistill.config.errors": "ConfigError",
    "raydistill.data.raw": "DataError",
    "raydistill.media.sounds": "Sound",
    "raydistill.objectives": (
        "Batch Oracle OracleConfig PowerLoss PowerLossConfig ReverseKL ReverseKLConfig "
        "XReconstruction XReconstructionConfig ZReconstruction ZReconstructionConfig"
    ),
    "raydistill.record": "Record",
    "raydistill.students.base": "FlowStudent Student StudentConfig",
    "raydistill.tasks.registry": "parse_trial",
    "raydistill.teachers.autoregressive": "AutoregressiveTeacher",
    "raydistill.teachers.base": "Teacher TeacherConfig",
    "raydistill.trials.weights": "LoadError",
}
"""Where the public names are."""

_PLACES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted([*_PLACES, "presets"])


def __getattr__(name: str) -> Any:
    if name == "presets":
        return importlib.import_module("raydistill.api.presets")
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
