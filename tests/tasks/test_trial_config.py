"""The trial configuration: whole, frozen, and refused in one line that says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from raydistill.config.errors import ConfigError
from raydistill.students.resnet import ResNetConfig
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.presets import Preset, image_preset
from raydistill.tasks.registry import parse_trial, parse_trial_json
from tests.helpers import lines_of, merge
from tests.own_models import (
    FLOW,
)


def test_defaults_are_valid() -> None:
    assert parse_trial({}) == ImageTrial()
    assert ImageTrial().data.image_shape == (1, 14, 14)


@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
def test_presets_are_valid_and_round_trip(preset: Preset) -> None:
    config = image_preset(preset, None)
    again = parse_trial_json(config.to_json())
    assert again == config
    assert again.to_json() == config.to_json()


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": {"kind": "reverse_kl"}, "student": FLOW},
        {"objective": {"kind": "z_reconstruction", "l1_weight": 0.5}},
        {"objective": {"kind": "x_reconstruction", "noise_level": 0.7071067811865476}},
        {"objective": {"kind": "oracle", "noise_level": 0.1, "l1_weight": 1.0}},
        {"optimiser": {"learning_rate": 1.1e-3, "decay": "exponential"}, "seed": 7},
        {"student": {"kind": "tests.own_models:OwnStudentConfig", "gain": 1.5}},
        {"teacher": {"model": {"kind": "tests.own_models:OwnTeacherConfig"}}},
    ],
    ids=str,
)
def test_json_round_trip_is_the_identity(changes: dict[str, Any]) -> None:
    """Also of what the field's declared type does not know: the variants' own fields."""
    config = parse_trial(changes)
    again = parse_trial_json(config.to_json())
    assert again == config
    assert type(again.student) is type(config.student)
    assert type(again.teacher.model) is type(config.teacher.model)
    for name, change in changes.items():
        dumped = json.loads(config.to_json())[name]
        assert dumped == (merge(dumped, change) if isinstance(change, dict) else change)


def test_json_has_every_default_spelled_out() -> None:
    values = json.loads(ImageTrial().to_json())
    assert values["student"] == ResNetConfig().model_dump()
    assert values["optimiser"]["beta2"] == 0.99
    assert values["evaluation"]["classifier"]["kind"] == "convnet"


def test_configuration_is_frozen() -> None:
    config = ImageTrial()
    for node, name in (
        (config, "seed"),
        (config.data, "size"),
        (config.student, "blocks"),
        (config.teacher.model, "stages"),
        (config.objective, "l1_weight"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(node, name, 1)
    assert hash(config) == hash(ImageTrial())


UNIFORM = {"kind": "logistic_mixture", "prior": "uniform"}

BAD: list[tuple[dict[str, Any], str, str, str]] = [
    # what is given, the field named, the value named, what is advised
    ({"seed": -1}, "seed", "-1", "greater than or equal to 0"),
    ({"task": "video"}, "task", "'video'", "image, gaussian"),
    ({"data": {"name": "cifar"}}, "data.name", "'cifar'", "digits"),
    ({"data": {"size": 33}}, "data.size", "33", "at most 32"),
    ({"data": {"train_count": 10}}, "data.train_count", "10", "greater than or equal to 64"),
    ({"data": {"size": 3}}, "data.size", "3", "greater than or equal to 4"),
    ({"data": {"size": "big"}}, "data.size", "'big'", "integer"),
    ({"optimiser": {"learning_rate": 0.0}}, "optimiser.learning_rate", "0.0", "greater than 0"),
    ({"optimiser": {"learning_rate": "x"}}, "optimiser.learning_rate", "'x'", "number"),
    ({"optimiser": {"learning_rate": float("nan")}}, "optimiser.learning_rate", "nan", "give"),
    ({"optimiser": {"learning_rate": float("inf")}}, "optimiser.learning_rate", "inf", "finite"),
    ({"optimiser": {"clip": float("inf")}}, "optimiser.clip", "inf", "finite"),
    ({"optimiser": {"decay": "linear"}}, "optimiser.decay", "'linear'", "'cosine'"),
    ({"optimiser": {"beta2": 1.0}}, "optimiser.beta2", "1.0", "less than 1"),
    ({"optimiser": 3}, "optimiser", "3", "dictionary"),
    (
        {
            "objective": {"kind": "oracle", "noise_level": 0.5},
            "teacher": {"model": {"kind": "pixelcnn", "conditional": UNIFORM}},
        },
        "objective.noise_level",
        "uniform",
        "teacher.model.conditional.prior 'normal'",
    ),
    (
        {"teacher": {"model": {"kind": "pixelcnn", "conditional": {"kind": "categorical"}}}},
        "teacher.model.conditional.levels",
        "",
        "required",
    ),
    (
        {"teacher": {"model": {"kind": "pixelcnn", "conditional": UNIFORM | {"components": 0}}}},
        "teacher.model.conditional.components",
        "0",
        "greater than or equal to 1",
    ),
    (
        {"teacher": {"model": {"kind": "pixelcnn", "conditional": {"kind": "student_t"}}}},
        "teacher.model.conditional.kind",
        "'student_t'",
        "logistic_mixture",
    ),
    (
        {
            "data": {"name": "photographs", "size": 8},
            "teacher": {
                "model": {"kind": "pixelcnn", "conditional": {"kind": "categorical", "levels": 256}}
            },
            "student": {"kind": "resnet", "patch": 1},
        },
        "teacher.model.conditional.kind",
        "'categorical'",
        "logistic_mixture",
    ),
    (
        {"objective": {"kind": "reverse_kl", "estimator": "exact"}, "student": FLOW},
        "objective.estimator",
        "'exact'",
        "give 'plain' or 'path'",
    ),
    ({"budget": {"updates": 0}}, "budget.updates", "0", "greater than or equal to 1"),
    ({"budget": {"batch_size": 1.5}}, "budget.batch_size", "1.5", "integer"),
    ({"pairs": {"data_copies": 0}}, "pairs.data_copies", "0", "greater than or equal to 1"),
    ({"evaluation": {"draws": 1}}, "evaluation.draws", "1", "greater than or equal to 2"),
    (
        {"evaluation": {"classifier": {"width": 0}}},
        "evaluation.classifier.width",
        "0",
        "greater than or equal to 1",
    ),
    (
        {"evaluation": {"prior_scales": [0.8, 0.0]}},
        "evaluation.prior_scales.1",
        "0.0",
        "greater than 0",
    ),
    (
        {
            "data": {"name": "photographs", "size": 8},
            "student": {"kind": "resnet", "patch": 1},
            "evaluation": {"classifier": {}},
        },
        "evaluation.classifier",
        "'photographs'",
        "give null, and rank by pixel_fd_best",
    ),
    ({"teacher": {"threads": 0}}, "teacher.threads", "0", "greater than or equal to 1"),
    (
        {"teacher": {"model": {"kind": "pixelcnn", "channels": 0}}},
        "teacher.model.channels",
        "0",
        "greater than or equal to 1",
    ),
    (
        {"teacher": {"model": {"kind": "pixelcnn", "stages": 3}}},
        "teacher.model.stages",
        "3",
        "at most 2",
    ),
    ({"teacher": {"model": {"kind": "glow"}}}, "teacher.model.kind", "'glow'", "pixelcnn"),
    ({"student": {"kind": "glow"}}, "student.kind", "'glow'", "resnet, pixelcnn_flow"),
    ({"student": {}}, "student.kind", "None", "resnet, pixelcnn_flow"),
    ({"student": {"kind": "resnet", "blocks": 1}}, "student.blocks", "1", "at least 2"),
    ({"student": {"kind": "resnet", "blocks": 65}}, "student.blocks", "65", "less than or equal"),
    ({"student": {"kind": "resnet", "patch": 4}}, "student.patch", "4", "divisor"),
    ({"student": {"kind": "resnet", "channels": 3}}, "student.channels", "3", "at least 4"),
    (
        {"student": {"kind": "pixelcnn_flow", "stages": 4}},
        "student.stages",
        "4",
        "at most 2",
    ),
    ({"objective": {"kind": "reverse_kl"}}, "objective.kind", "'reverse_kl'", "pixelcnn_flow"),
    ({"objective": {"kind": "magic"}}, "objective.kind", "'magic'", "x_reconstruction"),
    ({"objective": {"l1_weight": 0.5}}, "objective.kind", "None", "x_reconstruction"),
    (
        {"objective": {"kind": "oracle", "noise_level": -0.5}},
        "objective.noise_level",
        "-0.5",
        "greater than or equal to 0",
    ),
    (
        {"objective": {"kind": "z_reconstruction", "l1_weight": 1.5}},
        "objective.l1_weight",
        "1.5",
        "less than or equal to 1",
    ),
]


@pytest.mark.parametrize(("values", "field", "value", "remedy"), BAD, ids=lambda v: str(v)[:60])
def test_bad_value_is_one_line_naming_field_value_and_remedy(
    values: dict[str, Any], field: str, value: str, remedy: str
) -> None:
    (line,) = lines_of(values)
    assert line.startswith(f"{field}: ")
    assert value in line.removeprefix(f"{field}: ")
    assert remedy in line


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"sed": 1}, "sed"),
        ({"optimiser": {"lr": 1e-3}}, "optimiser.lr"),
        ({"student": {"kind": "resnet", "width": 3}}, "student.width"),
        ({"teacher": {"model": {"kind": "pixelcnn", "depth": 3}}}, "teacher.model.depth"),
        ({"objective": {"kind": "z_reconstruction", "noise_level": 0.1}}, "objective.noise_level"),
    ],
    ids=str,
)
def test_unknown_field_is_named(values: dict[str, Any], field: str) -> None:
    (line,) = lines_of(values)
    assert line == f"{field}: no such field; remove it or correct its spelling"


def test_each_problem_has_its_own_line() -> None:
    lines = lines_of({"seed": -1, "optimiser": {"clip": -1.0}, "sed": 1})
    assert len(lines) == 3
    assert {line.split(":")[0] for line in lines} == {"seed", "optimiser.clip", "sed"}


def test_reverse_kl_is_for_flows() -> None:
    (line,) = lines_of({"objective": {"kind": "reverse_kl"}, "student": {"kind": "resnet"}})
    assert "not invertible" in line
    assert "log p_S" in line
    assert parse_trial({"objective": {"kind": "reverse_kl"}, "student": FLOW}).student.is_flow


@pytest.mark.parametrize("text", ["", "{", "not json", "[1, 2", "\x00"])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^config: not JSON .*give a trial's config\.json$"):
        parse_trial_json(text)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_trial_json(text)
    assert "\n" not in str(caught.value)


COLOUR = {"data": {"name": "photographs", "size": 8}, "student": {"kind": "resnet", "patch": 1}}


@pytest.mark.parametrize("extra", [{}, {"evaluation": {"samples": 30}}], ids=str)
def test_data_without_classes_is_judged_without_a_classifier(extra: dict[str, Any]) -> None:
    """Unless somebody asks for one; and the file that it saves says so."""
    trial = parse_trial(COLOUR | extra)
    assert isinstance(trial, ImageTrial)
    assert trial.evaluation.classifier is None
    assert trial.headline == "pixel_fd_best"
    assert parse_trial_json(trial.to_json()) == trial
    assert ImageTrial().headline == "classifier_fd_best"
    assert ImageTrial().evaluation.classifier is not None


@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
def test_every_preset_takes_data_without_classes(preset: Preset) -> None:
    values = image_preset(preset, None).model_dump(mode="json")
    trial = parse_trial(values | COLOUR | {"evaluation": {}})
    assert isinstance(trial, ImageTrial)
    assert trial.evaluation.classifier is None


def test_a_metric_that_will_not_be_measured_says_why() -> None:
    seen, blind = ImageTrial(), parse_trial(COLOUR)
    named = ("classifier_fd", "classifier_fd_matched", "coverage_to_teacher_best", "recall_at_0.8")
    for name in named:
        assert seen.why_unmeasured(name, "validation") == ""
        assert blind.why_unmeasured(name, "test").startswith(f"metric: {name!r} needs a classifier")
    for trial in (seen, blind):
        assert trial.why_unmeasured("pixel_fd_best", "validation") == ""
        assert trial.why_unmeasured("pixel_fd_to_teacher", "validation") == ""
        assert trial.why_unmeasured("copied_share", "test") == ""
        assert "test split alone" in trial.why_unmeasured("copied_share_best", "validation")
    # Neighbours in pixels stand in where there are no features.
    assert "test split alone" in seen.why_unmeasured("pixel_coverage", "validation")
    assert blind.why_unmeasured("pixel_coverage", "validation") == ""
