"""Trials that the tests of the front door load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import raydistill as rd
from raydistill.store.assets import Store
from tests.helpers import merge


@pytest.fixture(scope="session")
def storage(store: Store) -> Path:
    """The storage path whose store all tests of a session share."""
    root = store.storage.local_path
    assert root is not None
    return root.parent


@pytest.fixture(scope="session")
def noisy_values(smoke_values: dict[str, Any]) -> dict[str, Any]:
    """A small image trial with noise on its codes, so that its matched scale is not 1."""
    return merge(smoke_values, {"objective": {"noise_level": 0.5, "l1_weight": 0.5}})


@pytest.fixture(scope="session")
def images(noisy_values: dict[str, Any], storage: Path) -> rd.Distilled:
    """A finished image trial, SWEEP/trial_00000 in the storage path."""
    config = rd.parse_trial(noisy_values)
    return rd.distill(config, storage=storage, name="front/trial_00000")


@pytest.fixture(scope="session")
def gaussians(storage: Path) -> rd.Distilled:
    """A finished trial of three replicas in two dimensions."""
    values = {"task": "gaussian", "dimension": 2, "replicas": 3, "budget": {"updates": 40}}
    return rd.distill(rd.parse_trial(values), storage=storage, name="front/gaussians")
