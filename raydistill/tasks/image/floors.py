"""What students of the image task are read by: the teacher and the data, judged as students are.

Every process that runs trials needs them, and they take tens of sets of the teacher's draws: they
are therefore measured once and kept in the store, with the value of each set.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import raydistill.tasks.image.samples
from raydistill.data.logit import dequantise, to_logit
from raydistill.metrics.codes import code_diagnostics
from raydistill.metrics.likelihood import compare_log_probs
from raydistill.metrics.norms import RADII, same_class_shares
from raydistill.record import SET, Measured, PerUnit, mean_over
from raydistill.seeding import generator
from raydistill.store.assets import Asset, Built, Store
from raydistill.store.code import code_version, module_of
from raydistill.store.storage import Storage
from raydistill.tasks.assets import (
    COST,
    Cost,
    SamplesDivergedError,
    cost_of,
    device_name,
    with_threads,
)
from raydistill.tasks.image.metric_names import BEST_SCALE
from raydistill.tasks.image.pairs import Drawn, Pairs
from raydistill.tasks.image.samples import Draw, Measurements, SampleJudge, Sampler, Split
from raydistill.tasks.image.teacher import encode
from raydistill.training.stopwatch import Stopwatch

KIND = "image-floors"
"""The store's folder of them."""

SPLITS: tuple[Split, Split] = ("validation", "test")


class Floors:
    """Measures the floors of a teacher, once.

    Args:
        samples: judges the teacher's samples as it does a student's.
        draw: a set of the teacher's draws: split, prior scale, number.
        train_codes: pairs of the training split, dequantised once.
        norms: prior draws decoded at every norm of Figure 5; None where none are wanted.
        store: where the floors are kept.
    """

    def __init__(
        self,
        samples: SampleJudge,
        draw: Draw,
        train_codes: Callable[[], Pairs],
        norms: Callable[[], Pairs | None],
        store: Store,
    ) -> None:
        self.samples, self._draw, self._store = samples, draw, store
        self._train_codes, self._norms = train_codes, norms

    @property
    def are_stored(self) -> bool:
        """Whether the store's index has them."""
        return self._store.has(KIND, self._recipe())

    @cached_property
    def cost(self) -> Cost:
        """Of measuring them, and of the draws that they are measured on."""
        return cost_of(self._asset)

    @cached_property
    def _asset(self) -> Asset:
        device = self.samples.device

        # One thread, whoever builds it: the last bits of a sum are a function of their number.
        @with_threads(1)
        def build(work: Storage) -> Built:
            watch, drawn = Stopwatch(), _Costs()
            tensors = _as_tensors(self._measure(drawn))
            lap = watch.lap()
            cost = Cost(lap.wall_seconds, lap.cpu_seconds, device_name(device))
            return Built(tensors, {COST: asdict(drawn.added_to(cost))})

        return self._store.get_or_build(KIND, self._recipe(), build)

    def get(self) -> dict[str, Measured]:
        """The floors by group; those that are measured from the store, or now."""
        info, classifier = self.samples.trained.info, self.samples.classifier
        floors = _as_floors(self._asset.tensors)
        floors["bits_per_dimension"] = info["test_bits_per_dimension"]
        floors["codes"] = info["validation_codes"]
        if classifier is not None:
            floors["classifier"] = {"test_accuracy": classifier.test_accuracy}
        return floors

    def _recipe(self) -> dict[str, Any]:
        """Everything that the floors are a function of."""
        samples = self.samples
        classifier = samples.classifier
        return {
            "teacher": samples.trained.source,
            "seed": samples.trained.seed,
            "evaluation": samples.wanted.model_dump(mode="json"),
            "classifier": None if classifier is None else classifier.weights,
            "data": samples.data.fingerprint,
            "code": code_version(
                raydistill.tasks.image.samples, module_of(self), module_of(samples.teacher)
            ),
        }

    @torch.no_grad()
    def _measure(self, costs: _Costs) -> dict[str, Measured]:
        samples, wanted = self.samples, self.samples.wanted
        draw = costs.counting(self._draw)
        teacher = Sampler(draw, self._finite_scales(draw))
        train, drawn = self._train_sets(), self._train_log_probs()
        chosen = samples.choose(teacher, wanted.validation_draws)
        best = chosen[BEST_SCALE]
        assert isinstance(best, float)
        floors: dict[str, Measured] = {
            "teacher_validation": chosen,
            "teacher_test": samples.judge_once(teacher, best),
        }
        for split in SPLITS:
            own = samples.against(split).judge(train, thorough=split == "test", new=False)
            floors[f"train_{split}"] = own | drawn
        floors["judged_by"] = samples.against("test").facts
        floors["teacher_draws"] = _far_off(samples.reference.x)
        z = self._train_codes().z.double()
        floors["training_codes"] = code_diagnostics(samples.teacher.normal_codes(z))
        norms = self._norms()
        if norms is not None and samples.classifier is not None:
            floors["norm_perturbation"] = self._norm_perturbation(norms)
        return floors

    def _finite_scales(self, draw: Draw) -> tuple[float, ...]:
        """The prior scales at which the teacher's draws are finite; at 1 they must be."""
        found = []
        for scale in self.samples.scales:
            allowed = (SamplesDivergedError,) if scale != 1.0 else ()
            with contextlib.suppress(*allowed):
                for index in range(self.samples.wanted.validation_draws):
                    draw("validation", scale, index)
                found.append(scale)
        return tuple(found)

    def _train_sets(self) -> list[Tensor]:
        """Random sets of training images that do not overlap, as large as samples are.

        As many as there are draws and as the split has; all of it, if it is smaller than one.
        """
        return [self.samples.train[index] for index in self._train_indices()]

    def _train_indices(self) -> list[Tensor]:
        wanted, train = self.samples.wanted, self.samples.train
        size = wanted.samples
        order = torch.randperm(len(train), generator=generator("cpu", "train floor"))
        parts = order[: size * wanted.draws].to(self.samples.device).split(size)
        return [part for part in parts if len(part) == size] or [parts[0]]

    def _train_log_probs(self) -> Measurements:
        samples, levels = self.samples, self.samples.data.levels
        random = generator(samples.device, "dequantise", "train floor")
        values = samples.data.train.values.to(samples.device)[self._train_indices()[0]]
        found = encode(samples.teacher, to_logit(dequantise(values, levels, random))).log_prob
        own = samples.reference.log_prob
        return {**compare_log_probs(found, own, samples.teacher.dimension)}

    def _norm_perturbation(self, decoded: Pairs) -> Measurements:
        classes = self.samples.classes(decoded.x).view(-1, len(RADII))
        shares = same_class_shares(classes, classes[:, RADII.index(1.0)])
        named = zip(RADII, shares, strict=True)
        found: Measurements = {f"same_class_{radius:.3f}": share for radius, share in named}
        return found | {"count": float(len(classes))}


