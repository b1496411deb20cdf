"""The formats of an export: what each is called, what it writes, what it takes to run it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

from raydistill.export.errors import ExportError

Format = Literal["safetensors", "torch-export", "onnx"]


@dataclass(frozen=True)
class FormatInfo:
    """One format.

    Attributes:
        suffix: of the main file, with the dot.
        needs: packages that whoever runs the export needs.
        summary: what it is, for a README.
    """

    suffix: str
    needs: tuple[str, ...]
    summary: str


FORMATS: dict[str, FormatInfo] = {
    "safetensors": FormatInfo(
        ".safetensors",
        ("torch", "safetensors", "numpy"),
        "the weights by name, with `model.py`: the model as plain PyTorch operations on them",
    ),
    "torch-export": FormatInfo(
        ".pt2",
        ("torch", "numpy"),
        "a program of `torch.export`, weights inside, for PyTorch alone",
    ),
    "onnx": FormatInfo(
        ".onnx",
        ("onnxruntime", "numpy"),
        "an ONNX model, weights inside, for onnxruntime and other runtimes",
    ),
}

EXTRA = ("onnx", "onnxscript", "onnxruntime")
"""What the optional extra `onnx` installs: two packages that write a model, one that checks it."""


def check_format(format: str) -> None:
    """Raise ExportError unless a format exists and what it takes is installed."""
    if format not in FORMATS:
        raise ExportError(f"format: {format!r} is unknown; choose one of {', '.join(FORMATS)}")
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if format == "onnx" and missing:
        raise ExportError(
            f"format: 'onnx' needs {', '.join(missing)}, which is not installed; run "
            "pip install raydistill[onnx], or choose torch-export"
        )
