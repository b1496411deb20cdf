"""Ways in which a file is damaged: by its bytes, or by the values of its JSON tree."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

EXTREMES = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0")

KINDS = ("none", "cut", "flip", "insert", "extreme", "drop", "append", "other")

ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([2**31, 2**63, 2**64, -1, 0, 10**400]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["", "\ud800", "nan", "1", "../..", "os:system", "\x00"]),
    st.lists(st.integers() | st.text(max_size=3), max_size=4),
    st.dictionaries(st.text(max_size=4), st.none() | st.integers(), max_size=3),
)


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """One or two changes of a file's bytes; most of them early, where headers are."""
    for _ in range(draw(st.integers(1, 2))):
        near = min(len(content), draw(st.sampled_from([16, 64, 512, 2**30])))
        at = draw(st.integers(0, max(0, near - 1)))
        kind = draw(st.sampled_from(KINDS))
        if kind == "cut":
            content = content[: draw(st.integers(0, len(content)))]
        elif kind == "flip":
            content = content[:at] + draw(st.binary(min_size=1, max_size=1)) + content[at + 1 :]
        elif kind == "insert":
            content = content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[at:]
        elif kind == "extreme":
            content = content[:at] + draw(st.sampled_from(EXTREMES)) + content[at + 4 :]
        elif kind == "drop":
            content = content[:at] + content[at + draw(st.integers(1, 8)) :]
        elif kind == "none":
            pass
        elif kind == "append":
            content += draw(st.binary(min_size=1, max_size=16))
        else:
            content = draw(st.binary(max_size=64))
    return content


@st.composite
def damaged_json(draw: st.DrawFn, text: str) -> bytes:
    """A JSON text with values replaced, fields lost, invented, given twice, or nested too deep."""
    kind = draw(st.sampled_from(["value", "value", "lost", "new", "bytes", "form"]))
    if kind == "bytes":
        return draw(damaged_bytes(text.encode()))
    if kind == "form":
        return draw(
            st.sampled_from(
                [
                    b"[" * 100_000,
                    b'{"a":' * 5000 + b"1" + b"}" * 5000,
                    b"\xef\xbb\xbf" + text.encode(),
                    text.encode("utf-16"),
                    b"{" + text.encode().strip()[1:-1] + b"," + text.encode().strip()[1:],
                    b"1" * 5000,
                    b"NaN",
                    b'{"task": ["image"], "schema_version": [2]}',
                ]
            )
        )
    tree = json.loads(text)
    place = draw(st.sampled_from(list(_places(tree))))
    node: Any = tree
    for step in place[:-1]:
        node = node[step]
    if kind == "lost":
        del node[place[-1]]
    elif kind == "new" and isinstance(node, dict):
        node[draw(st.text(max_size=6))] = draw(ODD_VALUES)
    else:
        node[place[-1]] = draw(ODD_VALUES)
    return json.dumps(tree).encode()


def _places(node: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found: list[tuple[Any, ...]] = []
    for key, value in items:
        found.append((*before, key))
        if isinstance(value, dict | list):
            found += _places(value, (*before, key))
    return found
