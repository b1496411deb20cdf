"""Folders in a bucket, on a real S3 server: atomic, conditional, and patient with the service."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pyarrow import fs

from raydistill.store import bucket as bucket_module
from raydistill.store import clients
from raydistill.store.storage import Storage, StorageError
from tests.s3.faults import Action, Faults, Rule
from tests.s3.server import REGION

SMALLEST_PART = 5 * 2**20
"""Of an upload, to S3."""

CONTENT = bytes(range(256)) * 20

ODD = "a b%20#?é+&.bin"
"""A name with all that a URI has another meaning for."""


def test_what_is_written_is_read(bucket: Storage) -> None:
    assert not bucket.exists()
    assert bucket.names() == []
    bucket.write(ODD, b"first")
    bucket.write(ODD, b"second")
    bucket.child("inner", "most").write("b.bin", b"b")
    assert bucket.read(ODD) == b"second"
    assert bucket.exists()
    assert bucket.exists(ODD)
    assert bucket.exists("inner/most/b.bin")
    assert not bucket.exists("inn")
    assert bucket.names() == [ODD, "inner"]
    assert bucket.child("inner").names() == ["most"]
    assert abs(bucket.modified(ODD) - time.time()) < 60.0
    with pytest.raises(FileNotFoundError, match=r"s3://.*/results/c.bin"):
        bucket.read("c.bin")
    assert pickle.loads(pickle.dumps(bucket)).read(ODD) == b"second"


def test_deleting_is_of_one_name_or_of_all(bucket: Storage) -> None:
    bucket.write("a.bin", b"a")
    bucket.write("a.bin.copy", b"a")
    bucket.child("inner").write("c.bin", b"c")
    bucket.delete("a.bin")
    bucket.delete("a.bin")
    assert bucket.names() == ["a.bin.copy", "inner"]
    bucket.delete("inner")
    assert bucket.names() == ["a.bin.copy"]
    bucket.delete()
    assert not bucket.exists()


def test_a_read_and_a_write_are_one_request_each(bucket: Storage, faults: Faults) -> None:
    bucket.write("a.bin", CONTENT)
    assert faults.counts() == {"PUT": 1}
    bucket.read("a.bin")
    bucket.read_tagged("a.bin")
    bucket.create("b.bin", CONTENT)
    assert faults.counts() == {"GET": 2, "PUT": 1, "PUT-IF": 1}


def test_large_content_goes_in_parts_and_appears_at_once(
    bucket: Storage, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "PART_BYTES", SMALLEST_PART)
    content = os.urandom(SMALLEST_PART + 1)
    bucket.write("large.bin", content)
    assert faults.counts() == {"POST": 2, "PUT": 2}
    assert bucket.read("large.bin") == content
    faults.inject(Rule("cut_upload", "PUT .*/large.bin", times=1))
    bucket.write("large.bin", b"0" + content)
    assert bucket.read("large.bin") == b"0" + content


def test_options_of_a_uri_stand_last_and_reach_the_service(
    bucket: Storage, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name)
    host = faults.endpoint.removeprefix("http://")
    options = f"?endpoint_override={host}&scheme=http&region={REGION}"
    storage = Storage.open(f"{bucket.uri}/sweep/{options}")
    child = storage.child(ODD, "trial")
    assert child.uri.endswith("/trial" + options)
    assert child.parent is not None
    assert (child.parent.name, child.parent.parent) == (ODD, storage)
    child.write("record.json", b"{}")
    assert storage.names() == [ODD]
    # Ray opens the same place by pyarrow.
    filesystem, path = fs.FileSystem.from_uri(child.uri)
    with filesystem.open_input_stream(f"{path}/record.json") as stream:
        assert stream.read() == b"{}"


def test_pyarrow_finds_the_service_by_the_same_environment(bucket: Storage) -> None:
    filesystem, path = fs.FileSystem.from_uri(bucket.child("ray").uri)
    filesystem.create_dir(path)  # with an empty object that stands for the folder
    with filesystem.open_output_stream(f"{path}/state.json") as stream:
        stream.write(b"1")
    assert bucket.names() == ["ray"]
    assert bucket.child("ray").names() == ["state.json"]
    assert bucket.child("ray").read("state.json") == b"1"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("s3://bucket/path?endpoint=x", "option endpoint is unknown; there are endpoint_override"),
        ("s3://key:secret@bucket/path", "set AWS_ACCESS_KEY_ID"),
        ("s3:///path", "names no bucket"),
        ("gs://bucket/path?region=x", "of this kind has none"),
        ("http://host/path", "scheme http:// is unknown"),
    ],
)
def test_uri_that_is_not_understood_is_refused(location: str, reason: str) -> None:
    with pytest.raises(StorageError, match=reason) as caught:
        Storage.open(location)
    assert str(caught.value).startswith("storage_path: ")
    assert "secret" not in str(caught.value)


def test_missing_credentials_are_said_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a machine that AWS has given no role: nobody listens where it would be asked for."""
    for name in clients.OWN_CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        storage = Storage.open("s3://without-credentials/results")
        began = time.monotonic()
        with pytest.raises(StorageError, match="there are no credentials; set AWS_ACCESS_KEY_ID"):
            storage.write("a.bin", b"a")
    assert time.monotonic() - began < 10.0


