"""Loaded models are exported with the scale of their data and their card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import raydistill as rd
from raydistill.trials.card import CARD


def test_a_loaded_student_gives_its_samples_as_a_program(
    images: rd.Distilled, tmp_path: Path
) -> None:
    student = images.student
    exported = student.export(tmp_path / "student")
    assert CARD in exported.files
    program = torch.export.load(exported.folder / "student.pt2").module()
    z = torch.randn(4, *student.event_shape)
    found, x = program(z)
    torch.testing.assert_close(found, student.decode(z), rtol=0.0, atol=1e-5)
    torch.testing.assert_close(x, student.module(z), rtol=1e-5, atol=1e-5)
    described = json.loads((exported.folder / "config.json").read_text())
    assert described["config"]["kind"] == student.config.student.kind


def test_a_loaded_teacher_encodes_as_a_program(
    gaussians: rd.Distilled, storage: Path, tmp_path: Path
) -> None:
    teacher = rd.load_teacher(storage, "front/gaussians")
    exported = teacher.export(tmp_path / "teacher", "safetensors")
    stored = np.load(exported.folder / "expected.npz")
    expected = teacher.module.encode(torch.from_numpy(stored["x"]))
    np.testing.assert_allclose(stored["z"], expected.z.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(stored["log_det"], expected.log_det.numpy(), rtol=1e-5)
