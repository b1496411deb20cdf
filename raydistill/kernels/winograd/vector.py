"""Vector code of the convolution: a constant matrix times vectors, and a tiled matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from raydistill.kernels.vectors import INDEX, Arena, loop
from raydistill.kernels.winograd.matrices import Matrix


def make_linear(matrix: Matrix, *, add: bool = False) -> Any:
    """Make a numba intrinsic that multiplies rows of numbers by a constant matrix.

    linear(source, out, at, step, to, jump, width) computes, for n < width,

        out[to + j * jump + n] = sum_i matrix[j, i] * source[at + i * step + n],

    or adds that to `out`. `width` must be a multiple of the numbers in a vector.

    Args:
        matrix: known when the code is generated, so that zeros and ones cost nothing.
        add: whether to add to `out`.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        source = Arena(context, builder, signature.args[0], args[0])
        out = Arena(context, builder, signature.args[1], args[1])
        at, step, to, jump, width = args[2:]

        def apply(c: ir.Value, _: Sequence[ir.Value]) -> list[ir.Value]:
            begin, end = builder.add(at, c), builder.add(to, c)
            rows = [
                source.load(builder.add(begin, builder.mul(step, INDEX(i))))
                for i in range(matrix.shape[1])
            ]
            # All results are computed before the first is stored: LLVM cannot know that source and
            # `out` do not overlap, and would load the rows again after each store.
            results = [_combine(out, row, rows) for row in matrix]
            for j, result in enumerate(results):
                place = builder.add(end, builder.mul(jump, INDEX(j)))
                out.store(builder.fadd(result, out.load(place)) if add else result, place)
            return []

        loop(builder, INDEX(0), width, out.lanes, [], apply)
        return context.get_dummy_value()

    # Numba passes arguments by these names, so that they cannot be *args.
    def linear(typingctx, source, out, at, step, to, jump, width):  # type: ignore[no-untyped-def]
        return types.void(source, out, *[types.int64] * 5), generate

    return intrinsic(linear)


def _combine(arena: Arena, factors: Sequence[float], rows: Sequence[ir.Value]) -> ir.Value:
    """The sum of factor times row, without multiplying by 0, 1 or -1."""
    builder = arena.builder
    terms = [(float(a), row) for a, row in zip(factors, rows, strict=True) if a != 0.0]
    terms.sort(key=lambda term: abs(term[0]) != 1.0)
    first, row = terms[0]
    if first == 1.0:
        total = row
    elif first == -1.0:
        total = builder.fneg(row)
    else:
        total = builder.fmul(row, arena.constant(first))
    for factor, row in terms[1:]:
        if factor == 1.0:
            total = builder.fadd(total, row)
        elif factor == -1.0:
            total = builder.fsub(total, row)
        else:
            total = arena.multiply_add(row, arena.constant(factor), total)
    return total


def make_product(rows: int, vectors: int) -> Any:
    """Make a numba intrinsic for one tile of a matrix product.

    product(left, right, start, out, at, row, column, depth, other, other_row, begin, begin_row, to,
    to_row) computes, for m < rows and n < vectors * (numbers in a vector),

        out[to + m * to_row + n] = start[begin + m * begin_row + n]
            + sum_{k < depth} left[at + m * row + k * column] * right[other + k * other_row + n].

    Args:
        rows: rows of the tile.
        vectors: columns of the tile, in vectors.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        left, right, start, out = (
            Arena(context, builder, kind, value)
            for kind, value in zip(signature.args[:4], args[:4], strict=True)
        )
        at, row, column, depth, other, other_row, begin, begin_row, to, to_row = args[4:]
        distances = [builder.mul(row, INDEX(m)) for m in range(rows)]

        def place(offset: ir.Value, distance: ir.Value, m: int, v: int) -> ir.Value:
            row = builder.add(offset, builder.mul(distance, INDEX(m)))
            return builder.add(row, INDEX(v * out.lanes))

        def term(_: ir.Value, state: Sequence[ir.Value]) -> list[ir.Value]:
            *sums, left_at, right_at = state
            columns = [
                right.load(builder.add(right_at, INDEX(v * out.lanes))) for v in range(vectors)
            ]
            for m in range(rows):
                spread = left.spread(builder.add(left_at, distances[m]))
                for v in range(vectors):
                    i = m * vectors + v
                    sums[i] = out.multiply_add(spread, columns[v], sums[i])
            return [*sums, builder.add(left_at, column), builder.add(right_at, other_row)]

        tile = [(m, v) for m in range(rows) for v in range(vectors)]
        state = [start.load(place(begin, begin_row, m, v)) for m, v in tile]
        sums = loop(builder, INDEX(0), depth, 1, [*state, at, other], term)[:-2]
        for (m, v), total in zip(tile, sums, strict=True):
            out.store(total, place(to, to_row, m, v))
        return context.get_dummy_value()

    # Numba passes arguments by these names, so that they cannot be *args.
    def product(  # type: ignore[no-untyped-def]
        typingctx, left, right, start, out, at, row, column, depth, other, other_row, begin,
        begin_row, to, to_row,
    ):  # fmt: skip
        return types.void(left, right, start, out, *[types.int64] * 10), generate

    return intrinsic(product)
