"""How often does a teacher of colour images draw what overflows, and what keeps it from that?

    python benchmarks/far_off_draws.py --storage-path results
    python benchmarks/far_off_draws.py --updates 1800 --ema 0.999 --bounds none

A teacher that is fed its own draws may leave the data for ever wider scales. Each teacher is
trained once, the store keeps it. A draw is beyond a limit if any of its logits is, or is not
finite; data end at 13.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import tyro
from torch import Tensor

from raydistill.seeding import generator
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.image.config_parts import TeacherTraining
from raydistill.tasks.image.teacher import get_teacher
from raydistill.tasks.presets import image_preset
from raydistill.teachers.base import Teacher
from raydistill.training.job import Progress

CPU = torch.device("cpu")
PART = 1000
LIMITS = (30.0, 100.0)


@dataclass(frozen=True)
class FarOffDraws:
    """Count draws of some teachers.

    Attributes:
        storage_path: where teachers are kept.
        dataset: as for a sweep.
        updates: of the teachers.
        bounds: of the log-scale of standardised pixels, one teacher each.
        ema: decay of an average of the weights.
        learning_rate: of Adam; the preset's by default.
        draws: of each teacher, a multiple of a thousand.
    """

    storage_path: str = "results"
    dataset: str = "photographs"
    updates: tuple[int, ...] = (900, 1800)
    bounds: tuple[Literal["none", "1"], ...] = ("none", "1")
    ema: float | None = None
    learning_rate: float | None = None
    draws: int = 60_000


def trained_by(settings: FarOffDraws, updates: int, bound: str) -> TeacherTraining:
    """The preset's training with what the settings change."""
    values = image_preset("small", settings.dataset).teacher.model_dump(mode="json")
    values["model"]["conditional"]["max_log_scale"] = None if bound == "none" else float(bound)
    values["budget"]["updates"] = updates
    values |= {"ema": settings.ema, "threads": 1}
    if settings.learning_rate is not None:
        values["optimiser"]["learning_rate"] = settings.learning_rate
    return TeacherTraining.model_validate(values)


@torch.no_grad()
def largest(teacher: Teacher, draws: int) -> Tensor:
    """Largest logit of each draw, in absolute value; NaN where one is not a number."""
    found = []
    for part in range(draws // PART):
        z = teacher.sample_prior(PART, generator(CPU, "far off", part))
        found.append(teacher.decode(z).flatten(1).abs().amax(dim=1))
    return torch.cat(found)


def say(progress: Progress) -> None:
    """The teacher's training, now and then."""
    if progress.evaluation is not None:
        bits = progress.evaluation.metrics["bits"]
        print(f"    {progress.updates}/{progress.total}: {bits:.3f} bits/dim", flush=True)


def main(settings: FarOffDraws) -> None:
    """Print a line a teacher."""
    torch.set_num_threads(1)
    data = image_preset("small", settings.dataset).data.load()
    store = Store(Storage.open(settings.storage_path).child("store"))
    for updates in settings.updates:
        for bound in settings.bounds:
            training = trained_by(settings, updates, bound)
            asset = get_teacher(training, data, store, CPU, on_progress=say)
            found = largest(asset.teacher, settings.draws)
            # `<=` is false of what is not a number, too.
            counts = {limit: int((~(found <= limit)).sum()) for limit in LIMITS}
            beyond = ", ".join(f"{count} beyond {limit:g}" for limit, count in counts.items())
            bits = asset.info["test_bits_per_dimension"]["teacher"]
            print(
                f"{updates} updates, bound {bound}: {bits:.4f} bits/dim; of {len(found)} draws "
                f"{int((~found.isfinite()).sum())} not finite, {beyond}",
                flush=True,
            )


if __name__ == "__main__":
    main(tyro.cli(FarOffDraws, description=__doc__))
