"""Sets of pairs (x, z) with z = T(x), in shards that are built apart and kept by content hash.

A shard is a function of the teacher and of its own number, whatever the size of the set: a larger
set finds the shards of a smaller one, an interrupted build goes on at the first shard that is
missing, and processes share the work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from raydistill.data.images import ImageData
from raydistill.metrics.likelihood import logits_of
from raydistill.metrics.norms import RADII, at_radii
from raydistill.seeding import generator
from raydistill.store.assets import Asset, Built, Store
from raydistill.store.code import code_version, module_of
from raydistill.store.storage import Storage
from raydistill.tasks.assets import (
    Cost,
    TeacherAsset,
    cost_of,
    costed,
    require_finite,
    with_threads,
)
from raydistill.tasks.image.config_parts import EvaluationConfig, PairConfig
from raydistill.tasks.image.teacher import encode

SHARD = 1000
"""Prior draws of one shard."""

NORM_SHARD = 20
"""Prior draws of one shard of norms, each decoded at every radius."""

Kind = Literal["data", "oracle", "evaluation", "norms"]
"""The training split's codes; prior draws to train on; others, never the same, that students are
compared with; and others still, each at every norm of Figure 5."""

Draws = Literal["validation draws", "test draws"]
"""Sets of the teacher's draws that are judged as a student's are, at a prior scale."""


@dataclass(frozen=True)
class Shard:
    """One part of a set of pairs.

    Attributes:
        kind: which set.
        index: its number: of a dequantisation of the training split, or of so many prior draws.
        scale: prior scale of `Draws`. One set has the same z at every scale, up to that factor.
        size: how many of `Draws` there are; 0 of other kinds, whose size is fixed.
    """

    kind: Kind | Draws
    index: int
    scale: float = 1.0
    size: int = 0


@dataclass(frozen=True)
class Drawn:
    """A set of samples and what they are decoded from.

    Attributes:
        x, z: (N, C, H, W).
        cost: of drawing it; None if it was drawn just now.
    """

    x: Tensor
    z: Tensor
    cost: Cost | None = None


@dataclass(frozen=True)
class Pairs:
    """Pairs (x, z) with z = T(x).

    Attributes:
        x, z: (N, C, H, W).
        log_prob: log p_T(x) in nats, (N,).
        cost: of all shards; None of what is no asset.
    """

    x: Tensor
    z: Tensor
    log_prob: Tensor
    cost: Cost | None = None

    @property
    def costs(self) -> Cost:
        """The cost of a set that is an asset, as those of `get_pairs` are."""
        assert self.cost is not None
        return self.cost


def shards_of(kind: Kind, count: int) -> tuple[Shard, ...]:
    """The shards of a set: `count` dequantisations of the data, or `count` prior draws."""
    size = {"data": 1, "norms": NORM_SHARD}.get(kind, SHARD)
    return tuple(Shard(kind, index) for index in range(math.ceil(count / size)))


def judged_shard(
    split: Literal["validation", "test"], scale: float, index: int, size: int
) -> Shard:
    """The shard of one set of the teacher's draws at a prior scale; see `Draws`."""
    kinds: dict[str, Draws] = {"validation": "validation draws", "test": "test draws"}
    return Shard(kinds[split], index, scale, size)


def judged_shards(wanted: EvaluationConfig, scales: tuple[float, ...]) -> tuple[Shard, ...]:
    """What floors are measured on, but for the test sets at the scale that they choose."""
    validation = (
        judged_shard("validation", scale, index, wanted.samples)
        for scale in scales
        for index in range(wanted.validation_draws)
    )
    test = (judged_shard("test", 1.0, index, wanted.samples) for index in range(wanted.draws))
    return (*shards_of("data", 1), *validation, *test)


def training_shards(draws: str, wanted: PairConfig) -> tuple[Shard, ...]:
    """What an objective trains on, by what it draws on."""
    if draws == "data pairs" and wanted.data_copies is not None:
        return shards_of("data", wanted.data_copies)
    return shards_of("oracle", wanted.oracle_count) if draws == "oracle pairs" else ()


