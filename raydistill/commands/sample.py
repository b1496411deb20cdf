"""`raydistill sample`: samples of a trained student or teacher as pictures, sounds or arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from raydistill.commands.models import load_model, refusing
from raydistill.commands.outputs import DEFAULTS, open_output, write_samples
from raydistill.config.errors import ConfigError
from raydistill.console import ExitStatus

if TYPE_CHECKING:
    from raydistill.api.student import LoadedStudent
    from raydistill.api.teacher import LoadedTeacher

COUNT, SOUNDS = 64, 4


@dataclass(frozen=True)
class SampleSettings:
    """Sample a trained student or teacher: pictures, sounds or arrays.

    Attributes:
        model: a trial's folder, or a teacher: STORAGE:KEY, STORAGE/store/teachers/KEY, or a trial's
            folder with --teacher.
        count: how many samples; by default 64, of sounds 4.
        out: images: .png (a grid) or a folder (DIR/, a PNG each), with the grey levels of the data;
            sounds: .wav (one after the other) or a folder; everything: .npz, .safetensors, and .npy
            but for sounds, as the model gives it. By default samples.png, samples.wav or
            samples.npy.
        seed: of the codes; equal seeds give equal samples.
        scale: prior scale, the standard deviation of z (a temperature); 1 by default. `best` is
            what the validation split chose for a student, `matched` what it was given in training.
        teacher: sample the trial's teacher, not its student.
        recording: of models of speech: a mono WAV or FLAC file to say again.
        features: of models of speech: a .npy file of WORLD features, (frames, features).
        replica: of a trial that trained several students in one stack: which, from 0; by default
            all, as (count, replicas, dimension).
        device: cpu or cuda.
        force: replace what is at --out.
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TRIAL|TEACHER")]
    count: int | None = None
    out: str | None = None
    seed: int = 0
    scale: float | Literal["best", "matched"] | None = None
    teacher: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    recording: Path | None = None
    features: Path | None = None
    replica: int | None = None
    device: str = "cpu"
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def sample(settings: SampleSettings) -> ExitStatus:
    """Draw the samples and write them; prints where.

    Raises:
        ConfigError: an option cannot be; loading raises errors of its own.
    """
    _check(settings)
    output = None
    if settings.out is not None:
        output = open_output(settings.out, force=settings.force)
    model = load_model(
        settings.model, teacher=settings.teacher, device=settings.device, replica=settings.replica
    )
    task = model.space.task
    if output is None:
        output = open_output(DEFAULTS[task], force=settings.force)
    output.require_fit(task)
    count = settings.count or (SOUNDS if task == "vocoder" else COUNT)
    with refusing(n="count", scale="scale", features="features", recording="recording"):
        samples = model.sample(
            count, seed=settings.seed, scale=_scale(settings, model), **_conditioning(settings)
        )
    write_samples(output, samples, model.space)
    print(output.path)
    return ExitStatus.OK


def _check(settings: SampleSettings) -> None:
    """Raise ConfigError for what can be known to be wrong before anything is loaded."""
    if settings.count is not None and settings.count < 1:
        raise ConfigError(f"count: {settings.count} samples cannot be drawn; give 1 or more")
    if settings.seed < 0:
        raise ConfigError(f"seed: {settings.seed} is none; give 0 or more")
    scale = settings.scale
    if isinstance(scale, float) and not (math.isfinite(scale) and scale >= 0.0):
        raise ConfigError(f"scale: {scale} is no standard deviation; give 0 or more")
    if settings.recording is not None and settings.features is not None:
        raise ConfigError("features: a recording is given too; give one of the two")


def _scale(settings: SampleSettings, model: LoadedStudent | LoadedTeacher) -> float | None:
    if settings.scale is None or isinstance(settings.scale, float):
        return settings.scale
    from raydistill.api.student import LoadedStudent

    if not isinstance(model, LoadedStudent):
        raise ConfigError(
            f"scale: {settings.scale!r} has a meaning for students alone; give a number"
        )
    if settings.scale == "matched":
        return model.matched_scale
    if model.best_scale is None:
        raise ConfigError("scale: 'best' was not looked for in this trial; give a number")
    return model.best_scale


def _conditioning(settings: SampleSettings) -> dict[str, Any]:
    """What a model of speech is conditioned on, where it is given."""
    from raydistill.commands.inputs import read_array

    if settings.recording is not None:
        return {"recording": settings.recording}
    if settings.features is not None:
        return {"features": read_array("features", settings.features)}
    return {}
