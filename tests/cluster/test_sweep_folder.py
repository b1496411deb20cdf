"""Whether a sweep begins or goes on, and that one driver at a time has it, on one head or two."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from raydistill.cluster.design.settings import SweepSettings, with_resume_value
from raydistill.cluster.sweep_folder import (
    SweepLostError,
    check_unchanged,
    only_driver,
    read_saved_settings,
    sweep_name,
)
from raydistill.config.errors import ConfigError
from raydistill.store.storage import Storage, StorageError
from tests.cluster.scripts import load_script

SETTINGS = SweepSettings(name="one")

DRIVER = """
import sys
from raydistill.cluster.sweep_folder import only_driver
from raydistill.store.storage import Storage
with only_driver(Storage.open(sys.argv[1]), "one", print):
    print("drives", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def question():
    script = load_script()
    return script.question(script.NoiseInjectionSettings(preset="smoke"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--resume"], ["--resume", "yes"]),
        (["--resume", "auto"], ["--resume", "auto"]),
        (["--resume=auto"], ["--resume=auto"]),
        (["--resume", "--name", "a"], ["--resume", "yes", "--name", "a"]),
        (["--name", "a", "--resume", "maybe"], ["--name", "a", "--resume", "maybe"]),
        ([], []),
    ],
)
def test_resume_alone_means_yes(given, meant):
    assert with_resume_value(given) == meant


def test_a_sweep_begins_or_goes_on_as_it_was_asked(tmp_path, question):
    root = Storage.open(tmp_path)
    folder = root.child("one")

    def saved(resume: str):
        return read_saved_settings(folder, "one", replace(SETTINGS, resume=resume), question)

    assert saved("no") is None
    assert saved("auto") is None
    with pytest.raises(ConfigError, match="no sweep 'one'"):
        saved("yes")
    check_unchanged(folder, "one", None)
    folder.write("sweep.json", b'{"question": "noise_injection", "settings": {"seeds": 3}}')
    assert saved("yes") == saved("auto") == {"seeds": 3}
    with pytest.raises(ConfigError, match="'one' exists"):
        saved("no")
    with pytest.raises(ConfigError, match="begun the sweep 'one' meanwhile"):
        check_unchanged(folder, "one", None)
    check_unchanged(folder, "one", {"seeds": 3})


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[1]", b'{"question": 1, "question": 2}', b"[" * 9999]
)
def test_a_damaged_sweep_file_is_refused(tmp_path, question, content):
    folder = Storage.open(tmp_path)
    folder.write("sweep.json", content)
    with pytest.raises(ConfigError, match=r"sweep\.json is damaged"):
        read_saved_settings(folder, "one", replace(SETTINGS, resume="yes"), question)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": None, "resume": "yes"}, "--resume needs the --name"),
        ({"name": None, "resume": "auto"}, "--resume auto needs a --name"),
    ],
)
def test_what_is_to_be_found_again_needs_a_name(question, changes, words):
    with pytest.raises(ConfigError, match=words):
        sweep_name(replace(SETTINGS, **changes), question)


def test_only_a_sweep_that_goes_on_has_failed_trials(tmp_path, question):
    settings = replace(SETTINGS, retry_failed=True)
    with pytest.raises(ConfigError, match=r"retry_failed: .* add --resume"):
        read_saved_settings(Storage.open(tmp_path), "one", settings, question)


def test_a_cache_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "file"))
    with (
        pytest.raises(StorageError, match=r"RAYDISTILL_CACHE: the folder .* cannot be used"),
        only_driver(Storage("s3://bucket/one"), "one", pytest.fail),
    ):
        pytest.fail("no place for a lock")


def start_driver(folder: Storage) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, folder.uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "drives\n"
    return process


@pytest.mark.parametrize("where", ["local folder", pytest.param("bucket", marks=pytest.mark.slow)])
def test_two_drivers_on_one_head(tmp_path, where, request):
    """A driver that was killed leaves its sweep free at once, in a bucket too."""
    if where == "bucket":
        folder = request.getfixturevalue("bucket").child("one")
    else:
        folder = Storage.open(tmp_path / "one")
    driver = start_driver(folder)
    with (
        pytest.raises(ConfigError, match="another process is running the sweep 'one'"),
        only_driver(folder, "one", pytest.fail),
    ):
        pytest.fail("two drivers")
    driver.kill()
    driver.wait()
    with only_driver(folder, "one", pytest.fail) as own:
        own.check()


def test_two_drivers_on_two_heads(bucket: Storage, tmp_path: Path, monkeypatch):
    """Each head has a disk of its own."""
    folder, said = bucket.child("one"), []
    with only_driver(folder, "one", pytest.fail, seconds=2.0) as first:
        monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "another-head"))
        with (
            pytest.raises(ConfigError, match=r"process \d+ on .* is running the sweep 'one'"),
            only_driver(folder, "one", said.append, seconds=2.0),
        ):
            pytest.fail("two drivers")
        assert len(said) == 1
        first.check()
    with only_driver(folder, "one", pytest.fail) as second:
        second.check()
        assert second.lease is not None
        second.lease.lose("process 7 on far has taken it over")
        with pytest.raises(SweepLostError, match=r"process 7 on far .*--resume continues it"):
            second.check()
