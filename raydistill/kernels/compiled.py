"""Compiling loops with numba, with a cache that notices changes in everything that a loop calls."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

Loop = TypeVar("Loop", bound=Callable[..., None])
Answer = TypeVar("Answer", bound=Callable[[], bool])


def stamp_of(*modules: ModuleType) -> int:
    """A hash of the source of modules, for a compiled loop to close over.

    Numba reuses cached machine code as long as the loop's own file and the values it closes over
    stay the same. It does not look at functions that the loop calls from other modules; a loop that
    closes over the hash of those modules is compiled again when they change.
    """
    code = "".join(inspect.getsource(module) for module in modules)
    return int(hashlib.sha256(code.encode()).hexdigest()[:15], 16)


def constant_when_traced(function: Answer) -> Answer:
    """A function whose answer `torch.compile` takes as it is, instead of tracing how it is found.

    `torch.compiler.assume_constant_result` does the same, and imports the compiler for it: more
    than a second of every process, most of which compile nothing.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def compiled(loop: Loop, **options: Any) -> Loop:
    """Compile a loop at its first call, without holding Python's lock, with a cache on disk.

    Where no folder for the cache can be written to (neither the package's nor one in HOME), every
    process compiles anew.

    Args:
        loop: the function.
        options: further ones of `numba.njit`, for example `fastmath`.
    """
    from numba import njit

    try:
        result: Any = njit(nogil=True, cache=True, **options)(loop)
    except RuntimeError:  # no folder for the cache can be written to
        result = njit(nogil=True, **options)(loop)
    return cast(Loop, result)
