from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from raydistill.seeding import generator
from raydistill.store.assets import Store
from raydistill.tasks.assets import SamplesDivergedError, require_finite
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
