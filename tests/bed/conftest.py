"""Every test here starts or uses a bed: it is marked so, and left out where there can be none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bed.requirements import REQUIRED, missing

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.bed)


@pytest.fixture(scope="session", autouse=True)
def _bed_can_start() -> None:
    lacking = missing()
    if not lacking:
        return
    reason = "no test bed on this machine: " + "; ".join(lacking)
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