def recipe_of(shard: Shard, teacher: TeacherAsset) -> dict[str, Any]:
    """Everything that a shard is a function of."""
    recipe: dict[str, Any] = {"teacher": teacher.source, "kind": shard.kind, "shard": shard.index}
    if shard.kind == "data":
        return recipe
    recipe["code"] = code_version(module_of(teacher.teacher))
    if shard.size:
        return recipe | {"size": shard.size, "scale": shard.scale, "seed": teacher.seed}
    if shard.kind == "norms":
        return recipe | {"size": NORM_SHARD, "radii": list(RADII)}
    return recipe | {"size": SHARD}


def is_stored(shard: Shard, teacher: TeacherAsset, store: Store) -> bool:
    """Whether the store's index has a shard."""
    return store.has("pairs", recipe_of(shard, teacher))


def build_shard(
    shard: Shard, teacher: TeacherAsset, data: ImageData, store: Store, device: torch.device
) -> Asset:
    """A shard from the store, built first if it is not there.

    Raises:
        SamplesDivergedError: draws of the teacher, or their log p_T, are not finite.
    """

    # One thread, whoever builds it: the last bits of a sum are a function of their number.
    @costed(device)
    @with_threads(1)
    def build(work: Storage) -> Built:
        if shard.kind == "data":
            # Codes do not depend on the student: encoding once spares every trial a teacher pass.
            x = logits_of(data.train, data.levels, device, "pairs", shard.index)
            codes = encode(teacher.teacher, x)
            return Built({"x": x, "z": codes.z, "log_prob": codes.log_prob}, {})
        if shard.size:
            # Teachers of one design have draws of their own, as students have.
            random = generator(device, shard.kind, teacher.seed, shard.index)
            z = shard.scale * teacher.teacher.sample_prior(shard.size, random)
            x = teacher.teacher.decode(z)
            require_finite(x, teacher.identity)
            return Built({"x": x, "z": z}, {})
        random = generator(device, shard.kind, shard.index)
        if shard.kind == "norms":
            z = at_radii(teacher.teacher.sample_prior(NORM_SHARD, random)).flatten(0, 1)
        else:
            z = teacher.teacher.sample_prior(SHARD, random)
        x = teacher.teacher.decode(z)
        require_finite(x, teacher.identity)
        log_prob = encode(teacher.teacher, x).log_prob
        require_finite(log_prob, teacher.identity)
        return Built({"x": x, "z": z, "log_prob": log_prob}, {})

    return store.get_or_build("pairs", recipe_of(shard, teacher), build)


def get_pairs(
    kind: Kind,
    count: int,
    teacher: TeacherAsset,
    data: ImageData,
    store: Store,
    device: torch.device,
) -> Pairs:
    """A whole set on a device, what is missing of it built here.

    Args:
        kind, count: see `shards_of`; of prior draws exactly `count` are returned, of norms each
            at all radii, one draw's after another's.
        teacher, data, store, device: as for `build_shard`.
    """
    found = [build_shard(shard, teacher, data, store, device) for shard in shards_of(kind, count)]
    wanted = {"data": None, "norms": count * len(RADII)}.get(kind, count)
    x, z, log_prob = (
        torch.cat([asset.tensors[name] for asset in found])[:wanted].to(device)
        for name in ("x", "z", "log_prob")
    )
    return Pairs(x, z, log_prob, cost_of(*found))


def get_draws(
    shard: Shard, teacher: TeacherAsset, data: ImageData, store: Store, device: torch.device
) -> Drawn:
    """A set of the teacher's draws to judge, on a device, built first if it is not there."""
    asset = build_shard(shard, teacher, data, store, device)
    x, z = (asset.tensors[name].to(device) for name in ("x", "z"))
    return Drawn(x, z, cost_of(asset) if asset.found else None)
