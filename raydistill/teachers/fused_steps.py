"""What the fused decoder does at every row and pixel, as a list of matrix products.

Each *step* is a product over a few windows of rows with an activation on top; `fused_kernel` runs
them. What is computed a row and what a pixel at a time is as in `pixelcnn_cache`: the down stream
and everything that reaches the down-right stream from finished rows once a row, the rest a pixel.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from raydistill.teachers.fused_memory import Memory, Pyramid, Rows

# What a step does with its product y, in vectors of features.
STORE = 0  # out = y
HIDDEN = 1  # elus = [elu(y), elu(-y)]
ENTER = 2  # out = y, elus = [elu(y), elu(-y)]
GATE = 3  # out += a sigmoid(b) where y = [a, b], elus = [elu(out), elu(-out)]
ELUS = 4  # no product; elus = [elu(out), elu(-out)]


@dataclass
class Step:
    """One line of the table. All but `kind` and the counts are offsets or distances in numbers.

    The product has `rows` rows, and is repeated for `groups` groups of them, `..._group` apart. Its
    inner dimension is `windows` windows of `depth` numbers. At a column c of the image, its left
    side moves by (c >> left_shift) left_column, everything else by (c >> shift) ..._column.
    `half` is the distance of elu(y) and elu(-y); `image_row` moves the left side with the row.
    """

    kind: int
    rows: int
    groups: int = 1
    windows: int = 0
    depth: int = 0
    left_row: int = 0
    left_group: int = 0
    left_column: int = 0
    left_shift: int = 0
    image_row: int = 0
    right: int = 0
    panels: int = 0
    vectors: int = 0
    bias: int = 0
    bias_row: int = 0
    bias_column: int = 0
    out: int = 0
    out_row: int = 0
    out_group: int = 0
    out_column: int = 0
    elus: int = 0
    elus_row: int = 0
    elus_group: int = 0
    elus_column: int = 0
    half: int = 0
    shift: int = 0


# The place of every field in a line of the table, where the windows' offsets follow.
_NAMES = [field.name for field in fields(Step)]
FIELD = namedtuple("FIELD", _NAMES)(*range(len(_NAMES)))
WINDOWS_FROM = len(_NAMES)
FIELDS = WINDOWS_FROM + 8  # at most seven windows

HALVES = ("encode", "decode")
_CENTRED, _LEFT = (-1, 0, 1), (-1, 0)

Line = tuple[Step, Sequence[int]]


class Place(NamedTuple):
    """A column of one of two rows; both may be counted from somewhere else by a moving index."""

    rows: Rows
    row: int = 0
    column: int = 0

    @property
    def offset(self) -> int:
        """In numbers."""
        return self.rows.at(self.row, self.column)


def take_weights(memory: Memory) -> None:
    """Room for every matrix of the network, under the names that `fused_weights` packs."""
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


class Program:
    """The rows of both streams, and the steps over them.

    Attributes:
        image: pixels and the plane of ones; row r of the image is `at(r + 2, ...)`, below two rows
            of zeros.
        output: the network's output at the latest pixel, (B, features).
    """

    def __init__(self, memory: Memory) -> None:
        self.matrices, self.size = memory.matrices, memory.size
        size = self.size
        features = size.in_channels + 1
        column = size.batch * features
        row = (size.side + 2) * column
        self.image = Rows(memory.take((size.side + 2) * row), row, column, features)
        self.down, self.right = Pyramid(memory, rows=2), Pyramid(memory, rows=1)
        plain = size.padded(size.channels)
        # What finished rows and the down stream contribute to the products at a pixel.
        self.input_above = memory.rows(size.side, plain)
        self.above = {
            name: memory.rows(size.side >> int(name.split(".")[2]), width)
            for name, matrix in memory.matrices.items()
            if name.startswith("above.")
            for width in [matrix.panels * matrix.vectors * size.lanes]
        }
        outputs = memory.matrices["output"]
        width = outputs.panels * outputs.vectors * size.lanes
        self.output = Rows(memory.take(size.batch * width), 0, 0, width)

    def row_steps(self, phase: int) -> list[Line]:
        """What is done when a row begins; `phase` is its index modulo 2^stages."""
        active = active_stages(phase, self.size.stages)
        above = [Place(self.image, 1, j) for j in _CENTRED]
        two_above = [Place(self.image, 0, j) for j in _CENTRED]
        finest = self.down.encode[0]
        parity = phase % 2
        lines = [
            self._product(
                *("down_input", ENTER, two_above + above),
                out=Place(finest.x, parity),
                elus=Place(finest.elus[0], parity),
                rows=self._width(0),
            ),
            self._product(
                *("right_above", STORE, above), out=Place(self.input_above), rows=self._width(0)
            ),
        ]
        for step, _ in lines:
            step.image_row = self.image.row
        for stage in range(active):
            parity = (phase >> stage) % 2
            for block in range(len(self.down.encode[stage].hidden)):
                lines += self._down_block("encode", stage, block, parity)
            if stage + 1 < active:
                lines.append(self._down_shrink(stage, parity, (phase >> stage + 1) % 2))
        for stage in reversed(range(active)):
            parity = (phase >> stage) % 2
            if stage + 1 < self.size.stages:
                lines.append(self._activate(self.down, stage, parity, self._width(stage)))
            for block in range(len(self.down.decode[stage].hidden)):
                lines += self._down_block("decode", stage, block, parity)
            if stage > 0:
                lines += self._down_grow(stage, parity)
        for half in HALVES:
            for stage in range(active):
                for block in range(len(self.right.half(half)[stage].hidden)):
                    lines += self._from_above(half, stage, block, (phase >> stage) % 2)
        return lines

    def pixel_steps(self, phase: int, level: int) -> list[Line]:
        """What is done at a pixel of such a row whose column belongs to `level` stages."""
        active = min(active_stages(phase, self.size.stages), level)
        finest = self.right.encode[0]
        batch = self.size.batch
        entering = self._product(
            *("right_left", ENTER, [Place(self.image, 1, -1), Place(self.image, 2, -1)]),
            bias=Place(self.input_above),
            out=Place(finest.x, phase % 2),
            elus=Place(finest.elus[0]),
            rows=batch,
        )
        entering[0].image_row = self.image.row
        lines = [entering]
        for stage in range(active):
            parity = (phase >> stage) % 2
            for block in range(len(self.right.encode[stage].hidden)):
                lines += self._right_block("encode", stage, block, parity)
            if stage + 1 < active:
                x, coarser = self.right.encode[stage].x, self.right.encode[stage + 1]
                shrink = self._product(
                    f"right.shrink.{stage}",
                    ENTER,
                    [Place(x, row, j) for row in (1 - parity, parity) for j in _LEFT],
                    out=Place(coarser.x, (phase >> stage + 1) % 2),
                    elus=Place(coarser.elus[0]),
                    rows=batch,
                    shift=stage + 1,
                )
                shrink[0].left_shift = stage
                lines.append(shrink)
        for stage in reversed(range(active)):
            parity = (phase >> stage) % 2
            if stage + 1 < self.size.stages:
                lines.append(self._activate(self.right, stage, parity, batch))
            for block in range(len(self.right.decode[stage].hidden)):
                lines += self._right_block("decode", stage, block, parity)
            if stage > 0:
                for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    # The pixel 2c + column of the finer stage, by the finer stage's own index.
                    grow = self._product(
                        f"right.grow.{stage - 1}.{row}.{column}",
                        STORE,
                        [Place(self.right.decode[stage].x, parity)],
                        out=Place(self.right.decode[stage - 1].x, row, column),
                        rows=batch,
                        shift=stage - 1,
                    )
                    grow[0].left_shift = stage
                    lines.append(grow)
        features = Place(self.right.decode[0].elus[-1])
        lines.append(
            self._product("output", STORE, [features], out=Place(self.output), rows=batch)
        )
        return lines

    def _width(self, stage: int) -> int:
        return (self.size.side >> stage) * self.size.batch

    def _product(
        self,
        name: str,
        kind: int,
        windows: Sequence[Place],
        *,
        rows: int,
        bias: Place | None = None,
        out: Place | None = None,
        elus: Place | None = None,
        shift: int = 0,
    ) -> Line:
        """A step over windows of equal features; `bias` replaces the weights' own."""
        matrix, left = self.matrices[name], windows[0].rows
        assert len(windows) == matrix.windows
        step = Step(
            kind,
            rows,
            windows=len(windows),
            depth=matrix.depth,
            left_row=left.features,
            left_column=left.column,
            left_shift=shift,
            right=matrix.start,
            panels=matrix.panels,
            vectors=matrix.vectors,
            bias=matrix.bias,
            shift=shift,
        )
        if bias:
            step.bias, step.bias_row = bias.offset, bias.rows.features
            step.bias_column = bias.rows.column
        _write(step, out, elus)
        return step, [window.offset for window in windows]

    def _activate(self, stream: Pyramid, stage: int, parity: int, rows: int) -> Line:
        """The activations of what a coarser stage has grown."""
        entered = stream.decode[stage]
        panels = self.size.padded(self.size.channels) // self.size.lanes
        step = Step(ELUS, rows, panels=panels, vectors=1, shift=stage)
        _write(step, Place(entered.x, parity), Place(entered.elus[0], parity))
        return step, []

    def _down_block(self, half: str, stage: int, block: int, parity: int) -> list[Line]:
        at, name = self.down.half(half)[stage], f"down.{half}.{stage}.{block}"
        rows = self._width(stage)

        def around(source: Rows) -> list[Place]:
            return [Place(source, row, j) for row in (1 - parity, parity) for j in _CENTRED]

        windows = around(at.elus[block])
        if half == "decode":
            windows.append(Place(self.down.skip(stage, block), parity))
        hidden = Place(at.hidden[block], parity)
        out, elus = Place(at.x, parity), Place(at.elus[block + 1], parity)
        return [
            self._product(f"{name}.in", HIDDEN, windows, elus=hidden, rows=rows),
            self._product(
                f"{name}.out", GATE, around(at.hidden[block]), out=out, elus=elus, rows=rows
            ),
        ]

    def _down_shrink(self, stage: int, parity: int, coarse_parity: int) -> Line:
        x, coarser = self.down.encode[stage].x, self.down.encode[stage + 1]
        line = self._product(
            f"down.shrink.{stage}",
            ENTER,
            [Place(x, row, j) for row in (1 - parity, parity) for j in _CENTRED],
            out=Place(coarser.x, coarse_parity),
            elus=Place(coarser.elus[0], coarse_parity),
            rows=self.size.batch,
        )
        _by_column(line[0], self.size.side >> stage + 1, left=2, out=1)
        return line

    def _down_grow(self, stage: int, parity: int) -> list[Line]:
        x, finer, lines = self.down.decode[stage].x, self.down.decode[stage - 1].x, []
        for row in (0, 1):
            for column in (0, 1):
                # An odd column lies between two coarse ones.
                line = self._product(
                    f"down.grow.{stage - 1}.{row}.{column}",
                    STORE,
                    [Place(x, parity, j) for j in range(1 + column)],
                    out=Place(finer, row, column),
                    rows=self.size.batch,
                )
                _by_column(line[0], self.size.side >> stage, left=1, out=2)
                lines.append(line)
        return lines

    def _from_above(self, half: str, stage: int, block: int, parity: int) -> list[Line]:
        """What the row above and the down stream add to a block of the down-right stream."""
        at, name = self.right.half(half)[stage], f"above.{half}.{stage}.{block}"
        context = Place(self.down.half(half)[stage].elus[block + 1], parity)
        first = [*(Place(at.elus[block], 0, j) for j in _LEFT), context]
        second = [Place(at.hidden[block], 0, j) for j in _LEFT]
        return [
            self._product(
                *(f"{name}.{part}", STORE, windows),
                out=Place(self.above[f"{name}.{part}"]),
                rows=self._width(stage),
            )
            for part, windows in (("in", first), ("out", second))
        ]

    def _right_block(self, half: str, stage: int, block: int, parity: int) -> list[Line]:
        at, name = self.right.half(half)[stage], f"{half}.{stage}.{block}"
        windows = [Place(at.elus[block], 0, j) for j in _LEFT]
        if half == "decode":
            windows.append(Place(self.right.skip(stage, block)))
        return [
            self._product(
                *(f"right.{name}.in", HIDDEN, windows),
                bias=Place(self.above[f"above.{name}.in"]),
                elus=Place(at.hidden[block]),
                rows=self.size.batch,
                shift=stage,
            ),
            self._product(
                *(f"right.{name}.out", GATE, [Place(at.hidden[block], 0, j) for j in _LEFT]),
                bias=Place(self.above[f"above.{name}.out"]),
                out=Place(at.x, parity),
                elus=Place(at.elus[block + 1]),
                rows=self.size.batch,
                shift=stage,
            ),
        ]


def _write(step: Step, out: Place | None, elus: Place | None) -> None:
    if out:
        step.out, step.out_row, step.out_column = out.offset, out.rows.features, out.rows.column
    if elus:
        step.elus, step.elus_row = elus.offset, elus.rows.features
        step.elus_column, step.half = elus.rows.column, elus.rows.features // 2


def _by_column(step: Step, width: int, *, left: int, out: int) -> None:
    """Repeat a step over `width` columns where one side takes every second one."""
    step.groups = width
    step.left_group = left * step.left_column
    step.out_group, step.elus_group = out * step.out_column, out * step.elus_column


def active_stages(index: int, stages: int) -> int:
    """How many resolutions have a row (or column) that begins at fine index `index`."""
    active = 1
    while active < stages and index % (1 << active) == 0:
        active += 1
    return active
