"""One line of the decoder's table: a matrix product, and what is done with its result."""

from __future__ import annotations

from typing import NamedTuple

# What a step does with its product y; `out` and `elus` are where it writes.
STORE = 0  # out = y
HIDDEN = 1  # elus = [elu(y), elu(-y)]
ENTER = 2  # out = y, elus = [elu(y), elu(-y)]
GATE = 3  # out += a sigmoid(b) where y = [a, b], elus = [elu(out), elu(-out)]
ELUS = 4  # no product; elus = [elu(out), elu(-out)]


class Step(NamedTuple):
    """One line of the table; offsets and distances count numbers.

    The product has `rows` rows, and is repeated for `groups` groups of rows, which are `..._group`
    apart. Its left factor consists of `windows` windows of `depth` numbers each, whose offsets
    follow the step in the table. At column c of the image the left factor moves by
    (c >> left_shift) * left_column, and everything else by (c >> shift) * ..._column; at row r the
    left factor moves by r * image_row. `half` is the distance from elu(y) to elu(-y).
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


FIELD = Step(*range(len(Step._fields)))
"""The place of each field in a line of the table."""
WINDOWS_FROM = len(FIELD)
"""Where in a line the offsets of the windows begin."""
FIELDS = WINDOWS_FROM + 8
"""Numbers in a line: a step has at most seven windows."""
