"""The trial configuration: whole, frozen, and refused in one line that says what to do."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from raydistill.conditionals import GaussianConditional
from raydistill.config import ConfigError, TrialConfig, parse_trial, parse_trial_json
from raydistill.presets import Preset, image_preset
from raydistill.registry import resolve_student, resolve_teacher
from raydistill.students.base import Student, StudentConfig
from raydistill.students.resnet import ResNetConfig
from raydistill.teachers.base import Encoding, Teacher, TeacherConfig
from tests.helpers import merge, normal


class OwnStudentConfig(StudentConfig):
    """A user's own student, in one file: this is all that it takes."""

    kind: Literal["tests.test_config:OwnStudentConfig"] = "tests.test_config:OwnStudentConfig"
    gain: float = 1.0

    def check(self, image_shape: tuple[int, int, int]) -> None:
        if image_shape[0] != 1:
            raise ValueError("student.kind: OwnStudent is for grey images; give grey data")

    def build(
        self, image_shape: tuple[int, int, int], *, centre: float = 0.0, spread: float = 1.0
    ) -> Student:
        return OwnStudent(image_shape, centre, spread * self.gain)


class OwnStudent(Student):
    """x = offset + scale * z, pixel by pixel."""

    def __init__(self, image_shape: tuple[int, int, int], centre: float, spread: float) -> None:
        super().__init__()
        self.event_shape = image_shape
        self.offset = nn.Parameter(torch.full(image_shape, centre))
        self.scale = nn.Parameter(torch.full(image_shape, spread))

    def forward(self, z: Tensor) -> Tensor:
        return self.offset + self.scale * z


class OwnTeacherConfig(TeacherConfig):
    """A user's own teacher: a first-order Gaussian chain along the pixels."""

    kind: Literal["tests.test_config:OwnTeacherConfig"] = "tests.test_config:OwnTeacherConfig"

    def check(self, image_shape: tuple[int, int, int]) -> None:
        pass

    def build(
        self, image_shape: tuple[int, int, int], *, centre: float = 0.0, spread: float = 1.0
    ) -> Teacher:
        return OwnTeacher(image_shape, centre, spread)


class OwnTeacher(Teacher):
    """x_t = offset_t + weight_t x_(t-1) + exp(log_scale_t) z_t; decoders come with the base."""

    def __init__(self, image_shape: tuple[int, int, int], centre: float, spread: float) -> None:
        super().__init__()
        self.event_shape = image_shape
        self.conditional = GaussianConditional()
        size = torch.Size(image_shape).numel()
        self.offset = nn.Parameter(torch.full((size,), centre))
        self.weight = nn.Parameter(torch.zeros(size))
        self.log_scale = nn.Parameter(torch.full((size,), spread).log())

    def _params(self, x: Tensor) -> Tensor:
        before = nn.functional.pad(x.flatten(1), (1, -1))
        mean = self.offset + self.weight * before
        return torch.stack([mean, self.log_scale.expand_as(mean)], dim=-1)

    def encode(self, x: Tensor) -> Encoding:
        noise = self.conditional.to_noise(x.flatten(1), self._params(x))
        return Encoding(noise.z.view_as(x), noise.log_derivative.sum(1))

    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        return self.conditional.from_noise(z.flatten(1), self._params(x)).view_as(x)

    def decoding_order(self) -> Tensor:
        return torch.arange(self.dimension)


class FlowOnlyInName(StudentConfig):
    """Not complete: it says neither how to check itself nor how to build."""

    kind: str = "tests.test_config:FlowOnlyInName"
    is_flow: ClassVar[bool] = True


FLOW = {"kind": "pixelcnn_flow", "channels": 4, "blocks": 1, "stages": 1}


def test_defaults_are_valid() -> None:
    assert parse_trial({}) == TrialConfig()
    assert TrialConfig().data.image_shape == (1, 14, 14)


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
        {"student": {"kind": "tests.test_config:OwnStudentConfig", "gain": 1.5}},
        {"teacher": {"model": {"kind": "tests.test_config:OwnTeacherConfig"}}},
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
    values = json.loads(TrialConfig().to_json())
    assert values["student"] == ResNetConfig().model_dump()
    assert values["optimiser"]["beta2"] == 0.99
    assert values["evaluation"]["classifier"]["kind"] == "convnet"


