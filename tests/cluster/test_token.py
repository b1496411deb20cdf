"""The token of a Ray that starts here is this user's alone."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from raydistill.cluster.token import provide_token, readable_by_others, token_file
from raydistill.commands.checks import ray_start

VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, for a process that was given no token."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")  # restored afterwards, whatever the test sets
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_new_token_is_private_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        provide_token()
    finally:
        os.umask(before)
    file = token_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text()) == 64
    assert [path.name for path in file.parent.iterdir()] == ["auth_token"]
    provide_token()
    assert len(file.read_text()) == 64
    assert not os.environ["RAY_AUTH_TOKEN"]


def test_a_token_that_ray_wrote_for_all_is_made_private(home: Path) -> None:
    file = token_file()
    file.parent.mkdir()
    file.write_text("secret")
    file.chmod(0o644)
    provide_token()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "secret"


def test_sweeps_that_start_at_once_share_one_token(home: Path) -> None:
    seen: set[str] = set()

    def start() -> None:
        provide_token()
        seen.add(token_file().read_text())

    threads = [threading.Thread(target=start) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1


def test_without_a_home_there_is_a_token_for_this_process_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", "/dev/null/home")
    provide_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert "HOME: '/dev/null/home' cannot be written" in caplog.text


@pytest.mark.parametrize("setting", [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "mine")])
def test_what_the_user_has_set_stays(
    home: Path, setting: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*setting)
    provide_token()
    assert not token_file().exists()


def test_the_doctor_names_a_token_that_others_can_read(home: Path) -> None:
    file = token_file()
    facts: dict[str, str] = {}
    assert ray_start._token(facts) == []
    provide_token()
    assert ray_start._token(facts) == []
    assert facts["token"] == f"{file}, private"
    file.chmod(0o640)
    assert readable_by_others(file)
    (problem,) = ray_start._token(facts)
    assert problem.remedy == f"chmod 600 {file}"
