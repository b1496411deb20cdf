from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from raydistill.store.storage import Storage
from raydistill.students.export import PROGRAM, export_student, load_student
from raydistill.students.wavenet_flow import WaveNetFlow, WaveNetFlowConfig

RUN = """
import sys, torch
program = torch.export.load(sys.argv[1]).module()
given = torch.load(sys.argv[2], weights_only=True)
torch.save([program(z, conditioning) for z, conditioning in given], sys.argv[3])
assert not [name for name in sys.modules if name.split(".")[0] == "raydistill"]
"""


def make() -> WaveNetFlow:
    torch.manual_seed(0)
    config = WaveNetFlowConfig(
        flows=2, channels=4, layers=2, kernel=2, dilation_base=2, features=3, hop=6
    )
    student = config.build((24,), centre=0.5, spread=3.0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return student


def test_it_comes_back_from_its_weights_and_configuration(tmp_path: Path) -> None:
    student, folder = make().double(), Storage.open(tmp_path)
    export_student(student, folder)
    found = load_student(folder)
    z, conditioning = torch.randn(2, 18).double(), torch.randn(2, 3, 3).double()
    assert found.config == student.config
    assert found.event_shape == student.event_shape
    assert torch.equal(found.given(conditioning)(z), student.given(conditioning)(z))


def test_the_program_needs_pytorch_alone_and_takes_any_length(tmp_path: Path) -> None:
    student = make()
    export_student(student, Storage.open(tmp_path))
    given = [(torch.randn(1, 6 * frames), torch.randn(1, frames, 3)) for frames in (2, 3, 4, 50)]
    torch.save(given, tmp_path / "given")
    paths = [str(tmp_path / name) for name in (PROGRAM, "given", "found")]
    subprocess.run([sys.executable, "-c", RUN, *paths], check=True, cwd=tmp_path)
    found = torch.load(tmp_path / "found", weights_only=True)
    for (z, conditioning), x in zip(given, found, strict=True):
        expected = student.given(conditioning)(z)
        assert expected.std() > 0.1
        assert (x - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_folder_without_a_student_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"student\.json"):
        load_student(Storage.open(tmp_path))
