"""Records of image trials with all that a page shows, and their files."""

from __future__ import annotations

import base64
import math
from pathlib import Path

from raydistill.record import Evaluation, Record, SharedCost, Spent

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAQUBAScY42YAAAAASUVORK5CYII="
)
CURVES = ("classifier_fd", "classifier_fd_to_teacher", "coverage")
PICTURES = ("data", "teacher", "samples", "samples_best", "reconstructions")
SHARED = (
    SharedCost("teacher 0123abcd", "teacher", 40.0, 36.0, "cpu"),
    SharedCost("floors of teacher 0123abcd", "judging", math.nan, math.nan, "cpu"),
)
CAUSE = "loss is not finite <script>alert('x')</script> & more"
REFERENCE = {
    "teacher_test": {
        "classifier_fd": 125.0,
        "classifier_fd_best": 115.0,
        "prior_scale_best": 0.8,
        "classifier_fd_to_teacher": 3.0,
        "top_class_share": 0.2,
        "sharpness_ratio": 0.9,
    },
    "train_test": {"classifier_fd": 6.0, "top_class_share": 0.1, "sharpness_ratio": 1.0},
    "teacher_validation": {
        "classifier_fd_best": 117.0,
        **{f"{name}_at_{s:g}": 117.0 + s for name in CURVES for s in (0.8, 1.0)},
    },
    "train_validation": {"classifier_fd": 7.0},
    "bits_per_dimension": {"teacher": 2.37, "diagonal_gaussian": 3.61, "full_gaussian": 2.94},
    "codes": {"mean": 0.01, "std": 1.02, "kurtosis": 3.4, "norm_ratio": 1.01},
    "training_codes": {"mean": 0.01, "std": 1.15, "kurtosis": 3.4, "norm_ratio": 1.01},
}


def record(
    index: int, fd: float, *, noise: float | None, status: str = "finished", seed: int = 0
) -> Record:
    objective = {"kind": "reverse_kl"}
    if noise is not None:
        objective = {"kind": "x_reconstruction", "noise_level": noise, "l1_weight": 0.5}  # type: ignore[dict-item]
    config = {
        "data": {"name": "digits", "size": 8},
        "student": {"kind": "resnet"},
        "objective": objective,
        "budget": {"updates": 60, "batch_size": 64},
        "seed": seed,
    }
    metrics = {
        "classifier_fd": fd + 1.0,
        "classifier_fd_sd": 1.5,
        "classifier_fd_best": fd,
        "classifier_fd_sd_best": 1.5,
        "prior_scale_best": 0.9,
        "classifier_fd_to_teacher": 30.0,
        "top_class_share_best": 0.15,
        "sharpness_ratio": 0.9,
        "sharpness_ratio_best": 0.9,
        "reconstruction_l1": 0.4,
        **{f"{name}_at_{s:g}": fd + s for name in CURVES for s in (0.8, 0.9, 1.0)},
    }
    history = [Evaluation(30, "validation", metrics), Evaluation(60, "validation", metrics)]
    if status == "finished":
        history.append(Evaluation(60, "test", metrics))
    return Record(
        f"trial_{index:05d}",
        status,  # type: ignore[arg-type]
        config,
        "0123abcd",
        Spent(60, 3.0, 1.0, train_cpu_seconds=2.5, evaluate_cpu_seconds=0.5),
        shared=SHARED,
        cause=CAUSE if status == "failed" else "",
        history=tuple(history),
        reference=REFERENCE,
        artefacts={name: f"{name}.png" for name in PICTURES},
        environment={"python": "3.11", "torch": "2.14.1"},
    )


def put(storage: Path, sweep: str, *records: Record) -> None:
    for item in records:
        folder = storage / sweep / item.trial
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(item.to_json())
        for path in item.artefacts.values():
            if ".." not in path:
                (folder / path).write_bytes(PIXEL)


def noise_sweep() -> list[Record]:
    """Ten cells, of which the one noise-free trial has the worst rank; one failed, one running."""
    found = [record(i, 100.0 - i, noise=0.1 * i) for i in range(10)]
    found.append(record(10, 1.0, noise=0.95, status="failed"))
    found.append(record(11, 2.0, noise=0.96, status="running"))
    return found
