"""Every model in every format, run by its own script where nothing of ours can be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from raydistill.export import FORMATS, export_student, export_teacher
from raydistill.export.checks import RUNNERS
from raydistill.students.base import Student
from raydistill.students.linear import LinearStudentConfig
from raydistill.teachers.base import Teacher
from tests.export.cases import MAKERS, Scale, make_student, outputs_of

ISOLATED = """
import runpy, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(name)

sys.meta_path.insert(0, Refused())
for folder in sys.argv[1:]:
    sys.argv = ["example.py", folder + "/outputs.npz"]
    runpy.run_path(folder + "/example.py", run_name="__main__")
"""
OURS = ["raydistill", "numba", "ray"]
SPEECH_SCALE = Scale()


@dataclass(frozen=True)
class Folder:
    """An export with the model that it is of."""

    model: Student | Teacher
    path: Path


def scale_of(name: str) -> Scale | None:
    """Exports of speech are at the scale of the data."""
    return SPEECH_SCALE if name in ("student_wavenet_flow", "teacher_samplernn") else None


FAST = {
    "safetensors": ("resnet", "linear", "wavenet_flow", "gaussian", "samplernn", "own"),
    "torch-export": ("resnet", "linear", "wavenet_flow", "gaussian", "pixelcnn_flow"),
    "onnx": ("resnet", "linear", "wavenet_flow", "gaussian", "samplernn"),
}
"""Kinds that the fast suite exports; tracing a PixelCNN++ takes seconds."""


def is_fast(name: str, format: str) -> bool:
    """Whether the fast suite exports a model of `MAKERS` in a format."""
    return name in {f"{role}_{kind}" for kind in FAST[format] for role in ("student", "teacher")}


ALL = [
    pytest.param(name, format, marks=() if is_fast(name, format) else pytest.mark.slow)
    for format in FORMATS
    for name in MAKERS
]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Folder]:
    """A model in a format; its script has run in an interpreter without us.

    One interpreter runs those of all fast models, since starting it takes most of the time.
    """
    made: dict[tuple[str, str], Folder] = {}

    def of(wanted: str, format: str) -> Folder:
        if (wanted, format) not in made:
            root = tmp_path_factory.mktemp(format)
            together = [name for name in MAKERS if is_fast(name, format)]
            names = together if wanted in together else [wanted]
            new = {name: one(name, format, root / name) for name in names}
            made.update({(name, format): folder for name, folder in new.items()})
            refused = [*OURS, "torch"] if format == "onnx" else OURS
            paths = [str(folder.path) for folder in new.values()]
            code = f"REFUSED = {refused!r}\n{ISOLATED}"
            done = subprocess.run(
                [sys.executable, "-I", "-c", code, *paths],
                capture_output=True,
                text=True,
                cwd=root,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        return made[wanted, format]

    return of


def one(name: str, format: str, path: Path) -> Folder:
    model = MAKERS[name]()
    export = export_student if isinstance(model, Student) else export_teacher
    export(model, path, format, scale=scale_of(name))  # type: ignore[arg-type]
    return Folder(model, path)


def close(found: dict[str, np.ndarray], expected: dict[str, Tensor]) -> bool:
    """Whether all outputs are within 1e-5 of the model's, relative to the largest."""
    assert set(found) == set(expected)
    return all(
        np.abs(found[name] - value.numpy()).max() <= 1e-5 * max(1.0, float(value.abs().max()))
        for name, value in expected.items()
    )


@pytest.mark.parametrize(("name", "format"), ALL)
def test_its_script_gives_the_numbers_of_the_model(
    name: str, format: str, exports: Callable[[str, str], Folder]
) -> None:
    folder = exports(name, format)
    stored = np.load(folder.path / "expected.npz")
    described = json.loads((folder.path / "config.json").read_text())
    inputs = {label: torch.from_numpy(stored[label]) for label in described["inputs"]}
    expected = outputs_of(folder.model, inputs, scale_of(name))
    assert all(bool(value.isfinite().all()) for value in expected.values())
    assert close(dict(np.load(folder.path / "outputs.npz")), expected)


@pytest.mark.parametrize(("name", "format"), ALL)
@pytest.mark.parametrize(("batch", "frames"), [(1, 2), (6, 11)])
def test_it_takes_other_batches_and_lengths_than_it_was_traced_with(
    name: str, format: str, batch: int, frames: int, exports: Callable[[str, str], Folder]
) -> None:
    folder = exports(name, format)
    described = json.loads((folder.path / "config.json").read_text())
    generator = torch.Generator().manual_seed(batch)
    shape = list(folder.model.event_shape)
    sizes = {label: [batch, *shape] for label in described["inputs"]}
    if "features" in sizes:
        sizes = {label: [batch, 8 * frames] for label in sizes} | {"features": [batch, frames, 3]}
    inputs = {label: torch.randn(size, generator=generator) for label, size in sizes.items()}
    role = "student" if isinstance(folder.model, Student) else "teacher"
    with torch.no_grad():
        found = RUNNERS[format](folder.path, role, tuple(inputs.values()))
    named = dict(zip(described["outputs"], [np.asarray(value) for value in found], strict=True))
    assert close(named, outputs_of(folder.model, inputs, scale_of(name)))


@pytest.mark.parametrize(
    "name", [case.values[0] for case in ALL if case.values[1] == "torch-export" and not case.marks]
)
def test_a_program_holds_operators_of_pytorch_alone(
    name: str, exports: Callable[[str, str], Folder]
) -> None:
    folder = exports(name, "torch-export")
    program = torch.export.load(next(folder.path.glob("*.pt2")))
    spaces = {
        node.target.namespace
        for node in program.graph.nodes
        if isinstance(node.target, torch._ops.OpOverload)
    }
    assert spaces <= {"aten", "prims"}
    assert not any("parametrizations" in weight for weight in program.state_dict)


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = make_student("pixelcnn_flow").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    z = torch.randn(2, *model.event_shape)
    x = model(z)
    export_student(model, tmp_path / "out", "safetensors")
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert torch.equal(model(z), x)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_stack_in_double_precision_keeps_it(tmp_path: Path) -> None:
    student = LinearStudentConfig(start="random").build_stack((3,), seeds=[1, 2])
    for format in FORMATS:
        export_student(student, tmp_path / format, format)  # type: ignore[arg-type]
        stored = np.load(tmp_path / format / "expected.npz")
        assert stored["x"].dtype == np.float64
        assert stored["z"].shape == (3, 2, 3)


def test_weights_are_named_as_the_model_names_them(exports: Callable[[str, str], Folder]) -> None:
    folder = exports("student_resnet", "safetensors")
    weights = load_file(folder.path / "student.safetensors")
    own = {name: value.numpy() for name, value in folder.model.state_dict().items()}
    assert {name for name in own if "standardise" not in name} <= set(weights)
    assert all(np.array_equal(own[name], value) for name, value in weights.items() if name in own)
