"""Records are read from real files; what cannot be read is reported and costs nothing else."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.records import RecordsError, load_records
from analysis.table import ranked, to_frame
from raydistill.record import Evaluation, Record, Spent

ROOT = Path(__file__).resolve().parents[2]

CONFIG = {
    "task": "image",
    "data": {"name": "digits", "size": 8},
    "student": {"kind": "resnet"},
    "objective": {"kind": "x_reconstruction", "noise_level": 0.5, "l1_weight": 1.0},
    "budget": {"updates": 60, "batch_size": 64},
    "seed": 3,
}
RECORD = Record(
    "trial_00000",
    "finished",
    CONFIG,
    "abc",
    Spent(60, 3.0, 1.0, "cpu", 2),
    history=(
        Evaluation(30, "validation", {"classifier_fd": 9.0}),
        Evaluation(60, "validation", {"classifier_fd": 7.0}),
        Evaluation(60, "test", {"classifier_fd": 8.0, "sharpness_ratio": math.inf}),
    ),
)


def put(storage: Path, sweep: str, record: Record) -> Path:
    folder = storage / sweep / record.trial
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record.to_json())
    return folder


def test_a_record_becomes_a_row(tmp_path: Path) -> None:
    put(tmp_path, "noise", RECORD)
    (tmp_path / "noise" / "sweep.json").write_text('{"settings": {"search": "grid"}}')
    found = load_records(tmp_path)
    assert found.skipped == ()
    row = to_frame(found).iloc[0]
    expected = {
        "sweep": "noise",
        "trial": "trial_00000",
        "search": "grid",
        "status": "finished",
        "cause": "",
        "dataset": "digits",
        "size": 8,
        "student": "resnet",
        "objective": "x_reconstruction",
        "noise_level": 0.5,
        "l1_weight": 1.0,
        "seed": 3,
        "updates": 60,
        "batch_size": 64,
        "seconds": 4.0,
        "workers": 2,
        "validation.classifier_fd": 7.0,
        "test.classifier_fd": 8.0,
    }
    assert {name: row[name] for name in expected} == expected
    assert math.isnan(row["test.sharpness_ratio"])


def test_sweeps_are_told_apart_and_the_store_is_none(tmp_path: Path) -> None:
    put(tmp_path, "one", RECORD)
    put(tmp_path, "two", RECORD)
    put(tmp_path, "store", RECORD)
    (tmp_path / "two" / "study.journal").write_text("")
    (tmp_path / "two" / "tune").mkdir()
    (tmp_path / "notes.txt").write_text("")
    assert [sweep.name for sweep in load_records(tmp_path).sweeps] == ["one", "two"]
    assert [item.sweep.name for item in load_records(tmp_path, "two").records] == ["two"]
    assert len(load_records(f"file://{tmp_path}").records) == 2


BAD = {
    "half a file": '{"schema_version": 1, "tri',
    "not text": b"\xff\xfe\x00",
    "another schema": RECORD.to_json().replace('"schema_version": 3', '"schema_version": 99'),
    "no object": "[]",
    "a metric that is no number": RECORD.to_json().replace("7.0", '"seven"'),
    "an unknown status": RECORD.to_json().replace('"finished"', '"done"'),
    "a configuration that is no object": json.dumps({**json.loads(RECORD.to_json()), "config": 3}),
    "a field too many": json.dumps({**json.loads(RECORD.to_json()), "surplus": 3}),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_damaged_record_is_reported(tmp_path: Path, content: str | bytes) -> None:
    put(tmp_path, "noise", RECORD)
    bad = put(tmp_path, "noise", replace(RECORD, trial="trial_00001"))
    content = content if isinstance(content, bytes) else content.encode()
    (bad / "record.json").write_bytes(content)
    found = load_records(tmp_path)
    assert [item.record.trial for item in found.records] == ["trial_00000"]
    (skipped,) = found.skipped
    assert skipped.path == "noise/trial_00001/record.json"
    assert skipped.reason


def test_a_trial_without_a_record_and_damaged_settings_are_reported(tmp_path: Path) -> None:
    put(tmp_path, "noise", RECORD)
    (tmp_path / "noise" / "trial_00001").mkdir()
    (tmp_path / "noise" / "sweep.json").write_text("{")
    found = load_records(tmp_path)
    assert len(found.records) == 1
    paths = {skipped.path for skipped in found.skipped}
    assert paths == {"noise/sweep.json", "noise/trial_00001/record.json"}


def test_a_foreign_configuration_has_a_row(tmp_path: Path) -> None:
    config = {"task": "vocoder", "data": "speech", "objective": {"kind": "reverse_kl"}}
    put(tmp_path, "noise", replace(RECORD, config=config))
    row = to_frame(load_records(tmp_path)).iloc[0]
    assert (row["dataset"], row["objective"]) == ("", "reverse_kl")
    assert math.isnan(row["noise_level"])
    assert math.isnan(row["size"])


def test_rank_is_by_status_and_validation(tmp_path: Path) -> None:
    values = {"a": 9.0, "b": 2.0, "c": 5.0, "d": 1.0, "e": 0.5, "f": math.nan}
    status = {"d": "running", "e": "failed"}
    for trial, value in values.items():
        history = (Evaluation(60, "validation", {"classifier_fd": value}),)
        state = status.get(trial, "finished")
        put(tmp_path, "noise", replace(RECORD, trial=trial, status=state, history=history))  # type: ignore[arg-type]
    assert "".join(ranked(to_frame(load_records(tmp_path)))["trial"]) == "bcafde"


def test_what_does_not_exist_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=r"^storage_path: .*absent.* does not exist; give"):
        load_records(tmp_path / "absent")
    put(tmp_path, "noise", RECORD)
    with pytest.raises(RecordsError, match=r"^name: 'nose' is no sweep .*\(noise\)"):
        load_records(tmp_path, "nose")
    file = tmp_path / "noise" / "trial_00000" / "record.json"
    with pytest.raises(RecordsError, match=r"^storage_path: .*record.json' cannot be read"):
        load_records(file)


def test_analysis_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys\n"
        "import analysis.records, analysis.table, analysis.report, analysis.export\n"
        "print(sorted({'torch', 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
