"""A training step of the paper's teacher: ours, compiled and in half precision, against plain ones.

    python benchmarks/training.py

Both plain networks are the same architecture with the same weights, contiguous (NCHW), with
concat-ELU as elu(cat([x, -x])), padding by `pad` and torch's gate. *Naive* has 1x1 convolutions;
*published layout* has them as linear layers between two permutations, and the gate in parts, as the
PixelCNN++ codes in PyTorch do (github.com/pclucas14/pixel-cnn-pp and what follows it).

    python benchmarks/training.py --device cuda --steps 20

Each variant runs in a process of its own, so that its peak of memory is its own; rounds are
interleaved. CPU seconds a step, medians; memory is the process's peak less what it had before the
first step. On a GPU they are seconds between events on the device, of steps replayed as a graph
(`raydistill/training/captured.py`; the plain networks launch their kernels one by one, unless the
variant says otherwise), and the peak of its allocator; single precision is IEEE there,
TensorFloat-32, torch's default in convolutions, a variant of its own. The last columns are how far
the loss is after the same updates, a check of the arithmetic alone (`benchmarks/precision.py`
trains to an end), and, where nothing is compiled, what convolutions took of another step.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils._python_dispatch import TorchDispatchMode

from raydistill.data.images import load_images
from raydistill.data.logit import dequantise, to_logit
from raydistill.kernels.activations.api import NO_PADDING, Padding
from raydistill.kernels.winograd import loops
from raydistill.networks.pixelcnn import layers as layers
from raydistill.networks.pixelcnn import network as network
from raydistill.seeding import generator
from raydistill.teachers.likelihood import Likelihood
from raydistill.teachers.pixelcnn import PixelCNNConfig
from raydistill.training.captured import WARM_UP, CapturedStep

VARIANTS: dict[str, dict[str, Any]] = {
    "naive": {"plain": True},
    "published layout": {"plain": True, "linear": True},
    "ours, fp32": {},
    "ours, compiled": {"compiled": True},
    "ours, bf16": {"precision": "bfloat16"},
    "ours, bf16, compiled": {"precision": "bfloat16", "compiled": True},
}
ON_GPU: dict[str, dict[str, Any]] = {
    "naive, replayed": {"plain": True, "replayed": True},
    "naive, TF32": {"plain": True, "tf32": True},
    "ours, TF32": {"tf32": True},
    "ours, TF32, compiled": {"tf32": True, "compiled": True},
}


@dataclass(frozen=True)
class TrainingBenchmark:
    """Measure training steps.

    Attributes:
        rounds: interleaved rounds.
        batch: examples of a step.
        size: side of the images.
        channels, blocks, stages: of the network; the paper's.
        steps: timed steps of a round, after two that do not count.
        device: cpu or cuda.
        without: variants to leave out, for example the compiled ones, which take minutes to build.
        child: used by the benchmark itself: run one variant and print its figures.
    """

    rounds: int = 5
    batch: int = 64
    size: int = 28
    channels: int = 32
    blocks: int = 3
    stages: int = 3
    steps: int = 2
    device: str = "cpu"
    without: tuple[str, ...] = ()
    child: str = ""


def plain_concat_elu(*inputs: Tensor, padding: Padding = NO_PADDING) -> Tensor:
    """What one would write first."""
    x = torch.cat(inputs, dim=1) if len(inputs) > 1 else inputs[0]
    x = F.elu(torch.cat([x, -x], dim=1))
    return F.pad(x, padding) if any(padding) else x


def plain_concat_elu_of_sum(x: Tensor, other: Tensor, padding: Padding) -> Tensor:
    return plain_concat_elu(x + other, padding=padding)


def plain_gate(x: Tensor, halves: Tensor) -> Tensor:
    return x + F.glu(halves, dim=1)


def published_gate(x: Tensor, halves: Tensor) -> Tensor:
    a, b = torch.chunk(halves, 2, dim=1)
    return x + a * torch.sigmoid(b)


def make_plain(gate: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Give the layers plain activations, and the layout torch starts with."""
    for module in (layers, network):
        module.__dict__["concat_elu"] = plain_concat_elu
    layers.__dict__["concat_elu_of_sum"] = plain_concat_elu_of_sum
    layers.__dict__["gated_residual"] = gate
    layers.__dict__["MEMORY_FORMAT"] = torch.contiguous_format
    layers.__dict__["Conv2d"] = nn.Conv2d


class Linear(nn.Module):
    """A 1x1 convolution as a linear layer over permuted tensors, with the same weights."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.linear = nn.Linear(conv.in_channels, conv.out_channels)
        if hasattr(conv, "parametrizations"):
            self.linear = weight_norm(self.linear)
        with torch.no_grad():
            pairs = zip(self.parameters(), conv.parameters(), strict=True)
            for mine, given in pairs:
                mine.copy_(given.view_as(mine))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).contiguous().view(-1, channels)
        out: Tensor = self.linear(rows)
        return out.view(batch, height, width, -1).permute(0, 3, 1, 2)


def use_linear(model: network.PixelCNNNetwork) -> None:
    """Replace all 1x1 convolutions."""
    for module in model.modules():
        if isinstance(module, layers.GatedResidual) and module.skip is not None:
            module.skip = Linear(module.skip)
    model.output = Linear(model.output)  # type: ignore[assignment]


class Convolutions(TorchDispatchMode):
    """Adds up the CPU seconds of convolutions, torch's and ours, in both directions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = 0.0
        for name in ("forward", "backward"):
            setattr(loops, name, self._timed(getattr(loops, name)))

    def _timed(self, loop: Callable[..., None]) -> Callable[..., None]:
        def run(*args: Any) -> None:
            began = time.process_time()
            loop(*args)
            self.seconds += time.process_time() - began

        return run

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket not in COUNTED:
            return func(*args, **(kwargs or {}))
        began = time.process_time()
        result = func(*args, **(kwargs or {}))
        self.seconds += time.process_time() - began
        return result


