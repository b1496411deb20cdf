"""What the vocoder's trials share, in parts that are built apart and kept by content hash.

A part is a function of the teacher and of its own number, whatever else is built: an interrupted
build goes on at the first part that is missing, and processes share the work.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

import raydistill.tasks.vocoder.corpus
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
from raydistill.tasks.vocoder.corpus import Sequences, dithered
from raydistill.tasks.vocoder.teacher import encode_utterance
from raydistill.teachers.conditioned import ConditionedTeacher

PART_FRAMES = 24_000
"""Frames of one part, about: two minutes at 5 ms."""

Kind = Literal["data", "oracle"]
"""The training split's codes; its conditioning with fresh noise, decoded."""


@dataclass(frozen=True)
class Part:
    """Some utterances of one copy of a set.

    Attributes:
        kind: which set.
        copy: its number: of a dither, or of the noise.
        first, end: the utterances, by number.
    """

    kind: Kind
    copy: int
    first: int
    end: int


@dataclass(frozen=True)
class SpeechPairs:
    """Pairs (x, z) with z = T(x; c) over the whole training split.

    Attributes:
        x, z: (copies, samples).
        cost: of all parts.
    """

    x: Tensor
    z: Tensor
    cost: Cost


def parts_of(kind: Kind, copies: int, sequences: Sequences) -> tuple[Part, ...]:
    """The parts of a set."""
    bounds, begun = [0], 0
    for index in range(1, len(sequences)):
        if int(sequences.starts[index]) - begun >= PART_FRAMES:
            bounds.append(index)
            begun = int(sequences.starts[index])
    bounds.append(len(sequences))
    return tuple(
        Part(kind, copy, first, end)
        for copy in range(copies)
        for first, end in itertools.pairwise(bounds)
    )


def recipe_of(part: Part, teacher: TeacherAsset) -> dict[str, Any]:
    """Everything that a part is a function of; the teacher's recipe holds the data's."""
    return {
        "teacher": teacher.source,
        "kind": part.kind,
        "copy": part.copy,
        "utterances": [part.first, part.end],
        "code": code_version(raydistill.tasks.vocoder.corpus, module_of(teacher.teacher)),
    }


def is_stored(part: Part, teacher: TeacherAsset, store: Store) -> bool:
    """Whether the store's index has a part."""
    return store.has("speech-pairs", recipe_of(part, teacher))


def build_part(
    part: Part, teacher: TeacherAsset, sequences: Sequences, store: Store, device: torch.device
) -> Asset:
    """A part from the store, built first if it is not there.

    Raises:
        SamplesDivergedError: samples of the teacher are not finite.
    """
    model = teacher.teacher
    assert isinstance(model, ConditionedTeacher)

    # One thread, whoever builds it: the last bits of a sum are a function of their number.
    @costed(device)
    @with_threads(1)
    @torch.no_grad()
    def build(work: Storage) -> Built:
        found: list[tuple[Tensor, Tensor]] = []
        for index in range(part.first, part.end):
            random = generator(device, "speech", part.kind, part.copy, index)
            features = sequences.features_of(index).to(device)
            if part.kind == "data":
                x = dithered(sequences.x[sequences.samples_of(index)].to(device), random)
                found.append((x, encode_utterance(model, x, features).z))
            else:
                z = model.conditional.sample_prior((len(features) * sequences.hop,), random)
                found.append((model.given(features[None]).decode(z[None])[0], z))
        x, z = (torch.cat(tensors) for tensors in zip(*found, strict=True))
        require_finite(x[None], teacher.identity)
        return Built({"x": x, "z": z}, {})

    return store.get_or_build("speech-pairs", recipe_of(part, teacher), build)


def get_pairs(
    kind: Kind,
    copies: int,
    teacher: TeacherAsset,
    sequences: Sequences,
    store: Store,
    device: torch.device,
) -> SpeechPairs:
    """A whole set on a device, what is missing of it built here."""
    parts = parts_of(kind, copies, sequences)
    found = [build_part(part, teacher, sequences, store, device) for part in parts]
    x, z = (
        torch.cat([asset.tensors[name] for asset in found]).view(copies, -1).to(device)
        for name in ("x", "z")
    )
    return SpeechPairs(x, z, cost_of(*found))
