"""Which Ray a sweep joins, and when it starts one."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ray._private import services

from raydistill.cluster import runtime


@pytest.fixture
def address_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which `ray start --head` leaves the address of its head."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    file = tmp_path / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    return file


def test_a_head_that_was_killed_is_not_joined(
    address_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = services.resolve_ip_for_localhost("127.0.0.1")  # the address that Ray gives a head
    with socket.create_server((host, 0)) as server:
        address = f"{host}:{server.getsockname()[1]}"
        address_file.write_text(address)
        assert runtime._is_running(None)
    assert not runtime._is_running(None)
    assert f"{address}, does not answer any more" in caplog.text


def test_without_a_head_one_is_started(address_file: Path) -> None:
    assert not runtime._is_running(None)
