"""One Ray for all tests of a session that run sweeps in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray


@pytest.fixture(scope="session", autouse=True)
def _one_ray() -> Iterator[None]:
    """The first sweep starts Ray; it serves the others, and scripts in processes of their own."""
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One storage path for all sweeps of the session, so that its teacher is trained once."""
    return tmp_path_factory.mktemp("storage")
