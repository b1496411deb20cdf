"""Export a student, or a teacher's encoder: a folder that runs without this package."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from raydistill.config.base import FrozenConfig
from raydistill.export.checks import Expected, check_files, expected_of
from raydistill.export.formats import FORMATS, Format, check_format
from raydistill.export.programs import (
    Program,
    SpeechScale,
    student_program,
    teacher_program,
)
from raydistill.export.target import CONFIG, README, new_folder
from raydistill.export.texts import example_script, readme, shape_text
from raydistill.export.tracing import plain_copy, type_of
from raydistill.export.writers import WRITERS
from raydistill.networks.summary import parameter_count
from raydistill.students.base import Student
from raydistill.teachers.base import Teacher
from raydistill.trials.card import CARD

STUDENT, TEACHER = "student", "teacher"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        files: names of its files, the main one first.
    """

    folder: Path
    files: tuple[str, ...]


def export_student(
    student: Student,
    folder: str | os.PathLike[str],
    format: Format = "torch-export",
    *,
    config: FrozenConfig | None = None,
    scale: SpeechScale | None = None,
    card: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a student as a folder: z -> images in [0, 1] and logits, vectors, or samples of speech.

    Nothing is written unless the file was run and gave the model's own numbers.

    Args:
        student: of any kind, the user's own included; it is copied and left as it is.
        folder: a local path, new or empty.
        format: `torch-export`, `onnx` or `safetensors`; see `raydistill.export.formats`.
        config: the student's; None takes `student.config` where there is one.
        scale: of a speech data set: the program then takes features as they are analysed and gives
            samples at full scale 1; without it both are standardised.
        card: text to keep beside it as `card.md`.
        overwrite: replace an earlier export in this folder.

    Raises:
        ExportError: format, folder or model do not allow it.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from raydistill.export import export_student
        >>> from raydistill.students.linear import LinearStudentConfig
        >>> student = LinearStudentConfig().build((3,))
        >>> with TemporaryDirectory() as folder:
        ...     export_student(student, Path(folder) / "linear", "torch-export").files
        ('student.pt2', 'README.md', 'config.json', 'example.py', 'expected.npz')
    """
    check_format(format)
    program = student_program(plain_copy(student), scale)
    title = f"The student {type(student).__name__}: z to {', '.join(program.outputs)}."
    facts = _Facts(STUDENT, title, student, config, scale, card)
    return _export(program, facts, folder, format, overwrite)


def export_teacher(
    teacher: Teacher,
    folder: str | os.PathLike[str],
    format: Format = "torch-export",
    *,
    config: FrozenConfig | None = None,
    scale: SpeechScale | None = None,
    card: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a teacher's `encode` as a folder: x -> z = T(x) and log |det dT/dx|.

    Its parameters are those of `export_student`. Decoding is a loop over dimensions and is not
    exported: that is what students are for.

    Raises:
        ExportError: format, folder or model do not allow it.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from raydistill.export import export_teacher
        >>> from raydistill.teachers.gaussian import GaussianTeacherConfig
        >>> teacher = GaussianTeacherConfig().build((3,))
        >>> with TemporaryDirectory() as folder:
        ...     export_teacher(teacher, Path(folder) / "teacher", "torch-export").files[0]
        'teacher.pt2'
    """
    check_format(format)
    program = teacher_program(plain_copy(teacher), scale)
    title = f"The encoder of the teacher {type(teacher).__name__}: x to z and log_det."
    facts = _Facts(TEACHER, title, teacher, config, scale, card)
    return _export(program, facts, folder, format, overwrite)


@dataclass(frozen=True)
class _Facts:
    """What is said of a model beside its program; fields as in `export_student`."""

    role: str
    title: str
    model: Student | Teacher
    config: FrozenConfig | None
    scale: SpeechScale | None
    card: str | None


def _export(
    program: Program,
    facts: _Facts,
    folder: str | os.PathLike[str],
    format: str,
    overwrite: bool,
) -> Exported:
    program = dataclasses.replace(program, module=program.module.to(type_of(program.module)))
    name = facts.role
    with new_folder(folder, overwrite) as partial:
        expected = expected_of(program)
        WRITERS[format](program, partial, name)
        check_files(program, expected, partial, name, format)
        named = zip(
            (*(one.name for one in program.inputs), *program.outputs),
            (*expected.inputs, *expected.outputs),
            strict=True,
        )
        arrays: dict[str, Any] = {label: value.numpy() for label, value in named}
        np.savez(partial / "expected.npz", **arrays)
        script = example_script(program, expected, name, format, facts.title)
        texts = {
            "example.py": script,
            CONFIG: json.dumps(_described(program, facts, format, expected), indent=2) + "\n",
            README: readme(program, name, format, facts.title, _one_line(facts.model)),
        }
        if facts.card is not None:
            texts[CARD] = facts.card
        for label, text in texts.items():
            (partial / label).write_text(text, encoding="utf-8")
        names = sorted(path.name for path in partial.iterdir())
    main = f"{name}{FORMATS[format].suffix}"
    names.remove(main)
    return Exported(Path(folder).expanduser().absolute(), (main, *names))


def _described(
    program: Program, facts: _Facts, format: str, expected: Expected
) -> dict[str, object]:
    """`config.json`: kind, sizes and conventions, for a program to read."""
    config = facts.config if facts.config is not None else getattr(facts.model, "config", None)
    scale = facts.scale
    return {
        "role": facts.role,
        "model": type(facts.model).__name__,
        "config": config.model_dump(mode="json") if isinstance(config, FrozenConfig) else None,
        "event_shape": list(facts.model.event_shape),
        "parameters": parameter_count(facts.model),
        "type": str(expected.inputs[0].numpy().dtype),
        "format": format,
        "torch": torch.__version__,
        "inputs": {one.name: shape_text(one.sizes) for one in program.inputs},
        "outputs": list(program.outputs),
        "meaning": program.meaning,
        "tolerances": dict(zip(program.outputs, expected.tolerances, strict=True)),
        "scale": None
        if scale is None
        else {
            "spread": scale.spread,
            "centre": list(scale.centre),
            "deviation": list(scale.deviation),
        },
    }


def _one_line(model: nn.Module) -> str:
    """Its facts as its repr shows them, without torch's tree of modules."""
    return f"{type(model).__name__}({model.extra_repr()})"
