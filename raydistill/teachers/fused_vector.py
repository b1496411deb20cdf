"""Vector code for the fused decoder: a register-tiled matrix product and two activations.

Numba's own loops do not keep a tile of sums in vector registers, and its exponential is a call a
number unless Intel's library is installed. These intrinsics say both in LLVM's vector types, which
LLVM splits where a processor has narrower ones. All numbers live in one array, the arena, and are
addressed by offsets into it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic

INDEX = ir.IntType(64)


def _vector_bytes() -> int:
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


VECTOR_BYTES = _vector_bytes()
# Rows of a tile. With two vectors a row its sums take half of the vector registers, of which
# AVX-512 has 32 and older sets 16.
TILE_ROWS = 8 if VECTOR_BYTES == 64 else 4


class Arena:
    """Loads and stores of vectors, and of numbers spread over vectors."""

    def __init__(self, context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> None:
        self.builder = builder
        self.data = context.make_array(kind)(context, builder, value).data
        self.bytes = kind.dtype.bitwidth // 8
        self.element = ir.FloatType() if self.bytes == 4 else ir.DoubleType()
        self.lanes = VECTOR_BYTES // self.bytes
        self.vector = ir.VectorType(self.element, self.lanes)

    def _pointer(self, offset: ir.Value, kind: ir.Type) -> ir.Value:
        address = self.builder.gep(self.data, [offset], source_etype=self.element)
        return self.builder.bitcast(address, kind.as_pointer())

    def load(self, offset: ir.Value) -> ir.Value:
        return self.builder.load(
            self._pointer(offset, self.vector), align=self.bytes, typ=self.vector
        )

    def store(self, value: ir.Value, offset: ir.Value) -> None:
        self.builder.store(value, self._pointer(offset, self.vector), align=self.bytes)

    def spread(self, offset: ir.Value) -> ir.Value:
        number = self.builder.load(self._pointer(offset, self.element), typ=self.element)
        start = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), number, ir.IntType(32)(0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(start, ir.Constant(self.vector, ir.Undefined), zeros)

    def prefetch(self, offset: ir.Value, distance: ir.Value, rows: int) -> None:
        """Ask for the first four vectors of some rows."""
        kinds = [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3]
        function = self._function("llvm.prefetch.p0", ir.FunctionType(ir.VoidType(), kinds))
        for m in range(rows):
            for vector in range(4):
                number = self.builder.add(
                    self.builder.add(offset, self.builder.mul(distance, INDEX(m))),
                    INDEX(vector * self.lanes),
                )
                address = self._pointer(number, ir.IntType(8))
                self.builder.call(function, [address, *(kinds[1](flag) for flag in (0, 3, 1))])

    def constant(self, value: float) -> ir.Constant:
        return ir.Constant(self.vector, [value] * self.lanes)

    def call(self, name: str, *arguments: ir.Value) -> ir.Value:
        kind = ir.FunctionType(self.vector, [self.vector] * len(arguments))
        function = self._function(f"llvm.{name}.v{self.lanes}f{8 * self.bytes}", kind)
        return self.builder.call(function, arguments)

    def _function(self, name: str, kind: ir.FunctionType) -> ir.Function:
        known = self.builder.module.globals.get(name)
        return known or ir.Function(self.builder.module, kind, name)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        return self.call("fmuladd", a, b, c)


def _loop(
    builder: ir.IRBuilder,
    start: ir.Value,
    stop: ir.Value,
    step: int,
    carried: Sequence[ir.Value],
    body: Callable[[ir.Value, Sequence[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """`carried = body(index, carried)` for index in range(start, stop, step)."""
    before = builder.block
    head = builder.append_basic_block("loop")
    inside = builder.append_basic_block("body")
    after = builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(INDEX)
    index.add_incoming(start, before)
    held = [builder.phi(value.type) for value in carried]
    for phi, value in zip(held, carried, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", index, stop), inside, after)
    builder.position_at_end(inside)
    results = body(index, held)
    index.add_incoming(builder.add(index, INDEX(step)), builder.block)
    for phi, value in zip(held, results, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return held


def make_tile(rows: int, vectors: int) -> Any:
    """A function computing `rows` rows and `vectors` vectors of columns of a matrix product.

    tile(arena, table, segments, count, depth, left, left_row, right, bias, bias_row, out, out_row):
    out[m, :] = bias[m, :] + sum over s < count and k < depth of
    arena[table[segments + s] + left + m * left_row + k] * right[s * depth + k, :],
    where `left`, `right`, `bias` and `out` are offsets, `..._row` is the distance of two rows, and
    the rows of `right` follow each other.
    """
    # A sum cannot take the next term before the last one is through, some four cycles later; few
    # rows are therefore summed in several strands.
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
                # Rows are too short for the processor to foresee them: a tenth of the time.
                arena.prefetch(moved(begin, left_row, rows), left_row, rows)
            even = builder.and_(depth, INDEX(-strands))
            state = _loop(builder, INDEX(0), even, strands, state, terms(strands))
            if strands > 1:
                state = _loop(builder, even, depth, 1, state, terms(1))
            return list(state)

        state = [
            arena.load(builder.add(moved(bias, bias_row, m), INDEX(v * arena.lanes)))
            for m in range(rows)
            for v in range(vectors)
        ]
        state += [arena.constant(0.0)] * (rows * vectors * (strands - 1)) + [right]
        sums = _loop(builder, INDEX(0), count, 1, state, segment)[:-1]
        for m in range(rows):
            for v in range(vectors):
                total = sums[m * vectors + v]
                for strand in range(1, strands):
                    total = builder.fadd(total, sums[(strand * rows + m) * vectors + v])
                arena.store(total, builder.add(moved(out, out_row, m), INDEX(v * arena.lanes)))
        return context.get_dummy_value()

    # Numba reads the names of the arguments.
    def tile(  # type: ignore[no-untyped-def]
        typingctx, arena, table, segments, count, depth, left, left_row, right, bias, bias_row, out,
        out_row,
    ):  # fmt: skip
        return types.void(arena, table, *[types.int64] * 10), generate

    return intrinsic(tile)


def exp_of_negative(arena: Arena, x: ir.Value) -> ir.Value:
    """exp(x) for x <= 0 to about one unit in the last place; it ends at the smallest normal number.

    x = n log 2 + r with |r| <= log(2) / 2; a Taylor polynomial gives exp(r). Adding and taking off
    a large number rounds to n and leaves n in the low bits of the sum, whence they become the
    exponent. Not-a-number goes through.
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
    # A comparison with not-a-number is false, so that it comes through in `decay`.
    arena.store(builder.select(builder.fcmp_ordered(">", x, zero), x, decay), positive)
    arena.store(builder.select(builder.fcmp_ordered("<", x, zero), opposite, decay), negative)


def _elus(typingctx, arena, source, positive, negative):  # type: ignore[no-untyped-def]
    """Write elu(x) and elu(-x) of the vector x at `source`; called without `typingctx`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        memory = Arena(context, builder, signature.args[0], args[0])
        _store_elus(memory, memory.load(args[1]), args[2], args[3])
        return context.get_dummy_value()

    return types.void(arena, types.int64, types.int64, types.int64), generate


def _gate(typingctx, arena, source, x, positive, negative):  # type: ignore[no-untyped-def]
    """Add a sigmoid(b) to the vector at `x`, then write elu(x) and elu(-x).

    `source` is the offset of the vector a, which the vector b follows; called without `typingctx`.
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


# Numba's annotations do not know that the first argument is its own.
elus: Any = intrinsic(_elus)
gate: Any = intrinsic(_gate)
