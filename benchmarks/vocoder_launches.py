"""A model of the vocoder on a GPU, which is not measured yet: kernels launched, times their cost.

    python benchmarks/vocoder_launches.py --launch-microseconds 5 2

One sequence is bound by launches: a kernel on a few numbers takes as long to launch as to run. What
is counted is PyTorch's operations that compute: of the student's whole pass, and of the teacher's
sample tier alone, which has to run for every sample; its recurrent tiers come on top. A pass takes
its launches times the cost of one, or its arithmetic at the rate given, whichever is more. Costs
and rate are assumptions to be given: 5 us is usual for single launches, 2 us within a CUDA graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from raydistill.students.wavenet_flow import WaveNetFlow, WaveNetFlowConfig
from raydistill.teachers.samplernn import SampleRNN, SampleRNNConfig

FREE = ("view", "expand", "slice", "select", "unsqueeze", "squeeze", "transpose", "permute", "t",
        "as_strided", "unbind", "split", "detach", "alias", "empty", "unfold", "_unsafe_view",
        "_reshape_alias")  # fmt: skip
"""Operations that launch nothing."""


@dataclass(frozen=True)
class LaunchModel:
    """What is assumed.

    Attributes:
        launch_microseconds: cost of a launch.
        teraflops: that convolutions of this kind reach.
        seconds: of the sequence.
        rate: samples a second of audio.
    """

    launch_microseconds: tuple[float, ...] = (5.0, 2.0)
    teraflops: float = 5.0
    seconds: float = 10.0
    rate: int = 8000


class Launches(TorchDispatchMode):
    """Counts operations that compute."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += func.overloadpacket.__name__ not in FREE
        return func(*args, **(kwargs or {}))


@torch.inference_mode()
def one_sample(teacher: SampleRNN, window: Tensor, given: Tensor, z: Tensor) -> Tensor:
    """The sample tier: from what came before one sample, (1, history), to the sample."""
    hidden = F.relu(given + teacher.hear(window))
    params = teacher.head(F.relu(teacher.inner(hidden))) + teacher.predictor(window)
    return teacher.conditional.from_noise(z, params)


@torch.no_grad()
def student_pass(student: WaveNetFlow, frames: int) -> tuple[int, int]:
    """Launches of one pass over a sequence, and its floating-point operations."""
    z, conditioning = torch.zeros(1, frames * 40), torch.zeros(1, frames, 27)
    with Launches() as launches:
        student.given(conditioning)(z)
    with FlopCounterMode(display=False) as flops:
        student.given(conditioning)(z)
    return launches.count, flops.get_total_flops()


def main(model: LaunchModel) -> None:
    """Print samples a second of both."""
    teacher = SampleRNNConfig().build((2400,))
    student = WaveNetFlowConfig().build((2400,))
    history, width = teacher.config.history, teacher.config.width
    with Launches() as launches:
        one_sample(teacher, torch.zeros(1, history), torch.zeros(1, width), torch.zeros(1))
    a_sample = launches.count
    frames = round(model.seconds * model.rate / 40)
    a_pass, flops = student_pass(student, frames)
    print(
        f"launches: teacher {a_sample} a sample and more, student {a_pass} a pass of any length; "
        f"{flops / frames / 40 / 1e6:.2f} MFLOP a sample"
    )
    for cost in model.launch_microseconds:
        sequential = 1e6 / (a_sample * cost)
        took = max(a_pass * cost * 1e-6, flops / (model.teraflops * 1e12))
        parallel = frames * 40 / took
        print(
            f"  {cost:g} us a launch, one sequence of {model.seconds:g} s: teacher at most "
            f"{sequential / 1e3:.1f} thousand samples/s, {sequential / model.rate:.1f}x real time, "
            f"student {parallel / 1e6:.1f} million ({parallel / sequential:.0f} times that)"
        )


if __name__ == "__main__":
    main(tyro.cli(LaunchModel, description=__doc__))
