"""A model traced as a graph of PyTorch's operators, for batches of any size."""

from __future__ import annotations

import copy
import warnings
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from raydistill.export.errors import ExportError
from raydistill.export.programs import BATCH, FEWEST_FRAMES, FRAMES, Input, Program
from raydistill.export.recurrent import hide_units

Model = TypeVar("Model", bound=nn.Module)

EXAMPLES, SEQUENCE = 2, 4
"""Batch and frames that a model is traced with: neither is 1, a size that torch treats apart."""


def plain_copy(model: Model) -> Model:
    """A copy of a model to export: on the CPU, in evaluation, its weights as they are used.

    Weight normalisation is folded into the weights.
    """
    copied = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    for module in list(copied.modules()):
        if parametrize.is_parametrized(module):
            _fold(module)
    return copied


def _fold(module: nn.Module) -> None:
    """Make a parametrised module a plain one with the tensors that its parametrisations give.

    `remove_parametrizations` would change the class that torch made for the module, which a deep
    copy shares with its original: that would lose its weights.
    """
    names = [str(name) for name in module.parametrizations]  # type: ignore[union-attr]
    values = {name: getattr(module, name).detach().clone() for name in names}
    module.__class__ = type(module).__bases__[0]
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))


def type_of(module: nn.Module) -> torch.dtype:
    """The floating-point type that a model computes in: that of its weights, else float32."""
    tensors = (*module.parameters(), *module.buffers())
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


def example_inputs(program: Program, seed: int, batch: int, frames: int) -> tuple[Tensor, ...]:
    """Inputs drawn by numpy's generator of a seed, one after another, in the program's type."""
    random = np.random.default_rng(seed)
    kind = type_of(program.module)
    return tuple(one.examples(random, batch, frames).to(kind) for one in program.inputs)


def trace(program: Program) -> torch.export.ExportedProgram:
    """The graph of a program.

    Gated recurrent units are still `raydistill::gru`; see `export.recurrent`.

    Raises:
        ExportError: the model cannot be traced, or only for batches of one size.
    """
    module = copy.deepcopy(program.module)
    hide_units(module)
    inputs = example_inputs(program, 0, EXAMPLES, SEQUENCE)
    opened = {
        BATCH: torch.export.Dim(BATCH, min=1),
        FRAMES: torch.export.Dim(FRAMES, min=FEWEST_FRAMES),
    }
    fastpath = torch.backends.mha.get_fastpath_enabled()
    # Attention's fast path is one operator of PyTorch alone, which other runtimes do not know.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(
                module,
                inputs,
                dynamic_shapes=tuple(_open_sizes(one, opened) for one in program.inputs),
            )
    except Exception as error:
        # Whatever stops torch.export is in the model's own code, and its errors have no common
        # class.
        raise ExportError(
            f"{type(program.module.model).__name__}: torch.export cannot trace it for batches of "
            f"any size ({_first_lines(error)}). Its forward or encode must use tensor operations "
            "alone, x.shape[0] and not len(x), and no branch on values"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


def _open_sizes(one: Input, opened: dict[str, torch.export.Dim]) -> dict[int, object]:
    """What torch.export is told of an input's open dimensions."""
    sizes: dict[int, object] = {}
    for dimension, size in enumerate(one.sizes):
        if isinstance(size, str):
            sizes[dimension] = opened[size]
        elif isinstance(size, tuple):
            # torch.export cannot express 1 * Dim.
            sizes[dimension] = size[0] * opened[size[1]] if size[0] > 1 else opened[size[1]]
    return sizes


def _first_lines(error: Exception) -> str:
    return " ".join(" ".join(str(error).split("\n")[:2]).split())[:300]