def test_profile_in_a_file_is_used(
    bucket: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = of-a-file\naws_secret_access_key = secret\n")
    for name in clients.OWN_CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    provider = clients._profile()
    assert provider is not None
    assert provider()["access_key_id"] == "of-a-file"
    bucket_module.open_bucket.cache_clear()
    bucket.write("a.bin", CONTENT)
    assert bucket.read("a.bin") == CONTENT


def test_bucket_that_is_not_there_is_named(bucket: Storage) -> None:
    nowhere = Storage.open("s3://nowhere-at-all/results")
    calls: list[Callable[[], object]] = [
        nowhere.check_writable,
        nowhere.names,
        lambda: nowhere.write("a.bin", b"a"),
        lambda: nowhere.create("a.bin", b"a"),
        lambda: nowhere.read("a.bin"),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="there is no bucket s3://nowhere-at-all") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_create_and_replace_are_conditional(bucket: Storage) -> None:
    assert bucket.create("lease", b"one")
    assert not bucket.create("lease", b"two")
    seen = bucket.read_tagged("lease")
    assert seen.content == b"one"
    assert bucket.replace("lease", b"three", seen.tag)
    assert not bucket.replace("lease", b"four", seen.tag)
    assert bucket.read("lease") == b"three"
    assert not bucket.replace("nothing", b"four", seen.tag)
    assert not bucket.exists("nothing")


def test_of_many_that_write_at_once_one_succeeds(bucket: Storage) -> None:
    won: list[bytes] = []

    def write(content: bytes, tag: str | None) -> None:
        created = tag is None and bucket.create("lease", content)
        if created or (tag is not None and bucket.replace("lease", content, tag)):
            won.append(content)

    tag: str | None = None
    for round_ in range(3):
        threads = [
            threading.Thread(target=write, args=(f"{round_} {index}".encode(), tag))
            for index in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == round_ + 1
        assert bucket.read("lease") == won[-1]
        tag = bucket.read_tagged("lease").tag


@pytest.mark.parametrize("action", ["refuse", "cut_upload", "lose_answer", "drop"])
def test_write_goes_on_while_the_service_falters(
    bucket: Storage, faults: Faults, action: Action
) -> None:
    """Conditional writes too: an answer that was lost does not pass for somebody else's write."""
    bucket.write("a.bin", b"old")
    faults.inject(Rule(action, "PUT .*/a.bin", times=1))
    bucket.write("a.bin", CONTENT)
    assert bucket.read("a.bin") == CONTENT
    faults.inject(Rule(action, "PUT-IF", times=1))
    assert bucket.create("b.bin", CONTENT)
    faults.inject(Rule(action, "PUT-IF", times=1))
    assert bucket.replace("b.bin", b"new", bucket.read_tagged("b.bin").tag)
    assert bucket.read("b.bin") == b"new"
    faults.inject(Rule(action, "PUT-IF", times=1))
    assert not bucket.create("b.bin", b"mine")
    assert len([one for one in faults.passed() if one.action]) == 4


@pytest.mark.parametrize("action", ["refuse", "cut_download", "lose_answer", "drop"])
def test_read_goes_on_while_the_service_falters(
    bucket: Storage, faults: Faults, action: Action
) -> None:
    bucket.write("a.bin", CONTENT)
    faults.inject(Rule(action, "GET .*/a.bin", times=1))
    assert bucket.read("a.bin") == CONTENT
    assert [one.action for one in faults.passed()] == ["", action, ""]


@pytest.mark.parametrize("action", ["refuse", "cut_upload"])
def test_write_that_fails_for_good_leaves_what_was_there(
    bucket: Storage, faults: Faults, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    bucket.write("a.bin", b"old")
    monkeypatch.setattr(bucket_module, "RETRIES", 1)
    bucket_module.open_bucket.cache_clear()
    faults.inject(Rule(action, "PUT"))
    for write in (bucket.write, bucket.create):
        with pytest.raises(
            StorageError, match=r"s3://.*/results/a.bin cannot be written"
        ) as caught:
            write("a.bin", CONTENT)
        assert "\n" not in str(caught.value)
        assert "<" not in str(caught.value)
    faults.inject()
    assert bucket.read("a.bin") == b"old"
    bucket_module.open_bucket.cache_clear()


def test_silent_service_is_asked_again(
    bucket: Storage, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "SILENCE", timedelta(seconds=0.2))
    bucket_module.open_bucket.cache_clear()
    faults.inject(Rule("delay", "(PUT|GET) .*/a.bin", times=1, seconds=1.0))
    bucket.write("a.bin", CONTENT)
    faults.inject(Rule("delay", "(PUT|GET) .*/a.bin", times=1, seconds=1.0))
    assert bucket.read("a.bin") == CONTENT
    faults.inject(Rule("delay", "PUT-IF", times=1, seconds=0.6))
    assert bucket.create("b.bin", CONTENT)
    bucket_module.open_bucket.cache_clear()


def test_region_is_asked_of_the_service(bucket: Storage, faults: Faults) -> None:
    root = bucket.parent
    assert root is not None
    assert clients._region_of(f"{faults.endpoint}/{root.name}") == REGION
    assert clients._region_of("http://127.0.0.1:9/nobody") is None
