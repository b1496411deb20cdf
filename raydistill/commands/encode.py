"""`raydistill encode`: the codes z = T(x) of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from raydistill.commands.inputs import (
    ARRAYS,
    PICTURES,
    RECORDINGS,
    TASK,
    TEACHER,
    read_array,
    read_picture,
    read_recording,
)
from raydistill.commands.models import load_teacher, refusing
from raydistill.commands.outputs import array_file, open_output, write_file
from raydistill.config.errors import ConfigError
from raydistill.console import ExitStatus

if TYPE_CHECKING:
    import torch

    from raydistill.api.teacher import LoadedTeacher

FITTING = {"image": (*PICTURES, *ARRAYS), "vocoder": RECORDINGS, "gaussian": ARRAYS}
"""Task -> suffixes of files that its teachers encode."""


@dataclass(frozen=True)
class EncodeSettings:
    """Encode pictures, recordings or arrays with a teacher: z = T(x).

    Attributes:
        teacher: STORAGE:KEY, STORAGE/store/teachers/KEY, or the folder of a trial that used it.
        files: PNG files of the teacher's size; mono WAV or FLAC files; or arrays (.npy, .npz,
            .safetensors) as `raydistill sample` writes them, (n, *shape).
        out: a .safetensors file: z, or z_00000, ... with the features of each sound.
        seed: of the noise that gives pictures and recordings, whose values are discrete, a density,
            as in training. Arrays are taken as they are.
        device: cpu or cuda.
        force: replace the file at --out.
    """

    teacher: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TEACHER")]
    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    out: str = "codes.safetensors"
    seed: int = 0
    device: str = "cpu"
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def encode(settings: EncodeSettings) -> ExitStatus:
    """Read the files, encode them in their order, write the codes; prints where.

    Raises:
        ConfigError: an option or a file cannot be; loading raises errors of its own.
    """
    if not settings.files:
        raise ConfigError("files: none are given; give pictures, recordings or arrays")
    if settings.seed < 0:
        raise ConfigError(f"seed: {settings.seed} is none; give 0 or more")
    output = open_output(settings.out, force=settings.force)
    if output.kind != ".safetensors":
        raise ConfigError(f"out: {settings.out!r} is no file of codes; give a .safetensors file")
    teacher = load_teacher(settings.teacher, device=settings.device)
    task = teacher.space.task
    for path in settings.files:
        if path.suffix.lower() not in FITTING[task]:
            raise ConfigError(
                f"files: {str(path)!r} is nothing that this teacher of the {task} task encodes; "
                f"give files that end in {', '.join(FITTING[task])}"
            )
    arrays = _sounds(settings, teacher) if task == "vocoder" else _values(settings, teacher)
    names = [path.name for path in settings.files]
    facts: dict[str, Any] = {TEACHER: teacher.key, TASK: task, "files": names}
    write_file(output, array_file(".safetensors", arrays, facts))
    print(output.path)
    return ExitStatus.OK


def _values(settings: EncodeSettings, teacher: LoadedTeacher) -> dict[str, torch.Tensor]:
    """Codes of pictures and arrays, in the order of the files."""
    import torch

    parts = []
    for index, path in enumerate(settings.files):
        recorded = path.suffix.lower() in PICTURES
        if recorded:
            values = read_picture(path, teacher.event_shape)[None]
        else:
            values = read_array("files", path)
        with refusing(values=f"files: {str(path)!r}"):
            z = teacher.encode(values, dequantise_seed=settings.seed + index if recorded else None)
        assert isinstance(z, torch.Tensor)
        parts.append(z)
    return {"z": torch.cat(parts)}


def _sounds(settings: EncodeSettings, teacher: LoadedTeacher) -> dict[str, torch.Tensor]:
    """Codes of recordings, each with its features, by which alone they can be decoded."""
    from raydistill.api.speech import features_of_sound
    from raydistill.tasks.vocoder.space import SpeechSpace

    space = teacher.space
    assert isinstance(space, SpeechSpace)
    arrays = {}
    for index, path in enumerate(settings.files):
        sound = read_recording(path, space.rate)
        with refusing(values=f"files: {str(path)!r}"):
            features = features_of_sound(space, sound)
            (z,) = teacher.encode(
                [sound], dequantise_seed=settings.seed + index, features=[features]
            )
        arrays[f"z_{index:05}"], arrays[f"features_{index:05}"] = z, features
    return arrays
