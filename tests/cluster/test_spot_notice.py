"""The spot notice, read from a metadata service as AWS has it, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from raydistill.cluster.spot_notice import MetadataService, Notice, drain_command, main
from tests.cluster.metadata_service import ACTION, REBALANCE, Metadata, serve_metadata

GOES = 1_800_000_000.0
TERMINATION = '{"action": "terminate", "time": "2027-01-15T08:00:00Z"}'


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with serve_metadata() as served:
        yield served


def test_a_notice_is_found_with_its_time(metadata: Metadata) -> None:
    service = MetadataService(metadata.url)
    assert service.notice() is None
    metadata.pages[REBALANCE] = '{"noticeTime": "2027-01-15T07:50:00Z"}'
    assert service.notice() == Notice("rebalance", None)
    metadata.pages[ACTION] = TERMINATION
    assert service.notice() == Notice("interruption", GOES)
    assert metadata.tokens == 1


def test_a_notice_that_cannot_be_read_is_one_without_a_time(metadata: Metadata) -> None:
    metadata.pages[ACTION] = "soon"
    assert MetadataService(metadata.url).notice() == Notice("interruption", None)


def test_a_token_that_has_expired_is_renewed(metadata: Metadata) -> None:
    service = MetadataService(metadata.url)
    assert service.notice() is None
    metadata.expired = True
    with pytest.raises(OSError, match="401"):
        service.notice()
    assert service.notice() is None
    assert metadata.tokens == 2


def test_the_node_is_drained_with_the_time_that_is_left() -> None:
    command = drain_command(Notice("interruption", GOES), "head:6379", "cafe", GOES - 90.0)
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert options["--reason"] == "DRAIN_NODE_REASON_PREEMPTION"
    assert options["--deadline-remaining-seconds"] == "90"
    assert (options["--address"], options["--node-id"]) == ("head:6379", "cafe")
    late = drain_command(Notice("interruption", GOES), None, None, GOES + 5.0)
    assert late[-2:] == ["--deadline-remaining-seconds", "0"]
    recommended = drain_command(Notice("rebalance", None), None, None, GOES)
    assert "--deadline-remaining-seconds" not in recommended


def test_one_watch_runs_on_a_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "notices" / "lock"
    lock.parent.mkdir()
    with FileLock(lock):
        assert main(["--lock", str(lock)]) == 0
    assert "watched already" in capsys.readouterr().out
