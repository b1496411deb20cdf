"""Features of many recordings, analysed in parallel and kept by the recordings' content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context

import torch
from torch import Tensor

import raydistill.data.world
from raydistill.data.speech_sets import Recording
from raydistill.data.world import Array, analyse
from raydistill.store import Built, Store, code_version

BUCKETS = 64
"""Recordings are kept in so many assets, so that one that is new or changed costs little."""
PARALLEL_SECONDS = 60.0
"""Of speech, from which starting processes for it pays."""


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

    An interrupted analysis goes on at the first bucket that is missing.
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
    total = len({one.key for one in spoken})
    if missing:
        on_progress(len(found), total)
    seconds = sum(len(x) for bucket in missing for x in bucket.values()) / rate
    if seconds < PARALLEL_SECONDS or (os.cpu_count() or 1) == 1:
        for bucket in missing:
            found |= analyse_bucket(bucket, rate, store)
            on_progress(len(found), total)
        return found
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(analyse_bucket, bucket, rate, store) for bucket in missing]
        for done in as_completed(waiting):
            found |= done.result()
            on_progress(len(found), total)
    return found


def analyse_bucket(bucket: dict[str, Array], rate: int, store: Store | None) -> dict[str, Tensor]:
    """Features of the recordings of a bucket, by their keys."""

    def build(work: object) -> Built:
        made = {key: torch.from_numpy(analyse(x, rate)) for key, x in bucket.items()}
        return Built(made, {"recordings": len(made)})

    if store is None:
        return build(None).tensors
    return store.get_or_build("features", recipe_of(bucket, rate), build).tensors


def recipe_of(bucket: dict[str, Array], rate: int) -> dict[str, object]:
    """Everything that the features of a bucket are a function of."""
    return {
        "recordings": sorted(bucket),
        "rate": rate,
        "code": code_version(raydistill.data.world),
    }
