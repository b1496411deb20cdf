from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from raydistill.seeding import generator
from raydistill.store.assets import Built, Store
from raydistill.store.storage import Storage
from raydistill.tasks.assets import (
    Cost,
    SamplesDivergedError,
    cost_of,
    costed,
    require_finite,
)
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.pairs import Shard, build_shard, is_stored
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.presets import image_preset
from raydistill.tasks.registry import parse_trial


def test_draws_that_are_not_finite_are_refused_with_teacher_count_and_remedy() -> None:
    x = torch.zeros(3, 2, 2)
    require_finite(x, "abc")
    x[1, 0, 1] = math.nan
    with pytest.raises(SamplesDivergedError, match=r"teacher abc: 1 of 3 draws .*max_log_scale"):
        require_finite(x, "abc")
    x[2, 1, 1] = math.inf
    with pytest.raises(SamplesDivergedError, match="2 of 3 draws"):
        require_finite(x, "abc")


def test_the_index_says_what_an_asset_has_cost(tmp_path: Path) -> None:
    """Measured around its builder, unless that one knows better; asked again it is as it was."""
    store = Store(Storage.open(tmp_path))

    @costed(torch.device("cpu"))
    def build(work: Storage) -> Built:
        time.sleep(0.02)
        return Built({"x": torch.ones(1)}, {"fact": 1})

    made = store.get_or_build("things", {"number": 1}, build)
    cost = cost_of(made)
    assert 0.02 <= cost.wall_seconds < 20.0
    assert 0.0 <= cost.cpu_seconds < cost.wall_seconds
    assert cost.device == "cpu"
    assert made.info["fact"] == 1
    assert cost_of(store.get_or_build("things", {"number": 1}, build)) == cost

    @costed(torch.device("cpu"))
    def resumed(work: Storage) -> Built:
        known = {"wall_seconds": 60.0, "cpu_seconds": 55.0, "device": "cpu"}
        return Built({"x": torch.ones(1)}, {"cost": known})

    other = store.get_or_build("things", {"number": 2}, resumed)
    assert cost_of(other) == Cost(60.0, 55.0, "cpu")
    assert cost_of(made, other).wall_seconds == cost.wall_seconds + 60.0
    # Of an earlier version nothing is known, and nothing is made up.
    old = store.get_or_build("things", {"number": 3}, lambda work: Built({}, {}))
    assert math.isnan(cost_of(made, old).cpu_seconds)
    assert cost_of(made, old).device == "several"


def test_no_shard_is_kept_of_a_teacher_whose_draws_diverge(
    smoke_values: dict[str, Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_trial(smoke_values)
    assert isinstance(config, ImageTrial)
    task = ImageTask(config, store, torch.device("cpu"))
    # A teacher that multiplies what it is fed: a real one does so where it has not been trained.
    conditional = task.teacher.conditional  # type: ignore[attr-defined]
    monkeypatch.setattr(conditional, "min_log_scale", 2000.0)
    shard = Shard("oracle", 97)
    with pytest.raises(SamplesDivergedError, match=task.teacher_key):
        build_shard(shard, task.trained, task.data, store, torch.device("cpu"))
    assert not is_stored(shard, task.trained, store)


def test_the_bound_holds_in_every_decoder(store: Store) -> None:
    values = image_preset("smoke", "photographs").model_dump(mode="json")
    values["teacher"]["model"]["conditional"]["max_log_scale"] = 0.0
    config = parse_trial(values)
    assert isinstance(config, ImageTrial)
    shape = config.data.image_shape
    torch.manual_seed(0)
    teacher = config.teacher.model.build(shape, centre=0.0, spread=1.0).double()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    z = teacher.sample_prior(2, generator("cpu", "bound")).double()
    x = teacher.decode(z)
    # No scale is above the bound, and some are at it.
    slopes = torch.autograd.functional.jacobian(lambda v: teacher.encode(v).z, x[:1])
    diagonal = slopes.reshape(z[0].numel(), -1).diagonal()
    assert float(diagonal.min()) == pytest.approx(1.0, abs=1e-9)
    assert (teacher.decode(z, "sequential") - x).abs().max() < 1e-9
    assert (teacher.encode(x).z - z).abs().max() < 1e-9
