"""The parts of a page or of an export, made one by one: one that fails does not cost the others.

Records come from other versions, other programs and damaged disks. Reading them rejects what is
known to be wrong; whatever still goes wrong while a figure or a table is made is caught here, said
in a sentence, and counted in the exit status of the script.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from analysis.records import shorten

Made = TypeVar("Made")


@dataclass(frozen=True)
class FailedPart:
    """A part that could not be made.

    Attributes:
        name: of the part, in words.
        reason: the error, and where in the code it was raised.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} could not be made: {self.reason}"


class PartMaker:
    """Makes parts, and keeps a list of those that failed.

    Example:
        >>> parts = PartMaker()
        >>> parts.make("the ratio", lambda: 1 / 0, -1)
        -1
        >>> [part.name for part in parts.failed]
        ['the ratio']
    """

    def __init__(self) -> None:
        self._failed: list[FailedPart] = []

    @property
    def failed(self) -> tuple[FailedPart, ...]:
        """What could not be made so far."""
        return tuple(self._failed)

    def make(self, name: str, make: Callable[[], Made], fallback: Made) -> Made:
        """What `make` returns, or the fallback if it raises.

        Args:
            name: of the part, in words.
            make: makes it.
            fallback: stands in its place.
        """
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - no foreign record may cost the other parts
            self._failed.append(FailedPart(name, error_words(error)))
            return fallback


def error_words(error: BaseException) -> str:
    r"""An error in one line, with the place in the code that raised it.

    Example:
        >>> error_words(ValueError("two\nlines"))
        'ValueError: two lines'
    """
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return shorten(f"{type(error).__name__}{f': {text}' if text else ''}", 200) + where
