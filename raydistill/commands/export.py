"""`raydistill export`: a trained model as files that run without this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from raydistill.commands.models import load_model
from raydistill.console import ExitStatus


@dataclass(frozen=True)
class ExportSettings:
    """Export a student, or a teacher's encoder, as files that run without this package.

    Attributes:
        model: a trial's folder, or a teacher: STORAGE:KEY, STORAGE/store/teachers/KEY, or a trial's
            folder with --teacher.
        out: a new folder.
        format: safetensors (weights, with the model as plain PyTorch), torch-export (a program for
            PyTorch alone) or onnx.
        teacher: export the trial's teacher, not its student.
        replica: of a trial that trained several students in one stack: which, from 0.
        force: replace an earlier export in that folder.
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TRIAL|TEACHER")]
    out: str
    format: Literal["safetensors", "torch-export", "onnx"] = "torch-export"
    teacher: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    replica: int | None = None
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def export(settings: ExportSettings) -> ExitStatus:
    """Load, export, and print the folder and what is in it.

    Raises:
        ExportError: format, folder or model do not allow it; loading raises errors of its own.
    """
    from raydistill.export.formats import check_format

    check_format(settings.format)
    model = load_model(
        settings.model, teacher=settings.teacher, device="cpu", replica=settings.replica
    )
    exported = model.export(settings.out, settings.format, overwrite=settings.force)
    print(exported.folder)
    for name in exported.files:
        print(f"  {name}")
    return ExitStatus.OK
