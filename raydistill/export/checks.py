"""What an export must give: computed by the model itself, and by the file that was written."""

from __future__ import annotations

import copy
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from raydistill.export.errors import ExportError
from raydistill.export.programs import Program
from raydistill.export.tracing import example_inputs
from raydistill.export.writers import CODE

SEED, EXAMPLES, FRAMES = 1, 3, 5
"""Of the stored inputs: another batch, and another length, than the model was traced with."""

TOLERANCE = 1e-5
"""Largest difference of an output, as a part of its largest value, or of 1 if that is less."""

ROUNDING = 10.0
"""Differences may be this many times as large as what single precision itself costs the model."""


@dataclass(frozen=True)
class Expected:
    """Inputs, the outputs of the model, and how far an export may be from these.

    Attributes:
        inputs, outputs: in the order of the program's.
        tolerances: an absolute number an output.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tolerances: tuple[float, ...]


@torch.no_grad()
def expected_of(program: Program) -> Expected:
    """Run the model as it is, on examples of a fixed seed.

    Raises:
        ExportError: its outputs are not finite.
    """
    inputs = example_inputs(program, SEED, EXAMPLES, FRAMES)
    outputs = tuple(value.clone() for value in program.module(*inputs))
    for name, value in zip(program.outputs, outputs, strict=True):
        if not bool(value.isfinite().all()):
            raise ExportError(
                f"model: its {name} of standard examples is not finite; export one that has been "
                "trained"
            )
    rounding = _rounding(program, inputs, outputs)
    tolerances = tuple(
        max(TOLERANCE * max(1.0, float(value.abs().max())), ROUNDING * lost)
        for value, lost in zip(outputs, rounding, strict=True)
    )
    return Expected(inputs, outputs, tolerances)


def _rounding(
    program: Program, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> tuple[float, ...]:
    """How far outputs are from those in double precision; 0 if the model has no such."""
    precise = copy.deepcopy(program.module).double()
    try:
        exact = precise(*(value.double() for value in inputs))
    except RuntimeError:  # a model of the user's own that makes tensors of a fixed type
        return tuple(0.0 for _ in outputs)
    return tuple(float((a - b).abs().max()) for a, b in zip(exact, outputs, strict=True))


@torch.no_grad()
def check_files(program: Program, expected: Expected, folder: Path, name: str, format: str) -> None:
    """Run what was written.

    Raises:
        ExportError: it does not give the model's outputs.
    """
    try:
        outputs = RUNNERS[format](folder, name, expected.inputs)
    except Exception as error:
        # Each runtime has errors of its own, without a common class.
        raise ExportError(
            f"format: {format!r} of {type(program.module.model).__name__} is written, and does not "
            f"run ({' '.join(str(error).split())[:300]}); choose another format"
        ) from error
    for label, found, value, tolerance in zip(
        program.outputs, outputs, expected.outputs, expected.tolerances, strict=True
    ):
        gap = float((found - value).abs().max()) if found.shape == value.shape else float("inf")
        if not gap <= tolerance:
            raise ExportError(
                f"format: {format!r} gives {label} of {type(program.module.model).__name__} "
                f"otherwise than the model, by {gap:.2g} (at most {tolerance:.2g} was expected); "
                "choose another format"
            )


def _run_torch_export(folder: Path, name: str, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    outputs: Sequence[Tensor] = torch.export.load(folder / f"{name}.pt2").module()(*inputs)
    return outputs


def _run_safetensors(folder: Path, name: str, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    spec = importlib.util.spec_from_file_location("exported_model", folder / CODE)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    source = (folder / CODE).read_text(encoding="utf-8")
    exec(compile(source, CODE, "exec"), module.__dict__)  # leaves no compiled copy in the folder
    outputs: Sequence[Tensor] = module.run(
        safetensors.torch.load_file(folder / f"{name}.safetensors"), *inputs
    )
    return outputs


def _run_onnx(folder: Path, name: str, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    onnxruntime = importlib.import_module("onnxruntime")

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx", options)
    names = [one.name for one in session.get_inputs()]
    given = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    return [torch.from_numpy(np.asarray(value)) for value in session.run(None, given)]


RUNNERS: dict[str, Callable[[Path, str, Sequence[Tensor]], Sequence[Tensor]]] = {
    "torch-export": _run_torch_export,
    "safetensors": _run_safetensors,
    "onnx": _run_onnx,
}
