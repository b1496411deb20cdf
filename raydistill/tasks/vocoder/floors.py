"""What students of the vocoder are read by: the same metrics of known sounds, kept in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import raydistill.data.world
import raydistill.metrics.audio
import raydistill.metrics.correlogram
import raydistill.metrics.envelope
import raydistill.metrics.periodicity
import raydistill.metrics.pitch
import raydistill.metrics.spectra
import raydistill.metrics.voicing
import raydistill.tasks.vocoder.evaluation
from raydistill.record import PerUnit
from raydistill.store.assets import Built, Store
from raydistill.store.code import code_version, module_of
from raydistill.store.storage import Storage
from raydistill.tasks.assets import Cost, TeacherAsset, cost_of, costed, with_threads
from raydistill.tasks.vocoder.evaluation import VocoderEvaluation, over_sentences


@dataclass(frozen=True)
class FloorsPart:
    """The floors, as a part to build; see `VocoderEvaluation.floors`."""


@dataclass(frozen=True)
class Floors:
    """Metrics of known sounds on the test split.

    Attributes:
        rows: floor -> metric -> one value a sentence, (sentences,).
        cost: of measuring them.
    """

    rows: dict[str, dict[str, Tensor]]
    cost: Cost

    @property
    def means(self) -> dict[str, dict[str, float | PerUnit]]:
        """Floor -> metric -> mean over sentences, with each sentence's value."""
        return {name: over_sentences(as_rows(columns)) for name, columns in self.rows.items()}


def recipe_of(evaluation: VocoderEvaluation, teacher: TeacherAsset) -> dict[str, Any]:
    """Everything that the floors are a function of; the teacher's recipe holds the data's."""
    return {
        "teacher": teacher.source,
        "evaluation": evaluation.wanted.model_dump(mode="json"),
        "code": code_version(
            raydistill.data.world,
            raydistill.metrics.audio,
            raydistill.metrics.correlogram,
            raydistill.metrics.envelope,
            raydistill.metrics.periodicity,
            raydistill.metrics.pitch,
            raydistill.metrics.spectra,
            raydistill.metrics.voicing,
            raydistill.tasks.vocoder.evaluation,
            module_of(teacher.teacher),
        ),
    }


def are_stored(evaluation: VocoderEvaluation, teacher: TeacherAsset, store: Store) -> bool:
    """Whether the store's index has them."""
    return store.has("speech-floors", recipe_of(evaluation, teacher))


def get_floors(evaluation: VocoderEvaluation, teacher: TeacherAsset, store: Store) -> Floors:
    """The floors from the store, measured first if they are not there."""

    @costed(evaluation.device)
    @with_threads(1)
    def build(work: Storage) -> Built:
        tensors = {
            f"{name}/{metric}": values
            for name, rows in evaluation.floor_rows("test").items()
            for metric, values in as_columns(rows).items()
        }
        return Built(tensors, {})

    asset = store.get_or_build("speech-floors", recipe_of(evaluation, teacher), build)
    found: dict[str, dict[str, Tensor]] = {}
    for key, values in asset.tensors.items():
        name, _, metric = key.partition("/")
        found.setdefault(name, {})[metric] = values
    return Floors(found, cost_of(asset))


def as_columns(rows: list[dict[str, float]]) -> dict[str, Tensor]:
    """Metric -> one value a sentence."""
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def as_rows(columns: dict[str, Tensor]) -> list[dict[str, float]]:
    """One dictionary a sentence."""
    count = len(next(iter(columns.values())))
    return [{name: float(values[i]) for name, values in columns.items()} for i in range(count)]
