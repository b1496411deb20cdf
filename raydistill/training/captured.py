"""An update as one CUDA graph: small networks on a GPU spend their time launching kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3
"""Updates that run normally before capture: in them libraries choose their kernels, and the
optimiser allocates its state."""


class CapturedStep:
    """A step that runs normally for a few updates, is then captured, and from then on replayed.

    Args:
        step: takes a batch and returns its outputs. A replay overwrites the tensors of earlier
            outputs. The step must not wait for the device, and its shapes must not change.
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
        """Run a step on a stream of its own, as capturing will."""
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
    """Copy the tensors of a new batch into those that the graph reads."""
    if isinstance(static, Tensor):
        static.copy_(fresh)
    elif is_dataclass(static):
        for field in fields(static):
            _overwrite(getattr(static, field.name), getattr(fresh, field.name))
