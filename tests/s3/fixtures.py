"""Fixtures of a bucket: a real server, and a proxy before it that injects faults and counts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from raydistill.store.storage import Storage
from tests.s3.faults import Faults, faults_before
from tests.s3.server import s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[Faults]:
    """A proxy and the server behind it, for all tests of a process."""
    with s3_server() as server, faults_before(server) as proxy:
        yield proxy


@pytest.fixture
def faults(s3: Faults) -> Iterator[Faults]:
    """The proxy, without rules and with an empty log."""
    s3.inject()
    s3.forget()
    yield s3
    s3.inject()


@pytest.fixture
def bucket(faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A new bucket's folder `results`; the environment names the server, and a new node cache."""
    for name, value in faults.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "node-cache"))
    uri = faults.create_bucket(f"b{uuid.uuid4().hex}")
    faults.forget()
    return Storage.open(f"{uri}/results")
