"""Files that `encode` and `decode` are given: pictures, recordings, arrays, codes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydistill.config.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from raydistill.media.sounds import Sound

PICTURES = (".png", ".bmp", ".tif", ".tiff", ".gif")
"""Formats without loss: a JPEG is another image than the one that was recorded."""

RECORDINGS = (".wav", ".flac")
ARRAYS = (".npy", ".npz", ".safetensors")
TEACHER, TASK = "teacher", "task"
"""Metadata of a file of codes."""


def read_array(field: str, path: Path) -> torch.Tensor:
    """The array of a `.npy` file, or the only one of a `.npz` or safetensors file, in float32.

    Args:
        field: what a refusal names.
        path: of the file.

    Raises:
        ConfigError: it is absent, damaged, holds several arrays or something other than numbers.
    """
    import numpy as np
    import torch

    arrays = read_arrays(field, path)[0]
    if len(arrays) != 1:
        names = ", ".join(sorted(arrays)[:5]) or "none"
        raise ConfigError(f"{field}: {str(path)!r} holds {len(arrays)} arrays ({names}); give one")
    (value,) = arrays.values()
    if not np.issubdtype(value.dtype, np.number) or np.issubdtype(value.dtype, np.complexfloating):
        raise ConfigError(f"{field}: {str(path)!r} holds {value.dtype}; give real numbers")
    return torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))


def read_arrays(field: str, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays of a file by name, and the metadata of safetensors.

    Raises:
        ConfigError: it is absent, damaged or no file of arrays.
    """
    import numpy as np
    import safetensors
    import safetensors.numpy

    content = read_bytes(field, path)
    try:
        if path.suffix.lower() == ".safetensors":
            with safetensors.safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
            return safetensors.numpy.load(content), metadata
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"array": found}, {}
        with found:
            return {name: found[name] for name in found.files}, {}
    except Exception as error:
        # zipfile, zlib, numpy and safetensors each have errors of their own for damage.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{field}: {str(path)!r} cannot be read ({reason}); give a whole .npy, .npz or "
            ".safetensors file of numbers"
        ) from error


def read_bytes(field: str, path: Path) -> bytes:
    """The content of a file.

    Raises:
        ConfigError: it is absent or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{field}: no file {str(path)!r}; give one that is there") from None
    except OSError as error:
        raise ConfigError(
            f"{field}: {str(path)!r} cannot be read ({error.strerror}); give another"
        ) from error


def read_picture(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """An image file as (C, H, W) in [0, 1].

    Args:
        path: of the file.
        shape: that the model wants.

    Raises:
        ConfigError: it is damaged, or has another size or number of colours.
    """
    import io

    import numpy as np
    import torch
    from PIL import Image

    content = read_bytes("files", path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            grey = image.mode in ("1", "L")
            mode, size = image.mode, image.size
            depth, height, width = shape
            if (depth == 1) == grey and size == (width, height):
                values = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float32)
                return torch.from_numpy(values).reshape(height, width, depth).permute(2, 0, 1) / 255
    except Exception as error:
        # Pillow raises errors of many classes for damaged files.
        raise ConfigError(
            f"files: {str(path)!r} cannot be read as a picture ({error}); give a PNG file"
        ) from error
    wanted = "grey" if depth == 1 else "colour"
    raise ConfigError(
        f"files: {str(path)!r} is {size[0]}x{size[1]} of mode {mode}, and the model's images are "
        f"{width}x{height}, {wanted}; give such files"
    )


def read_recording(path: Path, rate: int) -> Sound:
    """A recording at a model's rate, prepared as the training data were.

    Raises:
        ConfigError: it cannot be used; the message says why.
    """
    import torch

    from raydistill.data import speech_files
    from raydistill.media.sounds import Sound

    read_bytes("files", path)
    try:
        return Sound(torch.from_numpy(speech_files.read_recording(path, rate)), rate)
    except speech_files.DroppedError as reason:
        raise ConfigError(f"files: {str(path)!r} {reason}; give other mono speech") from None


@dataclass(frozen=True)
class CodesFile:
    """What `encode` writes.

    Attributes:
        z: (n, *event_shape), or of sounds one (N,) each.
        features: of sounds, what they are conditioned on, (F, C) each.
        teacher: the beginning of the hash of its teacher's weights; empty if the file does not say.
    """

    z: torch.Tensor | list[torch.Tensor]
    features: list[torch.Tensor] | None
    teacher: str


def read_codes(path: Path) -> CodesFile:
    """The codes of a file that `encode` has written, or of an array `.npy`.

    Raises:
        ConfigError: it is absent, damaged, or holds something else.
    """
    import torch

    arrays, metadata = read_arrays("codes", path)
    values = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
    try:
        teacher = str(json.loads(metadata.get(TEACHER, '""')))
    except ValueError:
        teacher = ""
    if len(values) == 1:
        return CodesFile(next(iter(values.values())), None, teacher)
    count = sum(name.startswith("z_") for name in values)
    try:
        z = [values[f"z_{index:05}"] for index in range(count)]
        features = [values[f"features_{index:05}"] for index in range(count)]
    except KeyError as error:
        z, missing = [], str(error)
    else:
        missing = "'z_00000'"
    if not z:
        raise ConfigError(
            f"codes: {str(path)!r} holds no codes ({missing} is not in it); give a file that "
            "`raydistill encode` wrote"
        )
    return CodesFile(z, features, teacher)
