"""One line of the fused decoder's table: a matrix product with an activation on top."""

from __future__ import annotations

from typing import NamedTuple

# What a step does with its product y, in vectors of features.
STORE = 0  # out = y
HIDDEN = 1  # elus = [elu(y), elu(-y)]
ENTER = 2  # out = y, elus = [elu(y), elu(-y)]
GATE = 3  # out += a sigmoid(b) where y = [a, b], elus = [elu(out), elu(-out)]
ELUS = 4  # no product; elus = [elu(out), elu(-out)]


class Step(NamedTuple):
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


# A line of the table holds these fields, at these places, and then the windows' offsets.
FIELD = Step(*range(len(Step._fields)))
WINDOWS_FROM = len(FIELD)
FIELDS = WINDOWS_FROM + 8  # at most seven windows
