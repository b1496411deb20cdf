"""One function a format: from a program to its files in a folder."""

from __future__ import annotations

import logging
import re
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from raydistill.export.errors import ExportError
from raydistill.export.onnx_operators import OPSET, translations
from raydistill.export.programs import Program
from raydistill.export.recurrent import show_units
from raydistill.export.tracing import trace

LARGEST_IN_ONE_FILE = 1 << 30
"""Bytes of weights that an ONNX file holds itself; more lie in a file beside it, since a message of
protocol buffers ends at 2 GiB."""

CODE = "model.py"


def write_torch_export(program: Program, folder: Path, name: str) -> None:
    """`name`.pt2, a program of torch.export."""
    traced = trace(program)
    show_units(traced)
    with warnings.catch_warnings():
        # Weights that share memory are written whole, which torch warns of.
        warnings.simplefilter("ignore")
        torch.export.save(traced, folder / f"{name}.pt2")


def write_onnx(program: Program, folder: Path, name: str) -> None:
    """`name`.onnx, and `name`.onnx.data beside it if the weights are large.

    Raises:
        ExportError: an operator of the model has no counterpart in ONNX.
    """
    traced = trace(program)
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torch.onnx.export(
                traced,
                (),
                dynamo=True,
                verbose=False,
                # It would round constants: the quotient by 1 - 2e-6 then loses its last digits.
                # Runtimes optimise what they load themselves.
                optimize=False,
                opset_version=OPSET,
                input_names=[one.name for one in program.inputs],
                output_names=list(program.outputs),
                custom_translation_table=translations(),
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(
            f"format: 'onnx' lacks an operator of {type(program.module.model).__name__} "
            f"({' '.join(str(error.__cause__ or error).split())[:300]}); choose torch-export"
        ) from error
    finally:
        noisy.setLevel(level)
    assert model is not None
    size = sum(value.numel() * value.element_size() for value in traced.state_dict.values())
    model.save(folder / f"{name}.onnx", external_data=size > LARGEST_IN_ONE_FILE)


def write_safetensors(program: Program, folder: Path, name: str) -> None:
    """`name`.safetensors, the weights by name, and `model.py`, what is computed with them.

    Raises:
        ExportError: the program calls what is not PyTorch's own.
    """
    traced = trace(program)
    show_units(traced)
    weights = _weights(traced)
    safetensors.torch.save_file(weights, folder / f"{name}.safetensors")
    (folder / CODE).write_text(_code(traced, program), encoding="utf-8")


WRITERS: dict[str, Callable[[Program, Path, str], None]] = {
    "safetensors": write_safetensors,
    "torch-export": write_torch_export,
    "onnx": write_onnx,
}


def _sources(traced: torch.export.ExportedProgram) -> dict[str, str]:
    """Names of weights and constants by the argument of the graph that each becomes."""
    signature = traced.graph_signature
    return {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }


def _short(name: str) -> str:
    """A weight's name in the model, without that of the program around it."""
    return name.removeprefix("model.")


def _weights(traced: torch.export.ExportedProgram) -> dict[str, Tensor]:
    found = {**traced.constants, **traced.state_dict}
    return {
        _short(name): found[name].detach().clone().contiguous()
        for name in sorted(_sources(traced).values())
    }


def _code(traced: torch.export.ExportedProgram, program: Program) -> str:
    """A module of Python with the graph as a function `forward(weights, ...)`."""
    printed = traced.graph_module.graph.python_code("self")
    body = printed.src.split("\n")
    start = next(i for i, line in enumerate(body) if line.startswith("def forward"))
    lines = [
        '"""The model as PyTorch runs it, one operation a line; written by torch.export."""',
        "",
        *(
            _import(name, value)
            for name, value in sorted(printed.globals.items())
            if re.search(rf"\b{name}\b", printed.src)
        ),
    ]
    sources = _sources(traced)
    names = [repr(_short(sources[n.name])) for n in _placeholders(traced) if n.name in sources]
    given = ", ".join(one.name for one in program.inputs)
    return "\n".join(
        [
            *dict.fromkeys(lines),
            "",
            "WEIGHTS = [",
            *(f"    {name}," for name in names),
            "]",
            '"""Names of the weights, in the order of the arguments below."""',
            "",
            "",
            f"def run(weights, {given}):",
            f'    """({", ".join(program.outputs)}) of ({given}), weights by name."""',
            f"    return forward(None, *(weights[name] for name in WEIGHTS), {given})",
            "",
            "",
            "\n".join(body[start:]).strip(),
            "",
        ]
    )


def _placeholders(traced: torch.export.ExportedProgram) -> list[torch.fx.Node]:
    return [node for node in traced.graph.nodes if node.op == "placeholder"]


def _import(name: str, value: object) -> str:
    """The line that makes a name of the graph's code known."""
    if isinstance(value, types.ModuleType):
        return f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}"
    if value is torch.device:
        return "from torch import device"
    if name in ("inf", "nan"):
        return f"from math import {name}"
    if value is None or name in ("NoneType",):
        return f"{name} = type(None)"
    raise ExportError(
        f"format: 'safetensors' cannot print {name!r} of the model as plain PyTorch; choose "
        "torch-export"
    )
