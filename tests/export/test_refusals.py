"""What cannot be exported is refused in a sentence, and leaves nothing behind."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raydistill.export import ExportError, export_student, formats, writers
from raydistill.students.base import Student
from raydistill.students.linear import LinearStudent, LinearStudentConfig


class CountingStudent(Student):
    """x = z len(z): a Python number of the batch."""

    event_shape = (2,)

    def forward(self, z: Tensor) -> Tensor:
        return z * len(z)


class DivergedStudent(Student):
    """A student whose training diverged."""

    event_shape = (2,)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float("nan")))

    def forward(self, z: Tensor) -> Tensor:
        return z * self.weight


@pytest.fixture
def student() -> LinearStudent:
    return LinearStudentConfig().build((3,))


def test_an_unknown_format(student: LinearStudent, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^format: 'tflite' is unknown; choose one of safet"):
        export_student(student, tmp_path / "out", "tflite")  # type: ignore[arg-type]


def test_onnx_without_its_extra(
    student: LinearStudent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(name: str) -> Any:
        return None if name == "onnxruntime" else find_spec(name)

    monkeypatch.setattr(formats.importlib.util, "find_spec", without)
    with pytest.raises(ExportError, match=r"needs onnxruntime.*pip install raydistill\[onnx\]"):
        export_student(student, tmp_path / "out", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something(student: LinearStudent, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(ExportError, match=r"^out: .* is not empty; give another folder"):
        export_student(student, tmp_path, "safetensors")
    with pytest.raises(ExportError, match=r"something other than an export, which is not replaced"):
        export_student(student, tmp_path, "safetensors", overwrite=True)
    with pytest.raises(ExportError, match=r"is a file; give a folder"):
        export_student(student, tmp_path / "thesis.tex", "safetensors")
    with pytest.raises(ExportError, match=r"is no local folder"):
        export_student(student, "s3://bucket/out", "safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_earlier_export_is_replaced_when_asked(student: LinearStudent, tmp_path: Path) -> None:
    out = tmp_path / "a folder" / "out"
    export_student(student, out, "safetensors", card="# The card")
    assert (out / "card.md").read_text() == "# The card"
    with pytest.raises(ExportError, match="not empty"):
        export_student(student, out, "torch-export")
    written = export_student(student, out, "torch-export", overwrite=True)
    assert written.folder == out
    assert {path.name for path in out.iterdir()} == set(written.files)
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_interrupted_export_leaves_nothing(
    student: LinearStudent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(program: object, folder: Path, name: str) -> None:
        (folder / f"{name}.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(writers.WRITERS, "safetensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_student(student, tmp_path / "out", "safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_gives_other_numbers(
    student: LinearStudent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(program: object, folder: Path, name: str) -> None:
        (folder / f"{name}.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
        (folder / "model.py").write_text("def run(weights, z):\n    return (2 * z,)\n")

    monkeypatch.setitem(writers.WRITERS, "safetensors", another)
    with pytest.raises(ExportError, match=r"gives x of LinearStudent otherwise than the model"):
        export_student(student, tmp_path / "out", "safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_the_users_own_that_fits_one_batch(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^CountingStudent: .*x\.shape\[0\] and not len\(x\)"):
        export_student(CountingStudent(), tmp_path / "out", "torch-export")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_diverged(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^model: its x of standard examples is not finite"):
        export_student(DivergedStudent(), tmp_path / "out", "torch-export")
