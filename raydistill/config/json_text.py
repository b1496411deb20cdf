"""JSON that a user may hand in: read strictly, and refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 64
"""Levels of nesting; ours have fewer than ten, and Python's stack ends at a thousand."""


class JsonError(ValueError):
    """A text is not strict JSON; the message says why, on one line."""


def read_json(text: str | bytes) -> Any:
    """The tree of a JSON text, a byte order mark before it or not.

    Stricter than `json.loads`, which keeps the last of two fields of one name, takes NaN, and ends
    in a RecursionError where brackets are nested by the thousand.

    Args:
        text: JSON, as UTF-8 where it is bytes.

    Raises:
        JsonError: it is no strict JSON.

    Example:
        >>> from raydistill.config.json_text import read_json
        >>> read_json('{"seed": 3}')
        {'seed': 3}
        >>> read_json('{"seed": 3, "seed": 4}')
        Traceback (most recent call last):
        ...
        raydistill.config.json_text.JsonError: the field 'seed' is given twice
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.lstrip("\ufeff")
        tree = json.loads(decoded, object_pairs_hook=_distinct, parse_constant=_no_constant)
        json.dumps(tree, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except JsonError:
        raise
    except RecursionError:
        raise JsonError(f"nested deeper than {DEEPEST} levels") from None
    except UnicodeError:
        raise JsonError("not UTF-8 text") from None
    except ValueError as error:
        raise JsonError(" ".join(str(error).split())) from None
    _check_depth(tree)
    return tree


def one_line(text: str) -> str:
    r"""A name that a file gave, as a message may show it: a line break in it is shown as \n.

    Example:
        >>> from raydistill.config.json_text import one_line
        >>> print(one_line("a" + chr(10) + "b"))
        a\nb
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in pairs:
        if name in tree:
            raise JsonError(f"the field {name[:40]!r} is given twice")
        tree[name] = value
    return tree


def _no_constant(name: str) -> Any:
    raise JsonError(f"{name} is no JSON number")


def _check_depth(tree: Any) -> None:
    level = [tree]
    for _ in range(DEEPEST):
        nodes = [node for node in level if isinstance(node, dict | list)]
        if not nodes:
            return
        level = [
            child for node in nodes for child in (node.values() if isinstance(node, dict) else node)
        ]
    raise JsonError(f"nested deeper than {DEEPEST} levels")
