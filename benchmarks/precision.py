"""Whether a teacher becomes as good compiled, in half precision or by other convolutions.

    python benchmarks/precision.py

The same teacher is trained from the same seed on the same draws, in each variant from start to end;
bits/dim of the validation split along the way. It fails where the last ones are further from single
precision's than `tolerance`.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass

import torch
import tyro

from raydistill.data.images import load_images
from raydistill.kernels.winograd.layer import Conv2d
from raydistill.networks.pixelcnn import layers as layers
from raydistill.store.storage import Storage
from raydistill.tasks.image.config_parts import TeacherTraining
from raydistill.tasks.image.teacher import train_teacher

VARIANTS: dict[str, dict[str, object]] = {
    "fp32": {},
    "fp32, torch's convolutions": {"plain": True},
    "fp32, compiled": {"compile": True},
    "bf16": {"precision": "bfloat16"},
    "bf16, compiled": {"precision": "bfloat16", "compile": True},
}


@dataclass(frozen=True)
class PrecisionBenchmark:
    """Train in every variant.

    Attributes:
        updates: of the training, batch 64.
        size: side of the images.
        channels, blocks, stages: of the network.
        seed: of weights and draws.
        tolerance: bits/dim by which a variant may end away from single precision.
        without: variants to leave out.
    """

    updates: int = 300
    size: int = 28
    channels: int = 16
    blocks: int = 1
    stages: int = 3
    seed: int = 0
    tolerance: float = 0.01
    without: tuple[str, ...] = ()


def bits_along(settings: PrecisionBenchmark, variant: dict[str, object]) -> list[float]:
    """Validation bits/dim at three times of a training."""
    options = dict(variant)
    layers.__dict__["Conv2d"] = torch.nn.Conv2d if options.pop("plain", False) else Conv2d
    training = TeacherTraining.model_validate(
        {
            "model": {
                "kind": "pixelcnn",
                "channels": settings.channels,
                "blocks": settings.blocks,
                "stages": settings.stages,
            },
            "budget": {
                "updates": settings.updates,
                "evaluate_every": max(1, settings.updates // 3),
                "checkpoint_every": settings.updates,
            },
            "seed": settings.seed,
            "threads": 1,
            **options,
        }
    )
    torch.set_num_threads(1)
    torch.compiler.reset()
    data = load_images("mnist-sample", settings.size)
    with tempfile.TemporaryDirectory() as folder:
        trained = train_teacher(training, data, torch.device("cpu"), Storage.open(folder))
    return [bits for _, bits in trained.history]


def main(settings: PrecisionBenchmark) -> None:
    """Print the table."""
    if "fp32" in settings.without:
        raise SystemExit("without: 'fp32' is what the others are compared with; leave it in")
    print(f"bits/dim, {settings.size}x{settings.size}, {settings.updates} updates of batch 64")
    single, worst = 0.0, 0.0
    for name, variant in VARIANTS.items():
        if name in settings.without:
            continue
        along = bits_along(settings, variant)
        if name == "fp32":
            single = along[-1]
        apart = abs(along[-1] - single)
        # Written so that not-a-number is no agreement.
        worst = worst if apart <= worst else apart
        steps = ", ".join(f"{bits:.4f}" for bits in along)
        print(f"  {name:26} {steps}; at the end {along[-1] - single:+.4f}", flush=True)
    if not worst <= settings.tolerance:
        sys.exit(f"{worst:.4f} bits/dim apart, more than {settings.tolerance}")


if __name__ == "__main__":
    main(tyro.cli(PrecisionBenchmark, description=__doc__))
