"""The conditionals of a PixelCNN++ on the same data: likelihood, speed, noise.

    python benchmarks/conditionals.py --storage-path results

Each teacher is trained as the preset says, once: the store keeps it. Bits/dim are of the discrete
test images under one fixed dequantisation, so that all conditionals, densities on logits or on
levels, count the same thing. Codes are normal scores of held-out images, whatever the prior.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import tyro

from raydistill.seeding import generator
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.image.config_parts import TeacherTraining
from raydistill.tasks.image.teacher import get_teacher
from raydistill.tasks.presets import Preset, image_preset
from raydistill.training.job import Progress

CPU = torch.device("cpu")
BATCH = 64


@dataclass(frozen=True)
class ConditionalBenchmark:
    """Compare conditionals.

    Attributes:
        storage_path: where teachers are kept.
        preset, dataset: as for a sweep.
        updates: of each teacher; the preset's by default.
        components: of mixtures and flows.
        only: the names of those to train; all by default.
        rounds: of the timings, whose median is given.
    """

    storage_path: str = "results"
    preset: Preset = "small"
    dataset: str = "digits"
    updates: int | None = None
    components: int = 5
    only: tuple[str, ...] = ()
    rounds: int = 5


def conditionals(levels: int, components: int) -> dict[str, dict[str, Any]]:
    """What is compared, by name."""
    return {
        "gaussian": {"kind": "gaussian"},
        "logistic mixture": {"kind": "logistic_mixture", "components": components},
        "logistic, uniform z": {
            "kind": "logistic_mixture",
            "components": components,
            "prior": "uniform",
        },
        "sigmoidal flow": {"kind": "sigmoidal_flow", "units": components},
        "categorical": {"kind": "categorical", "levels": levels, "prior": "uniform"},
    }


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Median CPU milliseconds of a call, after one that does not count."""
    work()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        spent.append(1e3 * (time.process_time() - began))
    return statistics.median(spent)


def say(name: str, progress: Progress) -> None:
    """The teacher's training, now and then."""
    if progress.evaluation is not None:
        bits = progress.evaluation.metrics["bits"]
        print(f"    {name} {progress.updates}/{progress.total}: {bits:.3f} bits/dim", flush=True)


def row(name: str, asset: TeacherAsset, rounds: int) -> str:
    """A line of the table."""
    teacher, info = asset.teacher, asset.info
    z = teacher.sample_prior(BATCH, generator(CPU, "benchmark"))
    x = teacher.decode(z)
    with torch.no_grad():
        encode = milliseconds(partial(teacher.encode, x), rounds)
        error = float((teacher.encode(x).z - z).abs().max())
    decode = milliseconds(partial(teacher.decode, z), rounds)
    codes = info["validation_codes"]
    return (
        f"  {name:20} {info['test_bits_per_dimension']['teacher']:6.3f} {encode / BATCH:8.2f} "
        f"{decode / BATCH:8.2f} {error:9.1e} {codes['mean']:7.3f} {codes['std']:6.3f} "
        f"{codes['kurtosis']:6.2f} {codes['norm_ratio']:6.3f} {codes['autocorrelation_row']:7.3f} "
        f"{codes['autocorrelation_column']:7.3f}"
    )


def main(settings: ConditionalBenchmark) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    base = image_preset(settings.preset, settings.dataset)
    data, store = base.data.load(), Store(Storage.open(settings.storage_path).child("store"))
    rows: list[str] = []
    bits: dict[str, float] = {}
    for name, conditional in conditionals(data.levels, settings.components).items():
        if settings.only and name not in settings.only:
            continue
        if data.image_shape[0] > 1 and name == "categorical":
            continue  # of grey images only
        values = base.teacher.model_dump(mode="json")
        values["model"]["conditional"] = conditional
        values["threads"] = 1
        if settings.updates is not None:
            values["budget"]["updates"] = settings.updates
        training = TeacherTraining.model_validate(values)
        asset = get_teacher(training, data, store, CPU, on_progress=partial(say, name))
        rows.append(row(name, asset, settings.rounds))
        bits = asset.info["test_bits_per_dimension"]
    print(f"{base.describe()}, {settings.updates or base.teacher.budget.updates} updates")
    print(
        f"  {'conditional':20} {'bits':>6} {'enc. ms':>8} {'dec. ms':>8} {'|z - z|':>9} "
        f"{'mean':>7} {'std':>6} {'kurt.':>6} {'norm':>6} {'row r':>7} {'col. r':>7}"
    )
    print("\n".join(rows))
    print(
        f"  baselines: diagonal Gaussian {bits['diagonal_gaussian']:.3f}, full-covariance Gaussian "
        f"{bits['full_gaussian']:.3f}; milliseconds an image at batch {BATCH}, one thread"
    )


if __name__ == "__main__":
    main(tyro.cli(ConditionalBenchmark, description=__doc__))
