"""Features of many recordings, analysed side by side and kept by the recordings' content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property

import pyworld
import torch
from torch import Tensor

import raydistill.data.world
from raydistill.data.speech_sets import Recording
from raydistill.data.world import Array, analyse
from raydistill.store.assets import Built, Store
from raydistill.store.code import code_version

BUCKETS = 64
"""Number of assets that features are spread over: a new recording has one of them made again."""


@dataclass(frozen=True)
class Spoken:
    """A recording as it is used.

    Attributes:
        recording: its file.
        x: samples (N,), float32.
    """

    recording: Recording
    x: Array

    @cached_property
    def key(self) -> str:
        """A hash of the samples."""
        return hashlib.sha256(self.x.tobytes()).hexdigest()


def analyse_all(
    spoken: list[Spoken],
    rate: int,
    store: Store | None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Tensor]:
    """Features (F, C) by the key of each recording; what the store has is not analysed again.

    Buckets are analysed side by side, one thread a CPU, since WORLD frees the interpreter's lock.
    Each is stored as soon as it is done: an interrupted analysis goes on at those that are missing.

    Args:
        spoken: what is wanted.
        rate: Hz.
        store: where features are kept; None keeps none.
        on_progress: told how many recordings are done, of how many; not called if none is missing.
    """
    buckets: dict[int, dict[str, Array]] = {}
    for one in spoken:
        buckets.setdefault(int(one.key[:8], 16) % BUCKETS, {})[one.key] = one.x
    found: dict[str, Tensor] = {}
    missing: list[dict[str, Array]] = []
    for bucket in buckets.values():
        asset = None if store is None else store.find("features", recipe_of(bucket, rate))
        if asset is None:
            missing.append(bucket)
        else:
            found |= asset.tensors
    if not missing:
        return found
    total = sum(map(len, buckets.values()))
    on_progress(len(found), total)
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        waiting = [pool.submit(_analyse_bucket, bucket, rate, store) for bucket in missing]
        for done in as_completed(waiting):
            found |= done.result()
            on_progress(len(found), total)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def recipe_of(bucket: dict[str, Array], rate: int) -> dict[str, object]:
    """Everything that the features of a bucket are a function of."""
    return {
        "recordings": sorted(bucket),
        "rate": rate,
        "code": code_version(raydistill.data.world),
        "pyworld": pyworld.__version__,
    }


def _analyse_bucket(bucket: dict[str, Array], rate: int, store: Store | None) -> dict[str, Tensor]:
    """Features of the recordings of a bucket, by their keys."""

    def build(work: object) -> Built:
        made = {key: torch.from_numpy(analyse(x, rate)) for key, x in bucket.items()}
        return Built(made, {"recordings": len(made)})

    if store is None:
        return build(None).tensors
    return store.get_or_build("features", recipe_of(bucket, rate), build).tensors
