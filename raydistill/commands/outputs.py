"""Samples as files: which kind a path asks for, and writing it whole or not at all."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydistill.config.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from raydistill.media.sounds import Sound
    from raydistill.tasks.space import Space

    Samples = torch.Tensor | list[Sound]

ARRAYS = (".npy", ".npz", ".safetensors")
FOLDER = "a folder"
KINDS = {
    "image": (".png", FOLDER, *ARRAYS),
    "vocoder": (".wav", FOLDER, ".npz", ".safetensors"),
    "gaussian": ARRAYS,
}
"""Task -> what its samples can be written as; a folder holds a PNG or a WAV file a sample."""

DEFAULTS = {"image": "samples.png", "vocoder": "samples.wav", "gaussian": "samples.npy"}
PAUSE = 0.5
"""Seconds of silence between the sounds of one WAV file."""

OURS = re.compile(r"sample_\d{5,}\.(png|wav)")
"""Files of a folder that `--force` may replace."""


@dataclass(frozen=True)
class Output:
    """A place that samples can be written to, checked before any work.

    Attributes:
        path: local path, or URI of a file in a bucket.
        kind: a suffix, or `FOLDER`.
        force: whether what is there may be replaced.
    """

    path: str
    kind: str
    force: bool

    def require_fit(self, task: str) -> None:
        """Raise ConfigError unless samples of a task can be written so."""
        if self.kind not in KINDS[task]:
            raise ConfigError(
                f"out: {self.path!r} is no place for samples of the {task} task; give a name that "
                f"ends in one of {', '.join(kind for kind in KINDS[task] if kind != FOLDER)}"
                f"{', or a folder (DIR/)' * (FOLDER in KINDS[task])}"
            )


def open_output(path: str, *, force: bool) -> Output:
    """Look at a place without writing there.

    Raises:
        ConfigError: it cannot be written, or something is there already and `force` is not given.
    """
    local = "://" not in path
    folder = path.endswith("/") or (local and os.path.isdir(os.path.expanduser(path)))
    kind = FOLDER if folder or not Path(path).suffix else Path(path).suffix.lower()
    if kind == FOLDER and not local:
        raise ConfigError(f"out: {path!r} is no local folder; give one, and copy it from there")
    output = Output(path, kind, force)
    if not local:
        return output
    target = Path(path).expanduser()
    if kind == FOLDER:
        _check_folder(target, path, force)
    elif target.exists() and not force:
        raise ConfigError(f"out: {path!r} exists; give another name, or --force to replace it")
    return output


def write_samples(output: Output, samples: Samples, space: Space) -> None:
    """Write samples as their place asks for.

    Pictures have the grey levels of the data, arrays what the model gave, which `encode` takes.

    Raises:
        ConfigError: it cannot be written.
    """
    import torch

    if output.kind == FOLDER:
        images = isinstance(samples, torch.Tensor)
        files = _picture_files(space.to_recorded(samples)) if images else _sound_files(samples)  # type: ignore[arg-type]
        write_folder(output, files)
        return
    if output.kind == ".png":
        content = _grid(space.to_recorded(samples))  # type: ignore[arg-type]
    elif output.kind == ".wav":
        content = _one_sound(samples)  # type: ignore[arg-type]
    elif isinstance(samples, torch.Tensor):
        content = array_file(output.kind, {"samples": samples}, {})
    else:
        rates = {one.rate for one in samples}
        named = {f"sample_{index:05}": one.samples for index, one in enumerate(samples)}
        content = array_file(output.kind, named, {"rate": rates.pop()})
    write_file(output, content)


def array_file(suffix: str, arrays: dict[str, torch.Tensor], facts: dict[str, Any]) -> bytes:
    """The content of a file of arrays.

    Args:
        suffix: one of `ARRAYS`; `.npy` holds one array and no facts.
        arrays: by name.
        facts: kept beside them: as metadata of safetensors in JSON, as scalars of `.npz`.
    """
    import numpy as np
    import safetensors.torch

    values = {name: value.detach().cpu().contiguous() for name, value in arrays.items()}
    if suffix == ".safetensors":
        metadata = {name: json.dumps(value) for name, value in facts.items()}
        return safetensors.torch.save(values, metadata=metadata or None)
    buffer = io.BytesIO()
    if suffix == ".npy":
        (value,) = values.values()
        np.save(buffer, value.numpy())
    else:
        named: dict[str, Any] = {name: value.numpy() for name, value in values.items()}
        np.savez(buffer, **named, **facts)
    return buffer.getvalue()


def write_file(output: Output, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    from raydistill.store.storage import Storage

    with _refusing_to_write(output.path):
        folder, name = Storage.open_parent(output.path)
        folder.write(name, content)


def write_folder(output: Output, files: Iterator[tuple[str, bytes]]) -> None:
    """Write a folder whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    target = Path(output.path).expanduser().absolute()
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
    with _refusing_to_write(output.path):
        try:
            partial.mkdir(parents=True)
            for name, content in files:
                (partial / name).write_bytes(content)
            if target.exists():
                target.replace(aside)
            partial.replace(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if aside.exists() and not target.exists():
                aside.replace(target)
            shutil.rmtree(aside, ignore_errors=True)


def _check_folder(target: Path, path: str, force: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigError(f"out: {path!r} is a file; give another name for the folder")
    names = os.listdir(target)
    if names and not force:
        raise ConfigError(
            f"out: {path!r} is not empty; give another folder, or --force to replace its samples"
        )
    others = [name for name in names if not OURS.fullmatch(name)]
    if others:
        raise ConfigError(
            f"out: {path!r} holds more than samples ({others[0]}), which is not replaced; give "
            "another folder"
        )


def _grid(images: torch.Tensor) -> bytes:
    from raydistill.media.pictures import grid, png

    return png(grid(images))


def _picture_files(images: torch.Tensor) -> Iterator[tuple[str, bytes]]:
    """One PNG file an image, a pixel a pixel, so that other programs can read them as data."""
    from raydistill.media.pictures import png

    for index, image in enumerate(images):
        yield f"sample_{index:05}.png", png(image, enlarged=1)


def _sound_files(sounds: list[Sound]) -> Iterator[tuple[str, bytes]]:
    from raydistill.media.sounds import wav

    for index, sound in enumerate(sounds):
        yield f"sample_{index:05}.wav", wav(sound)


def _one_sound(sounds: list[Sound]) -> bytes:
    """All sounds one after the other, with pauses between."""
    import torch

    from raydistill.media.sounds import Sound, wav

    rate = sounds[0].rate
    pause = torch.zeros(int(PAUSE * rate))
    parts = [part for sound in sounds for part in (sound.samples, pause)][:-1]
    return wav(Sound(torch.cat(parts), rate))


@contextlib.contextmanager
def _refusing_to_write(path: str) -> Iterator[None]:
    from raydistill.store.storage import StorageError

    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise ConfigError(
            f"out: {path!r} cannot be written ({error.strerror or error}); give a place that you "
            "own, with room"
        ) from error
