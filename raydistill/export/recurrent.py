"""Gated recurrent units in an exported program, for sequences of any length.

torch.export takes `torch.nn.GRU` apart into one step after another, so that its program fits the
length of one sequence only. While a model is traced, the units here stand in for them: an operator
of our own that is not looked into. Afterwards PyTorch's operator, which has the same arguments,
takes its place: nothing of ours is left in the program.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SCHEMA = (
    "(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
    "bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)"
)


def _run(input: Tensor, hx: Tensor, params: list[Tensor], *sizes: object) -> tuple[Tensor, Tensor]:
    output, last = torch.ops.aten.gru.input(input, hx, params, *sizes)
    return output.clone(), last.clone()


def _empty(
    input: Tensor,
    hx: Tensor,
    params: list[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    width = hx.shape[2] * (2 if bidirectional else 1)
    return input.new_empty(*input.shape[:2], width), hx.new_empty(hx.shape)


_operator = torch.library.custom_op("raydistill::gru", _run, mutates_args=(), schema=SCHEMA)
_operator.register_fake(_empty)
STAND_IN = torch.ops.raydistill.gru.default


class OpaqueGRU(nn.Module):
    """A `torch.nn.GRU` in batches, with the same weights under the same names.

    Args:
        unit: the layer that it stands in for.
    """

    def __init__(self, unit: nn.GRU) -> None:
        super().__init__()
        self.names = list(unit._flat_weights_names)
        for name in self.names:
            self.register_parameter(name, getattr(unit, name))
        self.sizes = (unit.bias, unit.num_layers, 0.0, False, unit.bidirectional, unit.batch_first)
        self.states = unit.num_layers * (2 if unit.bidirectional else 1)
        self.hidden, self.batch_dimension = unit.hidden_size, 0 if unit.batch_first else 1

    def forward(self, x: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The outputs, and the states after them; see `torch.nn.GRU`."""
        if start is None:
            start = x.new_zeros(self.states, x.shape[self.batch_dimension], self.hidden)
        params = [getattr(self, name) for name in self.names]
        output, last = STAND_IN(x, start, params, *self.sizes)
        return output, last


def hide_units(module: nn.Module) -> None:
    """Put an `OpaqueGRU` in the place of every `torch.nn.GRU` inside a module."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.GRU):
            setattr(module, name, OpaqueGRU(child))
        else:
            hide_units(child)


def show_units(program: torch.export.ExportedProgram) -> None:
    """Put PyTorch's operator in the place of ours, in place."""
    for node in program.graph.nodes:
        if node.target is STAND_IN:
            node.target = torch.ops.aten.gru.input
    program.graph_module.recompile()
