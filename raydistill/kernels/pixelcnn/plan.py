"""The decoder's plan: where everything lies, and which steps are run at which row and pixel.

It depends on sizes only, and is cached for further batches of the same sizes. A stage that halves
the image s times takes part in every 2^s-th row and pixel only, and uses two rows in turn, so that
the steps repeat every 2^stages rows. The table has the steps of one such period.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raydistill.kernels.pixelcnn.memory import Matrix, Memory, Size, take_weights
from raydistill.kernels.pixelcnn.steps import Program
from raydistill.kernels.pixelcnn.table import FIELDS
from raydistill.kernels.vectors import TILE_ROWS


class Layout(NamedTuple):
    """What the kernel must know beside the steps; all offsets and distances count numbers."""

    side: int
    batch: int
    in_channels: int
    stages: int
    image: int
    image_row: int
    image_features: int
    output: int
    output_row: int
    scratch: int


@dataclass(frozen=True)
class Plan:
    """Everything about decoding images of one size, except the weights.

    Attributes:
        size: all sizes.
        layout: what the kernel reads beside the table.
        matrices: where each matrix lies, by name.
        weights: how many numbers at the start of the arena are weights.
        length: how many numbers the arena has.
        table: the steps, FIELDS numbers each, one after the other.
        programs: (2^stages, 1 + stages, 2), the range of steps for each row of a period: first of
            the row itself, then of its pixels whose column belongs to 1 ... `stages` stages.
    """

    size: Size
    layout: Layout
    matrices: dict[str, Matrix]
    weights: int
    length: int
    table: NDArray[np.int64]
    programs: NDArray[np.int64]


@lru_cache(maxsize=32)
def make_plan(size: Size) -> Plan:
    """Make the plan for these sizes, or return the cached one."""
    memory = Memory(size)
    take_weights(memory)
    weights = memory.used
    program = Program(memory)
    layout = Layout(
        side=size.side,
        batch=size.batch,
        in_channels=size.in_channels,
        stages=size.stages,
        image=program.image.start,
        image_row=program.image.row,
        image_features=program.image.features,
        output=program.output.start,
        output_row=program.output.features,
        scratch=memory.take(TILE_ROWS * 2 * size.lanes),
    )
    lines: list[tuple[int, ...]] = []
    programs = np.zeros((1 << size.stages, 1 + size.stages, 2), dtype=np.int64)
    for phase in range(1 << size.stages):
        for level in range(1 + size.stages):
            steps = program.row_steps(phase) if level == 0 else program.pixel_steps(phase, level)
            programs[phase, level] = len(lines), len(lines) + len(steps)
            lines += [(*step, *windows) for step, windows in steps]
    table = np.zeros((len(lines), FIELDS), dtype=np.int64)
    for line, values in zip(table, lines, strict=True):
        line[: len(values)] = values
    return Plan(size, layout, memory.matrices, weights, memory.used, table.reshape(-1), programs)
