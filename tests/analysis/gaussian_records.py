"""Gaussian records: synthetic ones with planted effects, and real ones of tiny trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis.gaussian.study import GaussianStudy, read_gaussian_study
from analysis.records import RecordSet, Sweep, TrialRecord
from raydistill.record import REPLICA, Evaluation, Record, Spent, median_over
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import parse_trial
from raydistill.trials.book import TrialRun
from raydistill.trials.run import run_trial

NOWHERE = Storage("/nowhere")
SEEDS = 20
Values = Mapping[str, "np.ndarray | float"]
Metrics = Callable[[str, int, np.random.Generator], Values]


def config(
    objective: str, dimension: int, *, seed: int = 0, replicas: int = SEEDS, **changes: Any
) -> dict[str, Any]:
    """A trial's configuration; `changes` are dotted fields with __ for dots."""
    own = {"reverse_kl": {"estimator": "plain"}}.get(objective, {})
    tree: dict[str, Any] = {
        "task": "gaussian",
        "dimension": dimension,
        "teacher": {"matrix": "standard", "scale": 1.0, "triangular": False, "mean": 2.0},
        "student": {"kind": "linear", "structure": "full", "start": "identity"},
        "objective": {"kind": objective, **own},
        "optimiser": {"learning_rate": 0.005, "decay": "constant"},
        "budget": {"updates": 100, "batch_size": 64},
        "seed": seed,
        "replicas": replicas,
    }
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        node = tree
        for name in parents:
            node = node[name]
        node[leaf] = value
    return tree


def level(random: np.random.Generator, median: float, spread: float = 0.3) -> np.ndarray:
    """Log-normal values of all seeds around a median."""
    drawn: np.ndarray = median * np.exp(spread * random.standard_normal(SEEDS))
    return drawn


def paper_like(objective: str, dimension: int, random: np.random.Generator) -> Values:
    """What the paper says: reverse KL fails with T, z-reconstruction later, x never."""
    fails = {"reverse_kl": 16, "z_reconstruction": 64}.get(objective, 1_000)
    failing = dimension >= fails
    floor = 0.036 + 0.002 * random.standard_normal(SEEDS)
    bad = 5.0 if objective == "reverse_kl" else 1.0
    good = {"reverse_kl": 1e-2, "z_reconstruction": 1e-4}.get(objective, 1e-20)
    teachers = np.random.default_rng(dimension)  # the same ones for every objective
    return {
        "kl_student_teacher": level(random, bad if failing else good),
        "ks_log_prob": floor + (level(random, 0.3) if failing else 0.001),
        "ks_log_prob_floor": floor,
        "log_prob_shift": level(random, 1.0) if failing else 0.01 * random.standard_normal(SEEDS),
        "log_prob_shift_floor": 0.01 * random.standard_normal(SEEDS),
        "whitened_spectrum_min": level(random, 0.1 if failing else 0.99, 0.01),
        "norm_ratio": level(random, 0.7 if failing else 1.0, 0.001),
        "norm_ratio_floor": level(random, 1.0, 0.001),
        "norm_variation_floor": level(teachers, (2.0 * dimension) ** -0.5, 0.01),
        "outward_fraction": level(random, 0.9 if failing else 0.5, 0.01),
        "outward_probability": level(teachers, 2.0 ** -dimension if dimension < 40 else 1e-14, 0.1),
        "teacher_condition": level(teachers, 3.0 * dimension),
        "teacher_smallest_eigenvalue": level(teachers, 1.0 / dimension),
        "teacher_largest_eigenvalue": level(teachers, 4.0 * dimension),
    }  # fmt: skip


def trial(
    index: int,
    tree: dict[str, Any],
    metrics: Metrics = paper_like,
    *,
    status: str = "finished",
    search: str = "grid",
) -> TrialRecord:
    """A synthetic record of all seeds of a cell."""
    random = np.random.default_rng(index)
    drawn = metrics(tree["objective"]["kind"], tree["dimension"], random)
    values = {
        name: median_over(REPLICA, np.broadcast_to(value, (SEEDS,))[: tree["replicas"]].tolist())
        for name, value in drawn.items()
    }
    updates = tree["budget"]["updates"]
    history = [
        Evaluation.of(updates // 4, "validation", values),
        Evaluation.of(updates, "validation", values),
    ]
    if status == "finished":
        history.append(Evaluation.of(updates, "test", values))
    record = Record(
        f"trial_{index:05d}",
        status,  # type: ignore[arg-type]
        tree,
        "teachers",
        Spent(updates),
        cause="" if status != "failed" else "a student's weights are not finite",
        history=tuple(history),
    )
    return TrialRecord(Sweep("sweep", NOWHERE, {"settings": {"search": search}}), NOWHERE, record)


def study_of(*records: TrialRecord) -> GaussianStudy:
    """The study of synthetic records."""
    return read_gaussian_study(RecordSet(NOWHERE, (records[0].sweep,), tuple(records), ()))


def sweep(
    metrics: Metrics = paper_like,
    objectives: tuple[str, ...] = ("reverse_kl", "z_reconstruction", "x_reconstruction"),
    dimensions: tuple[int, ...] = (4, 16, 64),
    **changes: Any,
) -> GaussianStudy:
    """A grid of synthetic records."""
    cells = [config(kind, t, **changes) for t in dimensions for kind in objectives]
    return study_of(*(trial(i, cell, metrics) for i, cell in enumerate(cells)))


def run(storage: Path, name: str, index: int, **changes: Any) -> None:
    """A real trial, trained and written to a sweep's folder."""
    tree = {
        "task": "gaussian",
        "dimension": 3,
        "budget": {"updates": 40, "evaluate_every": 10},
        "evaluation": {"samples": 60},
        "replicas": 7,
    } | changes
    root = Storage.open(str(storage))
    folder = root.child(name).child(f"trial_{index:05d}")
    run_trial(parse_trial(tree), TrialRun(f"trial_{index:05d}", folder, Store(root.child("store"))))
    settings = storage / name / "sweep.json"
    settings.write_text(json.dumps({"settings": {"search": "grid", "preset": "smoke"}}))
