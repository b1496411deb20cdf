"""Vector code for the decoder: a register-tiled matrix product, and two activations.

All numbers are in one array, the arena, and are addressed by offsets into it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from raydistill.kernels.vectors import INDEX, TILE_ROWS, Arena, loop


def make_tile(rows: int, vectors: int) -> Any:
    """Make a numba intrinsic for one tile of a matrix product, summed over segments.

    tile(arena, table, segments, count, depth, left, left_row, right, bias, bias_row, out, out_row)
    computes, for m < rows,

        out[m, :] = bias[m, :] + sum_{s < count} sum_{k < depth}
            arena[table[segments + s] + left + m * left_row + k] * right[s * depth + k, :],

    where `left`, `right`, `bias` and `out` are offsets, and `..._row` is the distance of two rows;
    the rows of `right` lie one after the other.

    Args:
        rows: rows of the tile.
        vectors: columns of the tile, in vectors.
    """
    # An addition to a sum has to wait some four cycles for the previous one. A tile with few rows
    # has few sums, so each is split into several partial sums ("strands").
    strands = max(1, 4 // rows)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        arena = Arena(context, builder, signature.args[0], args[0])
        table = context.make_array(signature.args[1])(context, builder, args[1]).data
        segments, count, depth, left, left_row, right, bias, bias_row, out, out_row = args[2:]
        width = vectors * arena.lanes

        def moved(offset: ir.Value, distance: ir.Value, times: int) -> ir.Value:
            return builder.add(offset, builder.mul(distance, INDEX(times)))

        def terms(strands: int) -> Callable[..., list[ir.Value]]:
            def add(k: ir.Value, state: Sequence[ir.Value]) -> list[ir.Value]:
                sums, weights = list(state[:-1]), state[-1]
                for strand in range(strands):
                    columns = [
                        arena.load(builder.add(weights, INDEX(strand * width + v * arena.lanes)))
                        for v in range(vectors)
                    ]
                    for m, row in enumerate(starts):
                        spread = arena.spread(builder.add(row, builder.add(k, INDEX(strand))))
                        for v in range(vectors):
                            at = (strand * rows + m) * vectors + v
                            sums[at] = arena.multiply_add(spread, columns[v], sums[at])
                return [*sums, builder.add(weights, INDEX(strands * width))]

            return add

        starts: list[ir.Value] = []

        def segment(s: ir.Value, state: Sequence[ir.Value]) -> list[ir.Value]:
            address = builder.gep(table, [builder.add(segments, s)], source_etype=INDEX)
            begin = builder.add(left, builder.load(address, typ=INDEX))
            starts[:] = [moved(begin, left_row, m) for m in range(rows)]
            if rows == TILE_ROWS:
                # Rows are too short for the processor's own prefetching; this saves a tenth of the
                # time.
                arena.prefetch(moved(begin, left_row, rows), left_row, rows)
            even = builder.and_(depth, INDEX(-strands))
            state = loop(builder, INDEX(0), even, strands, state, terms(strands))
            if strands > 1:
                state = loop(builder, even, depth, 1, state, terms(1))
            return list(state)

        state = [
            arena.load(builder.add(moved(bias, bias_row, m), INDEX(v * arena.lanes)))
            for m in range(rows)
            for v in range(vectors)
        ]
        state += [arena.constant(0.0)] * (rows * vectors * (strands - 1)) + [right]
        sums = loop(builder, INDEX(0), count, 1, state, segment)[:-1]
        for m in range(rows):
            for v in range(vectors):
                total = sums[m * vectors + v]
                for strand in range(1, strands):
                    total = builder.fadd(total, sums[(strand * rows + m) * vectors + v])
                arena.store(total, builder.add(moved(out, out_row, m), INDEX(v * arena.lanes)))
        return context.get_dummy_value()

    # Numba passes arguments by these names, so that they cannot be *args.
    def tile(  # type: ignore[no-untyped-def]
        typingctx, arena, table, segments, count, depth, left, left_row, right, bias, bias_row, out,
        out_row,
    ):  # fmt: skip
        return types.void(arena, table, *[types.int64] * 10), generate

    return intrinsic(tile)


def exp_of_negative(arena: Arena, x: ir.Value) -> ir.Value:
    """exp(x) for x <= 0, to about one unit in the last place.

    Write x = n log 2 + r with |r| <= log(2) / 2: then exp(x) = 2^n exp(r), and a Taylor polynomial
    gives exp(r). Adding a large number to x / log 2 and subtracting it again rounds to n; the low
    bits of that sum are n, which are shifted into the exponent. Below the smallest normal number
    the result stays there; NaN stays NaN.
    """
    builder = arena.builder
    single = arena.bytes == 4
    bits, mantissa, bias, degree = (32, 23, 127, 7) if single else (64, 52, 1023, 13)
    lowest = -87.0 if single else -708.0
    # log 2 in two parts, the first short enough for n times it to be exact.
    high = 0.693359375 if single else 0.693147180369123816490
    low = -2.12194440e-4 if single else 1.90821492927058770002e-10
    x = builder.select(
        builder.fcmp_ordered("<", x, arena.constant(lowest)), arena.constant(lowest), x
    )
    large = arena.constant(1.5 * 2.0**mantissa)
    sum_ = arena.multiply_add(x, arena.constant(1.0 / math.log(2.0)), large)
    n = builder.fsub(sum_, large)
    r = arena.multiply_add(n, arena.constant(-high), x)
    r = arena.multiply_add(n, arena.constant(-low), r)
    value = arena.constant(1.0 / math.factorial(degree))
    for power in range(degree - 1, -1, -1):
        value = arena.multiply_add(value, r, arena.constant(1.0 / math.factorial(power)))
    integers = ir.VectorType(ir.IntType(bits), arena.lanes)
    exponent = builder.add(
        builder.bitcast(sum_, integers), ir.Constant(integers, [bias] * arena.lanes)
    )
    exponent = builder.shl(exponent, ir.Constant(integers, [mantissa] * arena.lanes))
    return builder.fmul(value, builder.bitcast(exponent, arena.vector))


def _store_elus(arena: Arena, x: ir.Value, positive: ir.Value, negative: ir.Value) -> None:
    builder = arena.builder
    zero = arena.constant(0.0)
    opposite = builder.fneg(x)
    decay = builder.fsub(
        exp_of_negative(arena, builder.fneg(arena.call("fabs", x))), arena.constant(1.0)
    )
    # Both comparisons are false for NaN, which therefore comes out as `decay`, a NaN too.
    arena.store(builder.select(builder.fcmp_ordered(">", x, zero), x, decay), positive)
    arena.store(builder.select(builder.fcmp_ordered("<", x, zero), opposite, decay), negative)


def _elus(typingctx, arena, source, positive, negative):  # type: ignore[no-untyped-def]
    """elus(arena, source, positive, negative): write elu(x), elu(-x) of the vector at `source`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        memory = Arena(context, builder, signature.args[0], args[0])
        _store_elus(memory, memory.load(args[1]), args[2], args[3])
        return context.get_dummy_value()

    return types.void(arena, types.int64, types.int64, types.int64), generate


def _gate(typingctx, arena, source, x, positive, negative):  # type: ignore[no-untyped-def]
    """gate(arena, source, x, positive, negative): x += a sigmoid(b), then elu(x) and elu(-x).

    The vector a lies at `source` and b right behind it.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        memory = Arena(context, builder, signature.args[0], args[0])
        source, x_at, positive, negative = args[1:]
        a, b = memory.load(source), memory.load(builder.add(source, INDEX(memory.lanes)))
        one = memory.constant(1.0)
        decay = exp_of_negative(memory, builder.fneg(memory.call("fabs", b)))
        above = builder.select(builder.fcmp_ordered(">", b, memory.constant(0.0)), one, decay)
        sigmoid = builder.fdiv(above, builder.fadd(one, decay))
        x = memory.multiply_add(a, sigmoid, memory.load(x_at))
        memory.store(x, x_at)
        _store_elus(memory, x, positive, negative)
        return context.get_dummy_value()

    return types.void(arena, *[types.int64] * 4), generate


# Typed as Any because numba's annotations ignore that it passes `typingctx` itself.
elus: Any = intrinsic(_elus)
gate: Any = intrinsic(_gate)