class _Costs:
    """What sets have cost that had been drawn before: each once, however often it is looked at.

    Of those that are drawn meanwhile, whoever measures the time knows already.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, float, int], Cost | None] = {}

    def counting(self, draw: Draw) -> Draw:
        """The same draws, whose costs are noted."""

        def counted(split: Split, scale: float, index: int) -> Drawn:
            drawn = draw(split, scale, index)
            self._found.setdefault((split, scale, index), drawn.cost)
            return drawn

        return counted

    def added_to(self, cost: Cost) -> Cost:
        """The sum with a cost."""
        earlier = (one for one in self._found.values() if one is not None)
        return functools.reduce(operator.add, earlier, cost)


def _far_off(x: Tensor) -> dict[str, float]:
    """How far draws (N, C, H, W) leave the range of data; in pixels they are clamped to it."""
    largest = x.flatten(1).abs().amax(dim=1)
    limit = float(to_logit(torch.ones(1, dtype=torch.float64)))
    return {
        "count": float(len(x)),
        "largest_logit": float(largest.max()),
        "beyond_data": float((largest > limit).double().mean()),
    }


def _as_tensors(floors: dict[str, Measured]) -> dict[str, Tensor]:
    """GROUP/METRIC to the values of its sets, (sets,), or to a single number, ()."""
    return {
        f"{group}/{name}": torch.tensor(
            one.values if isinstance(one, PerUnit) else one, dtype=torch.float64
        )
        for group, measured in floors.items()
        for name, one in measured.items()
    }


def _as_floors(tensors: dict[str, Tensor]) -> dict[str, Measured]:
    found: dict[str, dict[str, float | PerUnit]] = {}
    for key in sorted(tensors):
        group, _, name = key.partition("/")
        values = tensors[key]
        one = mean_over(SET, values.tolist()) if values.ndim else float(values)
        found.setdefault(group, {})[name] = one
    return dict(found)