COUNTED = (torch.ops.aten.convolution, torch.ops.aten.convolution_backward)


def run(settings: TrainingBenchmark, variant: dict[str, Any]) -> dict[str, float]:
    """Train some steps in this process."""
    torch.set_num_threads(1)
    options, device = dict(variant), torch.device(settings.device)
    torch.backends.cudnn.allow_tf32 = options.pop("tf32", False)
    linear = options.pop("linear", False)
    replayed = options.pop("replayed", not options.get("plain", False)) and device.type == "cuda"
    if options.pop("plain", False):
        make_plain(published_gate if linear else plain_gate)
    data = load_images("mnist-sample", settings.size)
    torch.manual_seed(0)
    config = PixelCNNConfig(
        channels=settings.channels, blocks=settings.blocks, stages=settings.stages
    )
    teacher = config.build(data.image_shape, centre=-4.0, spread=4.0)
    # A head of zeros would hide from the first losses whatever is wrong before it.
    nn.init.normal_(teacher.map.network.output.weight, std=0.05)
    if linear:
        use_linear(teacher.map.network)
    likelihood = Likelihood(teacher.to(device), **options)
    on_gpu = device.type == "cuda"
    optimiser = torch.optim.Adam(teacher.parameters(), lr=5e-4, capturable=on_gpu)
    values = data.train.values.to(device)
    before = _peak(device)

    def optimise(x: Tensor) -> Tensor:
        loss: Tensor = likelihood(x).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    advance: Callable[[Tensor], Tensor] = CapturedStep(optimise) if replayed else optimise

    def update(step: int) -> tuple[float, float]:
        """Its seconds, and its loss."""
        random = generator(device, "benchmark", step)
        index = torch.randint(len(values), (settings.batch,), generator=random, device=device)
        x = to_logit(dequantise(values[index], data.levels, random))
        clock = Clock(device)
        loss = advance(x)
        return clock.seconds(), float(loss)

    before_timing = WARM_UP + 2 if on_gpu else 2
    steps = [update(step) for step in range(before_timing + settings.steps)]
    figures = {
        "seconds": statistics.median(seconds for seconds, _ in steps[before_timing:]),
        "memory": _peak(device) - before,
        "loss": steps[-1][1],
        "convolutions": 0.0,
    }
    if not on_gpu and not options.get("compiled", False):
        with Convolutions() as convolutions:
            update(before_timing + settings.steps)
        figures["convolutions"] = convolutions.seconds
    return figures


class Clock:
    """Of work on a device: CPU seconds, or those between two of a GPU's events."""

    def __init__(self, device: torch.device) -> None:
        self.began = time.process_time()
        self.events = [torch.cuda.Event(enable_timing=True) for _ in "ab" if device.type == "cuda"]
        if self.events:
            self.events[0].record()

    def seconds(self) -> float:
        """Since it was made."""
        if not self.events:
            return time.process_time() - self.began
        self.events[1].record()
        self.events[1].synchronize()
        return float(self.events[0].elapsed_time(self.events[1])) / 1e3


def _peak(device: torch.device) -> float:
    """Peak memory so far, GB: of this process, or of what it has allocated on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def spawn(settings: TrainingBenchmark, name: str) -> dict[str, float]:
    """Run a variant in a process of its own."""
    shape = [
        f"--{field}={getattr(settings, field)}"
        for field in ("batch", "size", "channels", "blocks", "stages", "steps", "device")
    ]
    command = [sys.executable, __file__, "--child", name, *shape]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


def main(settings: TrainingBenchmark) -> None:
    """Print the table."""
    variants = VARIANTS if settings.device == "cpu" else VARIANTS | ON_GPU
    if settings.child:
        print(json.dumps(run(settings, variants[settings.child])))
        return
    names = [name for name in variants if name not in settings.without]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(settings.rounds):
        for name in names:
            found[name].append(spawn(settings, name))
    print(f"a step of batch {settings.batch} at {settings.size}x{settings.size}, {settings.device}")
    for name in names:
        _report(name, found[name], found["naive"])
    fastest = statistics.median(figures["seconds"] for figures in found["naive"])
    for name in names:
        convolutions = statistics.median(figures["convolutions"] for figures in found[name])
        if name.startswith("ours") and convolutions:
            print(
                f"  {name}: convolutions {convolutions:.4g} s; without anything else it would be "
                f"{fastest / convolutions:.2f}x naive"
            )


def _report(name: str, own: list[dict[str, float]], naive: list[dict[str, float]]) -> None:
    seconds = [figures["seconds"] for figures in own]
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(naive, own, strict=True)]
    memory = statistics.median(figures["memory"] for figures in own)
    gap = max(abs(a["loss"] - b["loss"]) for a, b in zip(own, naive, strict=True))
    print(
        f"  {name:22} {statistics.median(seconds):7.4g} s "
        f"[{min(seconds):.4g}, {max(seconds):.4g}], {statistics.median(ratios):.2f}x naive "
        f"[{min(ratios):.2f}, {max(ratios):.2f}], {memory:.1f} GB, loss apart by {gap:.1e}"
    )


if __name__ == "__main__":
    main(tyro.cli(TrainingBenchmark, description=__doc__))
