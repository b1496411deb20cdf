"""Vector code for the activations of PixelCNN++: the body of the loops in `loops`.

Numbers are float32, float64 or bfloat16. Numba does not know bfloat16, which is passed as uint16;
it is computed with in float32, and rounded to the nearest even number when stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from raydistill.kernels.pixelcnn.vector import exp_of_negative
from raydistill.kernels.vectors import VECTOR_BYTES, Arena

_HALF = ir.IntType(16)


class _Array(Arena):
    """An array read and written a vector at a time, or with `single` one number at a time.

    Loops take whole vectors first, and then single numbers where less than a vector is left.
    """

    def __init__(
        self, context: Any, builder: ir.IRBuilder, kind: Any, value: Any, *, single: bool
    ) -> None:
        super().__init__(context, builder, kind, value)
        self.half = self.bytes == 2
        if self.half:
            # Computed with in float32, stored in 16 bits.
            self.bytes, self.element = 4, ir.FloatType()
        self.lanes = 1 if single else VECTOR_BYTES // self.bytes
        self.vector = ir.VectorType(self.element, self.lanes)
        self.integers = ir.VectorType(ir.IntType(32), self.lanes)
        self.halves = ir.VectorType(_HALF, self.lanes)

    def load(self, offset: ir.Value) -> ir.Value:
        if not self.half:
            return super().load(offset)
        bits = self.builder.load(self._half_pointer(offset), align=2, typ=self.halves)
        bits = self.builder.shl(self.builder.zext(bits, self.integers), self._integer(16))
        return self.builder.bitcast(bits, self.vector)

    def store(self, value: ir.Value, offset: ir.Value) -> None:
        if not self.half:
            super().store(value, offset)
            return
        builder = self.builder
        bits = builder.bitcast(value, self.integers)
        odd = builder.and_(builder.lshr(bits, self._integer(16)), self._integer(1))
        rounded = builder.add(builder.add(bits, self._integer(0x7FFF)), odd)
        # The carry of rounding would turn a NaN into infinity or zero: a fixed NaN is stored.
        wrong = builder.fcmp_unordered("uno", value, value)
        rounded = builder.select(wrong, self._integer(0x7FC00000), rounded)
        halves = builder.trunc(builder.lshr(rounded, self._integer(16)), self.halves)
        builder.store(halves, self._half_pointer(offset), align=2)

    def _half_pointer(self, offset: ir.Value) -> ir.Value:
        address = self.builder.gep(self.data, [offset], source_etype=_HALF)
        return self.builder.bitcast(address, self.halves.as_pointer())

    def _integer(self, number: int) -> ir.Constant:
        return ir.Constant(self.integers, [number] * self.lanes)


Body = Callable[[Sequence[_Array], Sequence[ir.Value]], None]


def _make(body: Body, *, single: bool) -> Any:
    """Make a numba intrinsic operate(a, b, c, i, j, k, m) of three arrays and four offsets.

    Args:
        body: generates its code.
        single: whether it works on single numbers instead of vectors.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        arrays = [
            _Array(context, builder, kind, value, single=single)
            for kind, value in zip(signature.args[:3], args[:3], strict=True)
        ]
        body(arrays, args[3:])
        return context.get_dummy_value()

    # Numba passes arguments by these names, so that they cannot be *args.
    def operate(typingctx, a, b, c, i, j, k, m):  # type: ignore[no-untyped-def]
        return types.void(a, b, c, *[types.int64] * 4), generate

    return intrinsic(operate)


def _write_elus(x: ir.Value, out: _Array, positive: ir.Value, negative: ir.Value) -> None:
    builder, zero = out.builder, out.constant(0.0)
    # elu(y) = exp(-|y|) - 1 for y < 0, so that both halves share one exponential.
    decay = exp_of_negative(out, builder.fneg(out.call("fabs", x)))
    decay = builder.fsub(decay, out.constant(1.0))
    # Both comparisons are false for NaN, which therefore comes out as `decay`, a NaN too.
    above = builder.select(builder.fcmp_ordered(">", x, zero), x, decay)
    below = builder.select(builder.fcmp_ordered("<", x, zero), builder.fneg(x), decay)
    out.store(above, positive)
    out.store(below, negative)


def _elus(arrays: Sequence[_Array], offsets: Sequence[ir.Value]) -> None:
    x, _, out = arrays
    _write_elus(x.load(offsets[0]), out, offsets[2], offsets[3])


def _elus_of_sum(arrays: Sequence[_Array], offsets: Sequence[ir.Value]) -> None:
    x, other, out = arrays
    total = out.builder.fadd(x.load(offsets[0]), other.load(offsets[1]))
    _write_elus(total, out, offsets[2], offsets[3])


def _elus_backward(arrays: Sequence[_Array], offsets: Sequence[ir.Value]) -> None:
    gradient, out, result = arrays
    positive, negative, at, _ = offsets
    builder, zero, one = out.builder, out.constant(0.0), out.constant(1.0)

    def through(offset: ir.Value) -> ir.Value:
        # d elu(y)/dy is 1 where elu(y) > 0 and elu(y) + 1 elsewhere.
        elu = out.load(offset)
        slope = builder.fadd(elu, one)
        slope = builder.select(builder.fcmp_ordered(">", elu, zero), one, slope)
        return builder.fmul(gradient.load(offset), slope)

    result.store(builder.fsub(through(positive), through(negative)), at)


def _sigmoid(array: _Array, x: ir.Value) -> ir.Value:
    builder, one = array.builder, array.constant(1.0)
    decay = exp_of_negative(array, builder.fneg(array.call("fabs", x)))
    above = builder.select(builder.fcmp_ordered(">", x, array.constant(0.0)), one, decay)
    return builder.fdiv(above, builder.fadd(one, decay))


def _gate(arrays: Sequence[_Array], offsets: Sequence[ir.Value]) -> None:
    x, halves, out = arrays
    at, first, second, _ = offsets
    sigmoid = _sigmoid(out, halves.load(second))
    out.store(out.multiply_add(halves.load(first), sigmoid, x.load(at)), at)


def _gate_backward(arrays: Sequence[_Array], offsets: Sequence[ir.Value]) -> None:
    gradient, halves, result = arrays
    at, first, second, _ = offsets
    builder = result.builder
    sigmoid = _sigmoid(result, halves.load(second))
    through = builder.fmul(gradient.load(at), sigmoid)
    rest = builder.fmul(halves.load(first), builder.fsub(result.constant(1.0), sigmoid))
    result.store(through, first)
    result.store(builder.fmul(through, rest), second)


elus, elu = _make(_elus, single=False), _make(_elus, single=True)
elus_of_sum, elu_of_sum = _make(_elus_of_sum, single=False), _make(_elus_of_sum, single=True)
elus_backward = _make(_elus_backward, single=False)
elu_backward = _make(_elus_backward, single=True)
gates, gate = _make(_gate, single=False), _make(_gate, single=True)
gates_backward, gate_backward = (
    _make(_gate_backward, single=False),
    _make(_gate_backward, single=True),
)
