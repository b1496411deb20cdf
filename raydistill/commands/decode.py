"""`raydistill decode`: codes as pictures, sounds or arrays, by a teacher or a student."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from raydistill.commands.inputs import read_codes
from raydistill.commands.models import load_model, refusing
from raydistill.commands.outputs import open_output, write_samples
from raydistill.config.errors import ConfigError
from raydistill.console import ExitStatus


@dataclass(frozen=True)
class DecodeSettings:
    """Decode codes: by a teacher x = T^-1(z), by a student its reconstructions S(z).

    Attributes:
        model: a teacher: STORAGE:KEY, STORAGE/store/teachers/KEY, or a trial's folder with
            --teacher; or a trial's folder for its student.
        codes: a file that `raydistill encode` wrote, or an array (n, *shape).
        out: as of `raydistill sample`.
        teacher: decode by the trial's teacher, not by its student.
        device: cpu or cuda.
        force: replace what is at --out.
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TEACHER|TRIAL")]
    codes: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CODES")]
    out: str
    teacher: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    device: str = "cpu"
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def decode(settings: DecodeSettings) -> ExitStatus:
    """Read the codes, decode them, write what they come to; prints where.

    Raises:
        ConfigError: an option or the file cannot be; loading raises errors of its own.
    """
    from raydistill.api.student import LoadedStudent

    output = open_output(settings.out, force=settings.force)
    codes = read_codes(settings.codes)
    model = load_model(settings.model, teacher=settings.teacher, device=settings.device)
    output.require_fit(model.space.task)
    key = model.teacher_key if isinstance(model, LoadedStudent) else model.key
    if codes.teacher and codes.teacher != key:
        raise ConfigError(
            f"codes: {str(settings.codes)!r} are of the teacher {codes.teacher}, and this model "
            f"is of {key}; give one that fits"
        )
    given: dict[str, Any] = {} if codes.features is None else {"features": codes.features}
    with refusing(z="codes", features="codes"):
        samples = model.decode(codes.z, **given)
    write_samples(output, samples, model.space)
    print(output.path)
    return ExitStatus.OK
