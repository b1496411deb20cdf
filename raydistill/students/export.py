"""A trained student as files: weights with their configuration, and a program of plain PyTorch."""

from __future__ import annotations

import io
import json
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from raydistill.store.storage import Storage
from raydistill.students.wavenet_flow import WaveNetFlow, WaveNetFlowConfig

WEIGHTS, CONFIG, PROGRAM = "student.safetensors", "student.json", "student.pt2"


class _Synthesis(nn.Module):
    def __init__(self, student: WaveNetFlow) -> None:
        super().__init__()
        self.student = student

    def forward(self, z: Tensor, conditioning: Tensor) -> Tensor:
        return self.student.steps_given(z, conditioning).x


def export_student(student: WaveNetFlow, folder: Storage) -> None:
    """Write `student.safetensors`, `student.json` and `student.pt2`.

    The last is a `torch.export` program x = program(z, conditioning) for one sequence, z (1, N) and
    conditioning (1, N / hop, features), of two frames or more. To run it takes PyTorch alone:
    `torch.export.load(...).module()`. It computes on the device and in the type of the student.
    """
    weight = next(student.parameters())
    frames = torch.export.Dim("frames", min=2)
    z, conditioning = weight.new_zeros(1, 4 * student.hop), weight.new_zeros(1, 4, student.features)
    program = torch.export.export(
        _Synthesis(student).eval(),
        (z, conditioning),
        dynamic_shapes={"z": {1: student.hop * frames}, "conditioning": {1: frames}},
    )
    content = io.BytesIO()
    torch.export.save(program, content)
    described = {
        "config": student.config.model_dump(mode="json"),
        "event_shape": list(student.event_shape),
        "centre": student.centre,
        "spread": student.spread,
    }
    weights = {name: tensor.contiguous() for name, tensor in student.state_dict().items()}
    folder.write(WEIGHTS, safetensors.torch.save(weights))
    folder.write(CONFIG, json.dumps(described, indent=2).encode())
    folder.write(PROGRAM, content.getvalue())


def load_student(folder: Storage) -> WaveNetFlow:
    """The student of `student.json` with the weights beside it; the program is not read.

    Raises:
        FileNotFoundError: one of the two is not there.
    """
    described: dict[str, Any] = json.loads(folder.read(CONFIG))
    student = WaveNetFlowConfig(**described["config"]).build(
        tuple(described["event_shape"]), centre=described["centre"], spread=described["spread"]
    )
    weights = safetensors.torch.load(folder.read(WEIGHTS))
    student.to(next(iter(weights.values())).dtype)
    student.load_state_dict(weights)
    return student.eval()
