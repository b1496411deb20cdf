"""`python -m raydistill`: one trial from its file, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raydistill.__main__ import RunSettings, main
from raydistill.store.assets import Store
from tests.helpers import merge


def root_of(store: Store) -> str:
    assert store.storage.local_path is not None
    return str(store.storage.local_path.parent)


def written(values: Any, folder: Path) -> Path:
    path = folder / "config.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


def test_trial_runs_and_says_its_metrics(
    smoke_values: dict[str, Any],
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(RunSettings(written(smoke_values, tmp_path), root_of(store), "main"))
    said = capsys.readouterr()
    assert said.err == ""
    assert "12/12 updates" in said.out
    assert "test classifier_fd: " in said.out
    assert (Path(root_of(store)) / "main" / "record.json").is_file()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "config: not JSON"),
        ({"seed": -1}, "seed: -1"),
        ({"data": {"name": "mnist", "root": "/nowhere"}}, "data.root: no train-images"),
    ],
    ids=str,
)
def test_refusal_is_one_line_and_status_2(
    content: Any,
    named: str,
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(RunSettings(written(content, tmp_path), root_of(store), "refused"))
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(named)


def test_absent_file_and_unwritable_path_are_refused(
    smoke_values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(smoke_values, tmp_path)
    for settings, named in (
        (RunSettings(tmp_path / "absent.json", str(tmp_path)), "config: no file"),
        (RunSettings(path, str(path / "below")), "storage_path: "),
    ):
        with pytest.raises(SystemExit) as caught:
            main(settings)
        assert caught.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(named)


def test_failed_trial_is_status_1(
    smoke_values: dict[str, Any],
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    diverging = {"learning_rate": 1e6, "warmup": 0, "decay": "constant"}
    path = written(merge(smoke_values, {"optimiser": diverging}), tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(RunSettings(path, root_of(store), "failing"))
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("failed: ")
