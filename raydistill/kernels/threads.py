"""Sharing a batch among threads, for compiled loops that do not hold Python's lock."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


# The threads of a pool do not survive a fork.
os.register_at_fork(after_in_child=_pool.cache_clear)


def share(work: Callable[[int, int, int], None], count: int, threads: int) -> None:
    """`work(share, first, stop)` for even shares of range(count); fewer threads than two do all."""
    threads = min(threads, count)
    if threads <= 1:
        work(0, 0, count)
        return
    bounds = [count * index // threads for index in range(threads + 1)]
    # The calling thread takes a share as well, rather than sleep while more threads than asked run.
    jobs = [
        _pool(threads - 1).submit(work, index, first, stop)
        for index, (first, stop) in enumerate(itertools.pairwise(bounds))
        if index
    ]
    work(0, 0, bounds[1])
    for job in jobs:
        job.result()
