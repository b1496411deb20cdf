"""Building blocks of vector code for numba: loads, stores and loops in LLVM's vector types.

Numba alone neither keeps a tile of sums in vector registers, nor computes an exponential for a
vector at once unless Intel's SVML is installed. Intrinsics that are built from these blocks do
both. LLVM splits the vectors where a processor has narrower ones. Arrays are addressed by offsets,
counted in numbers and not in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir

INDEX = ir.IntType(64)


def _vector_bytes() -> int:
    """The width of this processor's vector registers, in bytes."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


VECTOR_BYTES = _vector_bytes()
"""Width of a vector, in bytes."""
TILE_ROWS = 8 if VECTOR_BYTES == 64 else 4
"""Rows of a tile of a matrix product. With two vectors a row, its sums take half of the vector
registers, of which AVX-512 has 32 and older instruction sets have 16."""


class Arena:
    """An array seen from LLVM code: loads, stores and arithmetic of vectors at offsets into it.

    Args:
        context, builder: numba's and LLVM's, of the function that is being generated.
        kind: numba's type of the array, of float32 or float64.
        value: the array.
    """

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
        """The vector of numbers from `offset` on."""
        return self.builder.load(
            self._pointer(offset, self.vector), align=self.bytes, typ=self.vector
        )

    def store(self, value: ir.Value, offset: ir.Value) -> None:
        """Write a vector to the numbers from `offset` on."""
        self.builder.store(value, self._pointer(offset, self.vector), align=self.bytes)

    def spread(self, offset: ir.Value) -> ir.Value:
        """A vector whose every lane is the number at `offset` (a broadcast)."""
        number = self.builder.load(self._pointer(offset, self.element), typ=self.element)
        start = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), number, ir.IntType(32)(0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(start, ir.Constant(self.vector, ir.Undefined), zeros)

    def prefetch(self, offset: ir.Value, distance: ir.Value, rows: int) -> None:
        """Prefetch the first four vectors of each of `rows` rows that are `distance` apart."""
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
        """A vector whose every lane is `value`."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def call(self, name: str, *arguments: ir.Value) -> ir.Value:
        """LLVM's intrinsic of that name, on vectors."""
        kind = ir.FunctionType(self.vector, [self.vector] * len(arguments))
        function = self._function(f"llvm.{name}.v{self.lanes}f{8 * self.bytes}", kind)
        return self.builder.call(function, arguments)

    def _function(self, name: str, kind: ir.FunctionType) -> ir.Function:
        known = self.builder.module.globals.get(name)
        return known or ir.Function(self.builder.module, kind, name)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, fused where the processor can."""
        return self.call("fmuladd", a, b, c)


def loop(
    builder: ir.IRBuilder,
    start: ir.Value,
    stop: ir.Value,
    step: int,
    carried: Sequence[ir.Value],
    body: Callable[[ir.Value, Sequence[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """Generate a loop: `for index in range(start, stop, step): carried = body(index, carried)`.

    Args:
        builder: where to generate it.
        start, stop: of the index.
        step: of the index, known when the code is generated.
        carried: values before the first pass.
        body: generates one pass, and returns the values after it.

    Returns:
        The values after the last pass.
    """
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
