"""The decoder's memory: one array, the arena, of which parts are handed out as offsets.

A row of activations is stored as (W + 2, B, features), with a column of zeros at either end. The
windows of all pixels of a row, or of all images at one pixel, are then plain matrices with equally
distant rows. Features are padded to whole vectors; weights of the padding are zero, so that it
stays zero.
"""

from __future__ import annotations

from typing import NamedTuple

from raydistill.kernels.vectors import VECTOR_BYTES

HALVES = ("encode", "decode")


class Size(NamedTuple):
    """All sizes that a plan depends on.

    Attributes:
        in_channels, out_channels: of the network.
        channels, blocks, stages: of the network, as in `PixelCNNConfig`.
        side: of the images, in pixels.
        batch: images that are decoded together.
        itemsize: bytes in a number, 4 or 8.
    """

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
        """How many numbers a vector has."""
        return VECTOR_BYTES // self.itemsize

    def padded(self, features: int) -> int:
        """A number of features, rounded up to whole vectors."""
        return -(-features // self.lanes) * self.lanes


class Rows(NamedTuple):
    """Where one row (W + 2, B, features) lies, or two that are used in turn.

    Attributes:
        start: offset of the first number.
        row: distance of the two rows; 0 if there is one.
        column: distance of two columns.
        features: numbers of one image in one column.
    """

    start: int
    row: int
    column: int
    features: int

    def at(self, parity: int, column: int) -> int:
        """Offset of a column, counted from -1 (the zeros at the left), in the even or odd row."""
        return self.start + parity * self.row + (column + 1) * self.column


class Matrix(NamedTuple):
    """Where a packed weight matrix lies: panels of (windows * depth, vectors * lanes), and a bias.

    Attributes:
        start: offset of the weights.
        bias: offset of the bias.
        windows: pixels that the matrix is multiplied with.
        depth: numbers of one such pixel.
        panels: blocks of columns.
        vectors: width of a panel, in vectors.
        gated: whether the columns are [a, b] of a gate; a panel then has one vector of a and the
            matching one of b.
    """

    start: int
    bias: int
    windows: int
    depth: int
    panels: int
    vectors: int
    gated: bool


class Memory:
    """Hands out parts of the arena, one behind the other, in whole vectors.

    Args:
        size: all sizes.
    """

    def __init__(self, size: Size) -> None:
        self.size, self.used = size, 0
        self.matrices: dict[str, Matrix] = {}

    def take(self, count: int) -> int:
        """Reserve `count` numbers and return their offset."""
        start, self.used = self.used, self.used + self.size.padded(count)
        return start

    def matrix(
        self, name: str, windows: int, depth: int, columns: int, *, gated: bool = False
    ) -> None:
        """Reserve a matrix and its bias; `columns` counts a and b of a gated matrix as one."""
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
        """Reserve one row of `width` columns, or two that are used in turn."""
        column = self.size.batch * features
        row = (width + 2) * column
        return Rows(self.take(count * row), row if count > 1 else 0, column, features)


class Stage:
    """The rows of one stream at one resolution, on the way down or up the pyramid.

    Attributes:
        x: the residual stream, updated in place.
        elus: its concat-ELU on entering, and after every block.
        hidden: the concat-ELU inside every block, between its two convolutions.
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
    """All rows of one stream.

    Attributes:
        encode: stages on the way down the pyramid, finest first.
        decode: stages on the way up, finest first.
    """

    def __init__(self, memory: Memory, rows: int) -> None:
        size = memory.size
        widths = [size.side >> stage for stage in range(size.stages)]
        self.encode = [Stage(memory, width, size.blocks, rows) for width in widths]
        # The way up starts where the way down ends: at the coarsest stage, in the same rows.
        self.decode = [Stage(memory, width, size.blocks + 1, rows) for width in widths[:-1]]
        self.decode.append(Stage(memory, widths[-1], size.blocks, rows, self.encode[-1]))

    def half(self, name: str) -> list[Stage]:
        """`encode` or `decode`."""
        return self.encode if name == "encode" else self.decode

    def skip(self, stage: int, block: int) -> Rows:
        """The activations that a skip connection brings to a block of `decode[stage]`."""
        finest = len(self.decode[stage].hidden) - 1
        return self.encode[stage].elus[finest - block]


def take_weights(memory: Memory) -> None:
    """Reserve all matrices of the network, by the names that `weights.pack_weights` uses."""
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
