"""Strategies that damage files as disks, interrupted copies and other programs do."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

JSON_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2, 10**12, 10**400, 0.0, -0.5, 0.5, 1e-300, 1e308]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.text(max_size=8),
    st.sampled_from(["NaN", "inf", "$x", "\ud800", "\x00", "reverse_kl", "x" * 10_000]),
    st.lists(st.integers(-1, 1), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(-1, 1), max_size=3),
)
"""What may stand in the place of a value: other types, sizes that no file of ours has."""


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """A file cut short, with bytes changed, cut out or put in, or replaced by something else."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "remove", "insert", "foreign"]))
    if kind == "foreign":
        return draw(st.binary(max_size=64))
    place = draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        return content[:place]
    if kind == "remove":
        return content[:place] + content[place + draw(st.integers(1, 64)) :]
    if kind == "insert":
        return content[:place] + draw(st.binary(min_size=1, max_size=16)) + content[place:]
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        changed[place] ^= draw(st.integers(1, 255))
        place = draw(st.integers(0, min(len(content) - 1, 200)))  # heads say more than pixels
    return bytes(changed)


@st.composite
def damaged_tree(draw: st.DrawFn, tree: Any) -> Any:
    """A JSON tree of which one to three nodes are replaced or missing."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            child = node[key]
            if isinstance(child, dict | list) and child and draw(st.integers(0, 5)):
                node = child
                continue
            if draw(st.integers(0, 4)):
                node[key] = draw(JSON_VALUES)
            else:
                del node[key]
            break
    return tree
