"""The record: one schema, read back as it was written, refused if it is another's."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from raydistill.record import (
    SCHEMA_VERSION,
    Evaluation,
    PerUnit,
    Record,
    RecordError,
    SharedCost,
    Spent,
    environment,
    mean_over,
    median_over,
    numbers_of,
    parse_evaluation,
    parse_record,
    units_of,
)

RECORD = Record(
    trial="trial-3",
    status="finished",
    config={"task": "image", "optimiser": {"learning_rate": 0.002}, "data": {"root": None}},
    teacher="0123456789abcdef",
    spent=Spent(1600, 12.5, 3.25, "cpu", 2, train_cpu_seconds=11.0, evaluate_cpu_seconds=3.0),
    shared=(
        SharedCost("teacher 0123456789abcdef", "teacher", 60.0, 55.0, "cpu"),
        SharedCost("floors", "judging", math.inf, 1.0, "cpu"),
    ),
    cause="",
    history=(
        Evaluation(800, "validation", {"classifier_fd": 12.5, "sharpness_ratio": 0.9}),
        Evaluation(1600, "validation", {"classifier_fd": 11.0, "sharpness_ratio": 0.95}),
        Evaluation(1600, "test", {"classifier_fd": 11.5}, {"set": {"classifier_fd": (11.0, 12.0)}}),
    ),
    reference={"teacher_test": {"classifier_fd": 8.0}},
    reference_units={"teacher_test": {"set": {"classifier_fd": (7.5, 8.5)}}},
    artefacts={"samples": "samples.png"},
    environment={"torch": "2.14"},
)


def test_json_round_trip_is_the_identity() -> None:
    assert parse_record(RECORD.to_json()) == RECORD
    assert parse_record(RECORD.to_json()).to_json() == RECORD.to_json()


def test_defaults_round_trip() -> None:
    record = Record("t", "running", {}, "")
    assert parse_record(record.to_json()) == record


def test_a_metric_keeps_the_value_of_each_unit_beside_what_stands_for_them() -> None:
    measured = {
        "fd": mean_over("set", (80.0, 82.0, 93.0)),
        "kl": median_over("replica", (1.0, 9.0, 2.0)),
        "nll": 2.5,
    }
    found = Evaluation.of(7, "test", measured)
    assert found.metrics == {"fd": 85.0, "kl": 2.0, "nll": 2.5} == numbers_of(measured)
    assert found.units == {"set": {"fd": (80.0, 82.0, 93.0)}, "replica": {"kl": (1.0, 9.0, 2.0)}}
    assert found.units == units_of(measured)
    assert found.replicas == {"kl": (1.0, 9.0, 2.0)}
    assert PerUnit("set", (1.0,), 1.0) == mean_over("set", [1])


def test_records_of_earlier_versions_are_read() -> None:
    """Version 2 had the values of replicas beside the metrics, version 1 had none."""
    old = {"updates": 1600, "split": "test", "metrics": {"kl": 2.0}}
    for version, more, units in (
        (1, {}, {}),
        (2, {"replicas": {}}, {}),
        (2, {"replicas": {"kl": [1.0, 3.0]}}, {"replica": {"kl": (1.0, 3.0)}}),
    ):
        values = json.loads(changed(schema_version=version, history=[old | more]))
        del values["reference_units"], values["shared"]
        del values["spent"]["train_cpu_seconds"], values["spent"]["evaluate_cpu_seconds"]
        read = parse_record(json.dumps(values))
        assert read.history == (Evaluation(1600, "test", {"kl": 2.0}, units),)
        assert read.schema_version == SCHEMA_VERSION
        assert (read.shared, read.spent.train_cpu_seconds) == ((), 0.0)
        assert parse_evaluation(old | more) == read.history[0]
        assert parse_record(read.to_json()) == read


numbers = some.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None, max_examples=40)
@given(some.dictionaries(some.text(max_size=8), numbers, max_size=5))
def test_metrics_come_back_bit_for_bit(metrics: dict[str, float]) -> None:
    """NaN and infinities included: a metric that overflowed is a result, not a hole."""
    record = replace(
        RECORD, history=(Evaluation(1, "test", metrics),), reference={"floor": metrics}
    )
    text = record.to_json()
    json.loads(text, parse_constant=pytest.fail)  # strict JSON: no NaN or Infinity literals
    read = parse_record(text)
    for found in (read.metrics("test"), read.reference["floor"]):
        assert found.keys() == metrics.keys()
        for name, value in metrics.items():
            assert isinstance(found[name], float)
            same = math.isnan(value) and math.isnan(found[name])
            assert same or (found[name], math.copysign(1.0, found[name])) == (
                value,
                math.copysign(1.0, value),
            )


def test_latest_metrics_of_a_split() -> None:
    assert RECORD.metrics("validation") == {"classifier_fd": 11.0, "sharpness_ratio": 0.95}
    assert RECORD.metrics("test") == {"classifier_fd": 11.5}
    assert RECORD.metrics("train") == {}


def changed(**changes: Any) -> str:
    return json.dumps(json.loads(RECORD.to_json()) | changes)


def without(name: str) -> str:
    values = json.loads(RECORD.to_json())
    del values[name]
    return json.dumps(values)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, None, "1"])
def test_foreign_schema_is_refused(version: Any) -> None:
    with pytest.raises(RecordError, match=f"schema_version: {version} is none of"):
        parse_record(changed(schema_version=version))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "{}",
        RECORD.to_json()[:-20],
        without("schema_version"),
        without("trial"),
        without("config"),
        without("spent"),
        without("history"),
        changed(unknown=1),
        changed(spent={"updates": 1, "unknown": 2}),
        changed(history=[{"updates": 1}]),
        changed(history=[{"updates": 1, "split": "test", "metrics": {"fd": "many"}}]),
        changed(history=[{"updates": 1, "split": "test", "metrics": {"fd": None}}]),
        changed(reference={"teacher_test": 3}),
        changed(history=[{"updates": 1, "split": "test", "metrics": {}, "replicas": {}}]),
        changed(history=[{"updates": 1, "split": "test", "metrics": {}, "units": {"set": 3}}]),
        changed(shared=[{"asset": "x", "purpose": "joy"}]),
        changed(schema_version=2, history=[3]),
        changed(schema_version=2, history={}),
    ],
)
def test_what_is_not_a_record_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        parse_record(text)


def test_environment_names_versions_and_hardware() -> None:
    found = environment()
    assert found["python"].count(".") == 2
    assert {"torch", "raydistill", "machine", "processor"} <= found.keys()
    assert all(isinstance(value, str) for value in found.values())


def test_a_line_break_in_the_name_of_a_field_does_not_break_the_message() -> None:
    text = Record("t", "finished", {}, "x").to_json().replace("{", '{"a\\nb": 1, ', 1)
    with pytest.raises(RecordError) as refusal:
        parse_record(text)
    assert "a\\nb is 1" in str(refusal.value)
    assert "\n" not in str(refusal.value)
