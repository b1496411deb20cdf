"""What a check of `raydistill doctor` comes to: facts, and problems with their remedies."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Problem:
    """What would go wrong.

    Attributes:
        what: the thing, its value, and what is the matter with it.
        remedy: what to do about it.
        essential: whether a sweep of the default size would fail.
    """

    what: str
    remedy: str
    essential: bool = False


@dataclass(frozen=True)
class Section:
    """What was found out about one subject.

    Attributes:
        title: of the subject.
        facts: name -> what is so, in words.
        problems: in the order in which they were met.
    """

    title: str
    facts: dict[str, str]
    problems: tuple[Problem, ...] = ()


def gib(count: float) -> str:
    """A number of bytes in GiB, to one decimal."""
    return f"{count / GIB:.1f} GiB"
