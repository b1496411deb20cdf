"""The decoder's compiled loop over pixels: run the table's steps, compute and store the pixel."""

from __future__ import annotations

from typing import Any

from numba import njit

from raydistill.kernels import vectors
from raydistill.kernels.compiled import compiled, stamp_of
from raydistill.kernels.pixelcnn import scalars as fused_scalars
from raydistill.kernels.pixelcnn import table as fused_table
from raydistill.kernels.pixelcnn import vector as fused_vector
from raydistill.kernels.pixelcnn.plan import Layout
from raydistill.kernels.pixelcnn.scalars import NONE, apply_scalar_map
from raydistill.kernels.pixelcnn.table import ELUS, ENTER, FIELD, FIELDS, GATE, STORE, WINDOWS_FROM
from raydistill.kernels.pixelcnn.vector import elus, gate, make_tile
from raydistill.kernels.vectors import TILE_ROWS, VECTOR_BYTES

_TILE_1_1, _TILE_1_2 = make_tile(1, 1), make_tile(1, 2)
_TILE_2_1, _TILE_2_2 = make_tile(2, 1), make_tile(2, 2)
_TILE_4_1, _TILE_4_2 = make_tile(4, 1), make_tile(4, 2)
_TILE_8_1, _TILE_8_2 = make_tile(8, 1), make_tile(8, 2)


@njit(nogil=True)
def _tile(
    arena: Any, table: Any, at: int, rows: int, left: int, right: int, bias: int, out: int, gap: int
) -> None:
    """One tile of a step's matrix product: `rows` rows and one panel of columns.

    The rows of the result are `gap` numbers apart.
    """
    windows, count, depth = at + WINDOWS_FROM, table[at + FIELD.windows], table[at + FIELD.depth]
    left_row, bias_row = table[at + FIELD.left_row], table[at + FIELD.bias_row]
    rest = (windows, count, depth, left, left_row, right, bias, bias_row, out, gap)
    if table[at + FIELD.vectors] == 2:
        if rows == 8:
            _TILE_8_2(arena, table, *rest)
        elif rows == 4:
            _TILE_4_2(arena, table, *rest)
        elif rows == 2:
            _TILE_2_2(arena, table, *rest)
        else:
            _TILE_1_2(arena, table, *rest)
    elif rows == 8:
        _TILE_8_1(arena, table, *rest)
    elif rows == 4:
        _TILE_4_1(arena, table, *rest)
    elif rows == 2:
        _TILE_2_1(arena, table, *rest)
    else:
        _TILE_1_1(arena, table, *rest)


@njit(nogil=True)
def _run(arena: Any, table: Any, step: int, row: int, column: int, scratch: int) -> None:
    """Run one step of the table at a pixel; steps of whole rows are run with column 0."""
    lanes = VECTOR_BYTES // arena.itemsize
    at = step * FIELDS
    kind, panels = table[at + FIELD.kind], table[at + FIELD.panels]
    width = table[at + FIELD.vectors] * lanes
    weights = table[at + FIELD.windows] * table[at + FIELD.depth] * width
    from_column = column >> table[at + FIELD.left_shift]
    left = from_column * table[at + FIELD.left_column] + row * table[at + FIELD.image_row]
    to_column = column >> table[at + FIELD.shift]
    bias = table[at + FIELD.bias] + to_column * table[at + FIELD.bias_column]
    out = table[at + FIELD.out] + to_column * table[at + FIELD.out_column]
    active = table[at + FIELD.elus] + to_column * table[at + FIELD.elus_column]
    out_row, elus_row = table[at + FIELD.out_row], table[at + FIELD.elus_row]
    half = table[at + FIELD.half]
    for _ in range(table[at + FIELD.groups]):
        done, rows = 0, table[at + FIELD.rows]
        while done < rows:
            count = TILE_ROWS
            while count > rows - done:
                count >>= 1
            for panel in range(panels):
                # The product of this tile is written to `y`, with rows `gap` apart: to the result
                # itself, or to scratch memory if only its activations are kept.
                y, gap = out + done * out_row + panel * width, out_row
                if kind != STORE and kind != ENTER and kind != ELUS:
                    y, gap = scratch, width
                if kind != ELUS:
                    _tile(
                        arena,
                        table,
                        at,
                        count,
                        left + done * table[at + FIELD.left_row],
                        table[at + FIELD.right] + panel * weights,
                        bias + done * table[at + FIELD.bias_row] + panel * width,
                        y,
                        gap,
                    )
                if kind == GATE:
                    for m in range(count):
                        to = active + (done + m) * elus_row + panel * lanes
                        x = out + (done + m) * out_row + panel * lanes
                        gate(arena, y + m * gap, x, to, to + half)
                elif kind != STORE:
                    for m in range(count):
                        for v in range(0, width, lanes):
                            to = active + (done + m) * elus_row + panel * width + v
                            elus(arena, y + m * gap + v, to, to + half)
            done += count
        left += table[at + FIELD.left_group]
        out += table[at + FIELD.out_group]
        active += table[at + FIELD.elus_group]


@njit(nogil=True)
def _draw(
    arena: Any,
    layout: Layout,
    given: Any,
    row: int,
    column: int,
    kind: int,
    num_params: int,
    constants: Any,
    moved: Any,
) -> None:
    """Compute a pixel of all images from the network's output there and `given`, (B, C)."""
    channels = layout.in_channels
    for example in range(layout.batch):
        pixel = layout.image + (row + 2) * layout.image_row
        pixel += ((column + 1) * layout.batch + example) * layout.image_features
        params = layout.output + example * layout.output_row
        shifts = params + channels * num_params
        for channel in range(channels):
            for earlier in range(channel):
                by = arena[shifts + earlier] * arena[pixel + earlier]
                for place in range(params + moved[0], params + moved[0] + moved[1]):
                    arena[place] += by
            arena[pixel + channel] = apply_scalar_map(
                kind, arena, params, num_params, given[example, channel], constants
            )
            params += num_params
            shifts += channel


def _compile(stamp: int) -> Any:
    def visit(
        arena: Any,
        table: Any,
        programs: Any,
        layout: Layout,
        given: Any,
        kind: int,
        num_params: int,
        constants: Any,
        moved: Any,
        first: int,
        stop: int,
    ) -> None:
        """Visit the pixels `first` ... `stop` - 1 in raster order.

        With `kind` NONE only the network is run: the caller visits one pixel at a time, reads the
        output and writes the pixel.

        Args:
            arena: weights and rows.
            table, programs, layout: see `plan.Plan`.
            given: what the scalar map is applied to, (pixels, B, C).
            kind, num_params, constants, moved: see `scalars.ScalarMap`.
            first, stop: which pixels.
        """
        if stamp < 0:
            return
        for pixel in range(first, stop):
            row, column = pixel // layout.side, pixel % layout.side
            program = programs[row & ((1 << layout.stages) - 1)]
            if column == 0:
                for step in range(program[0, 0], program[0, 1]):
                    _run(arena, table, step, row, 0, layout.scratch)
            level = 1
            while level < layout.stages and (column >> level) << level == column:
                level += 1
            for step in range(program[level, 0], program[level, 1]):
                _run(arena, table, step, row, column, layout.scratch)
            if kind != NONE:
                _draw(arena, layout, given[pixel], row, column, kind, num_params, constants, moved)

    return compiled(visit)


visit = _compile(stamp_of(fused_scalars, fused_table, fused_vector, vectors))
