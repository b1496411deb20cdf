"""Compiling loops with numba, and keeping what was compiled as long as nothing it calls changes."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

from numba import njit

Loop = TypeVar("Loop", bound=Callable[..., None])


def stamp_of(*modules: ModuleType) -> int:
    """A number made of the code of modules, for a loop to close over.

    Numba keeps compiled code as long as its own file and what it closes over are the same; it does
    not look at what is called.
    """
    code = "".join(inspect.getsource(module) for module in modules)
    return int(hashlib.sha256(code.encode()).hexdigest()[:15], 16)


def compiled(loop: Loop) -> Loop:
    """The loop compiled when first called, without Python's lock, and kept in a cache."""
    try:
        result: Any = njit(nogil=True, cache=True)(loop)
    except RuntimeError:  # nowhere to keep a cache
        result = njit(nogil=True)(loop)
    return cast(Loop, result)
