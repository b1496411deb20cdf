"""Sharing the work of a compiled loop among threads; such loops do not hold Python's lock."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


# A forked process inherits the pool object but not its threads, and would wait for them for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)


def share(work: Callable[[int, int, int], None], count: int, threads: int) -> None:
    """Call work(index, first, stop) in parallel for even shares first ... stop - 1 of range(count).

    Args:
        work: does one share.
        count: how many items there are.
        threads: how many shares; 0 and 1 do everything in the calling thread.
    """
    threads = min(threads, count)
    if threads <= 1:
        work(0, 0, count)
        return
    bounds = [count * index // threads for index in range(threads + 1)]
    # The calling thread takes a share too, so that no more than `threads` threads exist.
    jobs = [
        _pool(threads - 1).submit(work, index, first, stop)
        for index, (first, stop) in enumerate(itertools.pairwise(bounds))
        if index
    ]
    work(0, 0, bounds[1])
    for job in jobs:
        job.result()
