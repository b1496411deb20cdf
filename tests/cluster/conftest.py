from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One storage path for all sweeps of the session, so that its teacher is trained once."""
    return tmp_path_factory.mktemp("storage")
