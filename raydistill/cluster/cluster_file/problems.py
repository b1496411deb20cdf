"""What is wrong with a cluster file, and the strings that the rules look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Config = dict[str, Any]
"""A cluster file as YAML reads it."""

PLACEHOLDER = "FILL_IN"
"""Begins what a user is to replace."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the file: where, what stands there (None: nothing), what to do."""

    field: str
    value: object
    remedy: str

    def __str__(self) -> str:
        """The problem as one line, however long the value is."""
        shown = "missing" if self.value is None else repr(self.value)
        if len(shown) > 100:
            shown = f"{shown[:97]}..."
        return " ".join(f"{self.field}: {shown}: {self.remedy}".split())


@dataclass(frozen=True)
class Entry:
    """A string somewhere in the file, and the path to it."""

    field: str
    text: str


def strings(node: object, path: str = "") -> Iterator[Entry]:
    """Every string of a configuration, in the order of the file."""
    if isinstance(node, str):
        yield Entry(path, node)
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from strings(child, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from strings(child, f"{path}[{index}]")
