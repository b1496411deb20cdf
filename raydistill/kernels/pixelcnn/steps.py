"""What the decoder computes at every row and pixel, as a list of matrix products.

Each *step* multiplies a few windows of rows by a matrix and applies an activation; `kernel` runs
them. As in `networks.pixelcnn.cache`, the down stream, and all that the down-right stream takes
from finished rows, is computed once a row; the rest is computed at each pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from raydistill.kernels.pixelcnn.memory import HALVES, Memory, Pyramid, Rows
from raydistill.kernels.pixelcnn.stages import active_stages
from raydistill.kernels.pixelcnn.table import ELUS, ENTER, GATE, HIDDEN, STORE, Step

_CENTRED, _LEFT = (-1, 0, 1), (-1, 0)

Line = tuple[Step, Sequence[int]]


class Place(NamedTuple):
    """A column of one of two rows, relative to the pixel that is being computed.

    Attributes:
        rows: the rows.
        row: which of the two.
        column: relative to the pixel's own column.
    """

    rows: Rows
    row: int = 0
    column: int = 0

    @property
    def offset(self) -> int:
        """Its offset in the arena, for the pixel at column 0."""
        return self.rows.at(self.row, self.column)


class Program:
    """The rows of both streams, and the steps that compute them.

    Args:
        memory: where rows are reserved, after the matrices.

    Attributes:
        image: the pixels with a channel of ones; row r of the image is `at(r + 2, ...)`, below two
            rows of zeros.
        output: the network's output at the current pixel, (B, features).
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
        # What finished rows and the down stream add to the products at a pixel, as biases.
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
        """The steps at the beginning of a row; `phase` is its index modulo 2^stages."""
        active = active_stages(phase, self.size.stages)
        above = [Place(self.image, 1, j) for j in _CENTRED]
        two_above = [Place(self.image, 0, j) for j in _CENTRED]
        finest = self.down.encode[0]
        parity = phase % 2
        lines = [
            self._product(
                "down_input",
                ENTER,
                two_above + above,
                out=Place(finest.x, parity),
                elus=Place(finest.elus[0], parity),
                rows=self._width(0),
                image_row=self.image.row,
            ),
            self._product(
                "right_above",
                STORE,
                above,
                out=Place(self.input_above),
                rows=self._width(0),
                image_row=self.image.row,
            ),
        ]
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
        """The steps at a pixel of such a row, whose column belongs to `level` stages."""
        active = min(active_stages(phase, self.size.stages), level)
        finest = self.right.encode[0]
        batch = self.size.batch
        entering = self._product(
            "right_left",
            ENTER,
            [Place(self.image, 1, -1), Place(self.image, 2, -1)],
            bias=Place(self.input_above),
            out=Place(finest.x, phase % 2),
            elus=Place(finest.elus[0]),
            rows=batch,
            image_row=self.image.row,
        )
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
                    left_shift=stage,
                )
                lines.append(shrink)
        for stage in reversed(range(active)):
            parity = (phase >> stage) % 2
            if stage + 1 < self.size.stages:
                lines.append(self._activate(self.right, stage, parity, batch))
            for block in range(len(self.right.decode[stage].hidden)):
                lines += self._right_block("decode", stage, block, parity)
            if stage > 0:
                for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    # Pixel c of this stage becomes pixels 2c and 2c + 1 of the finer one.
                    grow = self._product(
                        f"right.grow.{stage - 1}.{row}.{column}",
                        STORE,
                        [Place(self.right.decode[stage].x, parity)],
                        out=Place(self.right.decode[stage - 1].x, row, column),
                        rows=batch,
                        shift=stage - 1,
                        left_shift=stage,
                    )
                    lines.append(grow)
        features = Place(self.right.decode[0].elus[-1])
        lines.append(self._product("output", STORE, [features], out=Place(self.output), rows=batch))
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
        left_shift: int | None = None,
        image_row: int = 0,
    ) -> Line:
        """A matrix product of windows that have equal features.

        Args:
            name: of the matrix.
            kind: what is done with the product, see `table`.
            windows: what is multiplied.
            rows: of the product.
            bias: what to add instead of the matrix's own bias.
            out, elus: where to write.
            shift, left_shift: how many times the columns of results, and of windows, are halved.
            image_row: by how much the windows move with the row of the image.
        """
        matrix, left = self.matrices[name], windows[0].rows
        assert len(windows) == matrix.windows
        step = Step(
            kind,
            rows,
            windows=len(windows),
            depth=matrix.depth,
            left_row=left.features,
            left_column=left.column,
            left_shift=shift if left_shift is None else left_shift,
            image_row=image_row,
            right=matrix.start,
            panels=matrix.panels,
            vectors=matrix.vectors,
            bias=bias.offset if bias else matrix.bias,
            bias_row=bias.rows.features if bias else 0,
            bias_column=bias.rows.column if bias else 0,
            shift=shift,
        )
        return _writing(step, out, elus), [window.offset for window in windows]

    def _activate(self, stream: Pyramid, stage: int, parity: int, rows: int) -> Line:
        """The activations of a row that upsampling of the coarser stage has written."""
        entered = stream.decode[stage]
        panels = self.size.padded(self.size.channels) // self.size.lanes
        step = Step(ELUS, rows, panels=panels, vectors=1, shift=stage)
        return _writing(step, Place(entered.x, parity), Place(entered.elus[0], parity)), []

    def _down_block(self, half: str, stage: int, block: int, parity: int) -> list[Line]:
        at, name = self.down.half(half)[stage], f"down.{half}.{stage}.{block}"
        rows = self._width(stage)

        def around(source: Rows) -> list[Place]:
            return [Place(source, row, j) for row in (1 - parity, parity) for j in _CENTRED]

        windows = around(at.elus[block])
        if half == "decode":
            windows.append(Place(self.down.skip(stage, block), parity))
        hidden, inside = Place(at.hidden[block], parity), around(at.hidden[block])
        out, elus = Place(at.x, parity), Place(at.elus[block + 1], parity)
        return [
            self._product(f"{name}.in", HIDDEN, windows, elus=hidden, rows=rows),
            self._product(f"{name}.out", GATE, inside, out=out, elus=elus, rows=rows),
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
        return _by_column(line, self.size.side >> stage + 1, left=2, out=1)

    def _down_grow(self, stage: int, parity: int) -> list[Line]:
        x, finer, lines = self.down.decode[stage].x, self.down.decode[stage - 1].x, []
        for row in (0, 1):
            for column in (0, 1):
                # An even column depends on one coarse column, an odd one on two.
                line = self._product(
                    f"down.grow.{stage - 1}.{row}.{column}",
                    STORE,
                    [Place(x, parity, j) for j in range(1 + column)],
                    out=Place(finer, row, column),
                    rows=self.size.batch,
                )
                lines.append(_by_column(line, self.size.side >> stage, left=1, out=2))
        return lines

    def _from_above(self, half: str, stage: int, block: int, parity: int) -> list[Line]:
        """Biases of a down-right block: what the row above and the down stream add to it."""
        at, name = self.right.half(half)[stage], f"above.{half}.{stage}.{block}"
        context = Place(self.down.half(half)[stage].elus[block + 1], parity)
        first = [*(Place(at.elus[block], 0, j) for j in _LEFT), context]
        second = [Place(at.hidden[block], 0, j) for j in _LEFT]
        return [
            self._product(
                f"{name}.{part}",
                STORE,
                windows,
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
                f"right.{name}.in",
                HIDDEN,
                windows,
                bias=Place(self.above[f"above.{name}.in"]),
                elus=Place(at.hidden[block]),
                rows=self.size.batch,
                shift=stage,
            ),
            self._product(
                f"right.{name}.out",
                GATE,
                [Place(at.hidden[block], 0, j) for j in _LEFT],
                bias=Place(self.above[f"above.{name}.out"]),
                out=Place(at.x, parity),
                elus=Place(at.elus[block + 1]),
                rows=self.size.batch,
                shift=stage,
            ),
        ]


def _writing(step: Step, out: Place | None, elus: Place | None) -> Step:
    """The step with the places that it writes to."""
    if out:
        step = step._replace(out=out.offset, out_row=out.rows.features, out_column=out.rows.column)
    if elus:
        step = step._replace(
            elus=elus.offset,
            elus_row=elus.rows.features,
            elus_column=elus.rows.column,
            half=elus.rows.features // 2,
        )
    return step


def _by_column(line: Line, width: int, *, left: int, out: int) -> Line:
    """Repeat a step over `width` columns, advancing `left` columns of input and `out` of output."""
    step, windows = line
    step = step._replace(
        groups=width,
        left_group=left * step.left_column,
        out_group=out * step.out_column,
        elus_group=out * step.elus_column,
    )
    return step, windows
