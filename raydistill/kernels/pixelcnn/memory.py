"""Where the fused decoder keeps everything: one array, the arena, handed out by offset.

Rows lie as (W + 2, B, features) between two columns of zeros: the windows of all pixels, or of all
examples at one pixel, are then plain matrices with one distance between rows. Features are padded
to whole vectors; the weights of the padding are zero, and so is it.
"""

from __future__ import annotations

from typing import NamedTuple

from raydistill.kernels.vectors import VECTOR_BYTES

HALVES = ("encode", "decode")


class Size(NamedTuple):
    """What a plan is a function of; `itemsize` is 4 or 8 bytes a number."""

    in_channels: int
    out_channels: int
    channels: int
    blocks: int
    stages: int
    side: int
    batch: int
    itemsize: int

    @property
    def lanes(self) -> int:
        """Numbers in a vector."""
        return VECTOR_BYTES // self.itemsize

    def padded(self, features: int) -> int:
        """Features in whole vectors."""
        return -(-features // self.lanes) * self.lanes


class Rows(NamedTuple):
    """One or two rows of (W + 2, B, features): offset, and distances of rows and columns."""

    start: int
    row: int
    column: int
    features: int

    def at(self, parity: int, column: int) -> int:
        """Offset of a column, counted from -1, in the even or the odd row."""
        return self.start + parity * self.row + (column + 1) * self.column


class Matrix(NamedTuple):
    """Packed weights: `panels` blocks, each of (windows * depth, vectors * lanes), and a bias.

    `gated` matrices have columns [a, b] and hold in a panel one vector of a and its b.
    """

    start: int
    bias: int
    windows: int
    depth: int
    panels: int
    vectors: int
    gated: bool


class Memory:
    """Hands out the arena from its start, in whole vectors."""

    def __init__(self, size: Size) -> None:
        self.size, self.used = size, 0
        self.matrices: dict[str, Matrix] = {}

    def take(self, count: int) -> int:
        """The offset of `count` new numbers."""
        start, self.used = self.used, self.used + self.size.padded(count)
        return start

    def matrix(
        self, name: str, windows: int, depth: int, columns: int, *, gated: bool = False
    ) -> None:
        """Room for the weights and the bias of `columns` columns (twice as many when gated)."""
        blocks = self.size.padded(columns) // self.size.lanes
        vectors = 2 if gated or blocks % 2 == 0 else 1
        panels = blocks if gated else blocks // vectors
        width = vectors * self.size.lanes
        self.matrices[name] = Matrix(
            start=self.take(windows * depth * panels * width),
            bias=self.take(panels * width),
            windows=windows,
            depth=depth,
            panels=panels,
            vectors=vectors,
            gated=gated,
        )

    def rows(self, width: int, features: int, count: int = 1) -> Rows:
        """One row, or two that take turns."""
        column = self.size.batch * features
        row = (width + 2) * column
        return Rows(self.take(count * row), row if count > 1 else 0, column, features)


class Stage:
    """The rows of one stream at one resolution, in one half of the pyramid.

    Attributes:
        x: the residual stream, updated in place.
        elus: its activations as it enters and after every block.
        hidden: the activations inside every block.
    """

    def __init__(
        self, memory: Memory, width: int, blocks: int, rows: int, entering: Stage | None = None
    ) -> None:
        features = memory.size.padded(memory.size.channels)
        self.x: Rows = entering.x if entering else memory.rows(width, features, 2)
        first = entering.elus[-1] if entering else memory.rows(width, 2 * features, rows)
        self.elus: list[Rows] = [
            first,
            *(memory.rows(width, 2 * features, rows) for _ in range(blocks)),
        ]
        self.hidden = [memory.rows(width, 2 * features, rows) for _ in range(blocks)]


class Pyramid:
    """One stream: its stages going down (`encode`) and up (`decode`), both finest first."""

    def __init__(self, memory: Memory, rows: int) -> None:
        size = memory.size
        widths = [size.side >> stage for stage in range(size.stages)]
        self.encode = [Stage(memory, width, size.blocks, rows) for width in widths]
        # Decoding starts where encoding ends, at the coarsest stage.
        self.decode = [Stage(memory, width, size.blocks + 1, rows) for width in widths[:-1]]
        self.decode.append(Stage(memory, widths[-1], size.blocks, rows, self.encode[-1]))

    def half(self, name: str) -> list[Stage]:
        """`encode` or `decode`."""
        return self.encode if name == "encode" else self.decode

    def skip(self, stage: int, block: int) -> Rows:
        """The activations that the skip connection takes to a block of `decode[stage]`."""
        finest = len(self.decode[stage].hidden) - 1
        return self.encode[stage].elus[finest - block]


def take_weights(memory: Memory) -> None:
    """Room for every matrix of the network, under the names that `weights` packs."""
    size, channels = memory.size, memory.size.channels
    double = 2 * size.padded(channels)
    plain, image = size.padded(channels), size.in_channels + 1
    memory.matrix("down_input", 6, image, channels)
    memory.matrix("right_above", 3, image, channels)
    memory.matrix("right_left", 2, image, channels)
    for half in HALVES:
        for stage in range(size.stages):
            extra = half == "decode" and stage + 1 < size.stages
            for block in range(size.blocks + extra):
                skips = int(half == "decode")
                name = f"{half}.{stage}.{block}"
                memory.matrix(f"down.{name}.in", 6 + skips, double, channels)
                memory.matrix(f"down.{name}.out", 6, double, channels, gated=True)
                memory.matrix(f"above.{name}.in", 3, double, channels)
                memory.matrix(f"above.{name}.out", 2, double, channels, gated=True)
                memory.matrix(f"right.{name}.in", 2 + skips, double, channels)
                memory.matrix(f"right.{name}.out", 2, double, channels, gated=True)
    for stage in range(size.stages - 1):
        memory.matrix(f"down.shrink.{stage}", 6, plain, channels)
        memory.matrix(f"right.shrink.{stage}", 4, plain, channels)
        for row in range(2):
            memory.matrix(f"down.grow.{stage}.{row}.0", 1, plain, channels)
            memory.matrix(f"down.grow.{stage}.{row}.1", 2, plain, channels)
            for column in range(2):
                memory.matrix(f"right.grow.{stage}.{row}.{column}", 1, plain, channels)
    memory.matrix("output", 1, double, size.out_channels)
