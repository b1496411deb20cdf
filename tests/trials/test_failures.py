"""Trials that fail: a record with the cause, never an exception."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.image.config import ImageTrial
from raydistill.trials.run import cause_of, fail_trial, read_record
from tests.helpers import merge
from tests.trials.runs import DIVERGING, FLOW, RESNET, run


@pytest.mark.parametrize(
    ("objective", "student"),
    [
        ({"kind": "reverse_kl"}, FLOW),
        ({"kind": "z_reconstruction"}, RESNET),
        ({"kind": "x_reconstruction"}, RESNET),
        ({"kind": "oracle"}, FLOW),
    ],
    ids=str,
)
@pytest.mark.parametrize("every", [1, 6])
def test_diverging_trial_fails_with_a_cause_and_no_exception(
    every: int,
    objective: dict[str, Any],
    student: dict[str, Any],
    smoke_values: dict[str, Any],
    store: Store,
    tmp_path: Path,
) -> None:
    """Also if it is evaluated between the update that broke it and the loss that shows it."""
    budget = {"evaluate_every": every, "checkpoint_every": every}
    changes = {"objective": objective, "student": student, "budget": budget}
    values = merge(smoke_values, changes) | {"optimiser": DIVERGING}
    record = run(values, tmp_path / "trial", store)
    assert record.status == "failed"
    assert "learning_rate" in record.cause
    assert "\n" not in record.cause
    assert record.metrics("test") == {}
    written = read_record(Storage.open(tmp_path / "trial"))
    assert written is not None
    assert written.to_json() == record.to_json()  # as text: NaN is not equal to itself
    # What is there is not trained again on the next call.
    assert run(values, tmp_path / "trial", store).to_json() == record.to_json()


def test_trial_whose_samples_are_not_finite_fails(
    smoke_values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    """The last update breaks the student, and no later loss shows it: the evaluation must."""
    values = merge(smoke_values, {"budget": {"updates": 1, "evaluate_every": 1}})
    values["optimiser"] = DIVERGING | {"learning_rate": 1e20}
    record = run(values, tmp_path / "trial", store)
    assert record.status == "failed"
    assert record.cause


def test_program_error_is_recorded_with_its_place(smoke: ImageTrial, tmp_path: Path) -> None:
    folder = Storage.open(tmp_path)
    try:
        raise KeyError("missing")
    except KeyError as error:
        record = fail_trial(smoke, folder, "trial", cause_of(error))
    assert record.status == "failed"
    assert "KeyError" in record.cause
    assert "missing" in record.cause
    assert f"{Path(__file__).name}:" in record.cause
    assert read_record(folder) == record


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"schema_version": 99}'])
def test_unreadable_record_is_none(content: bytes, tmp_path: Path) -> None:
    folder = Storage.open(tmp_path)
    assert read_record(folder) is None
    folder.write("record.json", content)
    assert read_record(folder) is None
