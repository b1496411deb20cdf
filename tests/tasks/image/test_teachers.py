"""Every conditional as a teacher: trained on digits, encoded, decoded, and distilled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from raydistill.store.assets import Store
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.registry import parse_trial
from tests.helpers import merge
from tests.trials.runs import RESNET, run

CONDITIONALS: list[dict[str, Any]] = [
    {"kind": "logistic_mixture", "components": 3},
    {"kind": "logistic_mixture", "components": 3, "prior": "uniform"},
    {"kind": "sigmoidal_flow", "units": 3},
    {"kind": "categorical", "levels": 17},
    {"kind": "categorical", "levels": 17, "prior": "uniform"},
]
SIZE = {"kind": "pixelcnn", "channels": 8, "blocks": 1, "stages": 2}
every = pytest.mark.parametrize("conditional", CONDITIONALS, ids=str)


def values_of(smoke_values: dict[str, Any], conditional: dict[str, Any]) -> dict[str, Any]:
    model = SIZE | {"conditional": conditional}
    changes = {"teacher": {"model": model, "budget": {"updates": 60}}, "student": RESNET}
    return merge(smoke_values, changes)


def task_of(smoke_values: dict[str, Any], conditional: dict[str, Any], store: Store) -> ImageTask:
    config = parse_trial(values_of(smoke_values, conditional))
    assert isinstance(config, ImageTrial)
    return ImageTask(config, store, torch.device("cpu"))


@every
def test_a_trained_teacher_has_learnt_something_and_is_a_bijection(
    conditional: dict[str, Any], smoke_values: dict[str, Any], store: Store
) -> None:
    task = task_of(smoke_values, conditional, store)
    # Of 17 grey levels; the smoke size has too few updates to beat a fitted Gaussian.
    assert task.references["bits_per_dimension"]["teacher"] < 0.85 * math.log2(17)
    z = task.teacher.sample_prior(30, torch.Generator().manual_seed(0))
    x = task.teacher.decode(z)
    back = task.teacher.encode(x).z
    # Single precision through 64 recursions; a wrong map would be off by its whole range.
    assert float((back - z).abs().quantile(0.99)) < 1e-3
    sequential = task.teacher.decode(z[:2], "sequential")
    assert float((sequential - x[:2]).abs().median()) < 1e-3


@every
def test_codes_are_compared_with_their_own_prior(
    conditional: dict[str, Any], smoke_values: dict[str, Any], store: Store
) -> None:
    """Normal scores whatever the prior: the figures of all teachers can be set side by side."""
    codes = task_of(smoke_values, conditional, store).references["codes"]
    assert codes["mean"] == pytest.approx(0.0, abs=0.3)
    assert codes["std"] == pytest.approx(1.0, abs=0.3)
    assert codes["kurtosis"] == pytest.approx(3.0, abs=1.5)
    assert {"norm_ratio", "autocorrelation_row", "autocorrelation_column"} <= codes.keys()


@pytest.mark.parametrize(
    ("conditional", "objective"),
    zip(
        CONDITIONALS,
        ["z_reconstruction", "x_reconstruction", "oracle", "z_reconstruction", "oracle"],
        strict=True,
    ),
    ids=str,
)
def test_a_student_is_distilled_from_it(
    conditional: dict[str, Any],
    objective: str,
    smoke_values: dict[str, Any],
    store: Store,
    tmp_path: Path,
) -> None:
    values = merge(values_of(smoke_values, conditional), {"objective": {"kind": objective}})
    record = run(values, tmp_path / "trial", store)
    assert (record.status, record.cause) == ("finished", "")
