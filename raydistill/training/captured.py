"""An optimiser step as one CUDA graph: a small network on a GPU is bound by launching kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3
"""Steps before the graph is captured: libraries choose their kernels, the optimiser its state."""


class CapturedStep:
    """A step that is run as it is for some updates, captured once, and replayed from then on.

    Args:
        step: from a batch to what it returns, with tensors that a replay overwrites. It may not
            wait for the device, and its shapes may not change.
    """

    def __init__(self, step: Callable[[Any], Any]) -> None:
        self._step, self._done = step, 0
        self._batch: Any = None
        self._output: Any = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Any) -> Any:
        if self._graph is None:
            if self._done < WARM_UP:
                self._done += 1
                return self._warm(batch)
            self._capture(batch)
        else:
            _overwrite(self._batch, batch)
        assert self._graph is not None
        self._graph.replay()
        return self._output

    def _warm(self, batch: Any) -> Any:
        """On a stream of its own, as capture will be."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            output = self._step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return output

    def _capture(self, batch: Any) -> None:
        self._batch = batch
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._output = self._step(batch)
        self._graph = graph


def _overwrite(static: Any, fresh: Any) -> None:
    """Copy the tensors of a batch into those that the graph reads."""
    if isinstance(static, Tensor):
        static.copy_(fresh)
    elif is_dataclass(static):
        for field in fields(static):
            _overwrite(getattr(static, field.name), getattr(fresh, field.name))