def test_configuration_is_frozen() -> None:
    config = TrialConfig()
    for node, name in (
        (config, "seed"),
        (config.data, "size"),
        (config.student, "blocks"),
        (config.teacher.model, "stages"),
        (config.objective, "l1_weight"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(node, name, 1)
    assert hash(config) == hash(TrialConfig())


def lines_of(values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_trial(values)
    return str(caught.value).split("\n")


BAD: list[tuple[dict[str, Any], str, str, str]] = [
    # what is given, the field named, the value named, what is advised
    ({"seed": -1}, "seed", "-1", "greater than or equal to 0"),
    ({"task": "video"}, "task", "'video'", "'image'"),
    ({"data": {"name": "cifar"}}, "data.name", "'cifar'", "digits"),
    ({"data": {"size": 29}}, "data.size", "29", "at most 28"),
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


def test_own_student_is_built_by_its_path() -> None:
    config = resolve_student({"kind": "tests.test_config:OwnStudentConfig", "gain": 2.0})
    assert isinstance(config, OwnStudentConfig)
    assert resolve_student(config) is config
    assert resolve_student("tests.test_config:OwnStudentConfig") == OwnStudentConfig()
    student = config.build((1, 4, 4), centre=1.0, spread=3.0)
    z = normal(2, 1, 4, 4).float()
    torch.testing.assert_close(student(z), 1.0 + 6.0 * z)
    trial = parse_trial({"student": {"kind": "tests.test_config:OwnStudentConfig"}})
    assert isinstance(trial.student, OwnStudentConfig)


def test_own_student_checks_itself_and_its_fields() -> None:
    kind = "tests.test_config:OwnStudentConfig"
    (line,) = lines_of({"student": {"kind": kind, "gain": "loud"}})
    assert line.startswith("student.gain: 'loud'")
    (line,) = lines_of({"student": {"kind": kind}, "objective": {"kind": "reverse_kl"}})
    assert line.startswith("objective.kind: ")


def test_own_teacher_decodes_with_what_the_base_offers() -> None:
    config = resolve_teacher({"kind": "tests.test_config:OwnTeacherConfig"})
    teacher = config.build((1, 3, 3), centre=0.5, spread=2.0).double()
    with torch.no_grad():
        teacher.weight.copy_(normal(9))
    z = normal(4, 1, 3, 3, seed=1)
    assert teacher.decode_methods == ("sequential", "jacobi")
    x = teacher.decode(z)
    torch.testing.assert_close(teacher.decode(z, "jacobi", tolerance=0.0), x)
    torch.testing.assert_close(teacher.encode(x).z, z)
    with pytest.raises(ValueError, match=r"^method: 'cached'"):
        teacher.decode(z, "cached")


@pytest.mark.parametrize(
    "kind",
    [
        "tests.test_config:OwnStudent",  # the model, not its configuration
        "tests.test_config:OwnTeacherConfig",  # a teacher's
        "tests.test_config:FLOW",  # not a class
        "tests.test_config:Missing",
        "tests.test_config",
        "tests.no_such_module:Config",
        "os:path",
        "..tests:OwnStudentConfig",  # a relative import
        ":",
        "",
        "raydistill.students.base:StudentConfig",  # abstract
        "tests.test_config:FlowOnlyInName",  # abstract too
    ],
)
def test_what_is_no_student_is_refused(kind: str) -> None:
    (line,) = lines_of({"student": {"kind": kind}})
    assert line.startswith(f"student.kind: {kind!r}")
    assert "module:Class" in line


@pytest.mark.parametrize("kind", ["resnet", "tests.test_config:OwnStudentConfig"])
def test_what_is_no_teacher_is_refused(kind: str) -> None:
    (line,) = lines_of({"teacher": {"model": {"kind": kind}}})
    assert line.startswith(f"teacher.model.kind: {kind!r}")
    assert "module:Class" in line
