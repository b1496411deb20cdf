"""Synthetic records of image trials with planted effects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis.effects import Verdict
from analysis.image.claims import judge
from analysis.records import Sweep, TrialRecord
from analysis.table import to_frame
from raydistill.record import Evaluation, Record, Spent
from raydistill.store.storage import Storage

NOWHERE = Storage("/nowhere")
SEEDS = (0, 1, 2)

REFERENCE = {
    "teacher_test": {
        "classifier_fd": 100.0,
        "pixel_fd": 40.0,
        "top_class_share": 0.15,
        "class_entropy": 2.25,
        "recall": 0.7,
        "coverage": 0.9,
        "copied_share": 0.01,
        "sharpness_ratio": 0.95,
        "high_frequency_ratio": 0.97,
    },
    "train_test": {"classifier_fd": 5.0, "top_class_share": 0.12, "coverage": 0.97},
    "norm_perturbation": {
        "same_class_0.700": 0.6,
        "same_class_0.900": 0.85,
        "same_class_1.000": 1.0,
        "same_class_1.300": 0.5,
        "count": 200.0,
    },
    "classifier": {"test_accuracy": 0.97},
}


@dataclass(frozen=True)
class Arm:
    """One trial's place in a design."""

    objective: str
    seed: int = 0
    student: str = "pixelcnn_flow"
    estimator: str = "plain"
    noise: float = 0.0
    l1: float = 0.0
    rescale: bool = False
    dataset: str = "mnist"
    train_count: int | None = None
    rate: float = 1e-3
    teacher: str = "teacher"

    @property
    def tree(self) -> dict[str, Any]:
        """Its objective's configuration."""
        if self.objective == "reverse_kl":
            return {"kind": self.objective, "estimator": self.estimator}
        if self.objective == "z_reconstruction":
            return {"kind": self.objective, "l1_weight": self.l1}
        own = {"noise_level": self.noise, "l1_weight": self.l1, "rescale": self.rescale}
        return {"kind": self.objective, **own}


Metrics = Callable[[Arm], Mapping[str, float]]


def at_scales(metrics: Mapping[str, float], scale: float = 0.9) -> dict[str, float]:
    """Metrics with those at the best prior scale, which are the same unless they are given."""
    best = {f"{name}_best": value for name, value in metrics.items() if "_best" not in name}
    return best | {"prior_scale_best": scale} | dict(metrics)


def over_seeds(*arms: Arm, seeds: Iterable[int] = SEEDS) -> list[Arm]:
    """Each arm with every seed."""
    return [replace(arm, seed=seed) for arm in arms for seed in seeds]


def trial(
    index: int,
    arm: Arm,
    metrics: Mapping[str, float],
    *,
    reference: Mapping[str, dict[str, float]] = REFERENCE,
    validation: Mapping[str, float] | None = None,
    artefacts: Mapping[str, str] | None = None,
) -> Record:
    """A finished trial's record; `validation` defaults to the test metrics.

    All are at prior scale 1 and, unless they say otherwise, the same at the best one.
    """
    config = {
        "task": "image",
        "data": {"name": arm.dataset, "size": 28, "train_count": arm.train_count},
        "teacher": {"budget": {"updates": 900}},
        "student": {"kind": arm.student},
        "objective": arm.tree,
        "optimiser": {"learning_rate": arm.rate},
        "budget": {"updates": 1600, "batch_size": 64},
        "seed": arm.seed,
    }
    seen = at_scales(metrics if validation is None else validation)
    history = (Evaluation(1600, "validation", seen), Evaluation(1600, "test", at_scales(metrics)))
    floors = {
        name: at_scales(values, 0.8) if name.startswith("teacher") else dict(values)
        for name, values in reference.items()
    }
    return Record(
        f"trial_{index:05d}",
        "finished",
        config,
        arm.teacher,
        Spent(1600, 30.0, 2.0),
        history=history,
        reference=floors,
        artefacts=dict(artefacts or {}),
    )


def judged(
    arms: Iterable[Arm],
    metrics: Metrics,
    *,
    reference: Mapping[str, dict[str, float]] = REFERENCE,
    validation: Metrics | None = None,
    search: str = "grid",
) -> list[Verdict]:
    """Verdicts on such records."""
    sweep = Sweep("sweep", NOWHERE, {"settings": {"search": search}})
    items = [
        TrialRecord(
            sweep,
            NOWHERE,
            trial(
                i,
                arm,
                metrics(arm),
                reference=reference,
                validation=None if validation is None else validation(arm),
            ),
        )
        for i, arm in enumerate(arms)
    ]
    return list(judge(to_frame(items)))


def numbered(found: Iterable[Verdict], number: int, words: str = "") -> list[Verdict]:
    """Verdicts on one claim, those whose sentence has these words in it."""
    return [v for v in found if v.number == number and words in v.claim]
