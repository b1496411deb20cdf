"""What students see: every image once an epoch, in noise of its own, whoever shares the update."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from raydistill.data.logit import from_logit
from raydistill.objectives import Batch
from raydistill.store.assets import Store
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.registry import parse_trial
from tests.helpers import merge

BATCH, COUNT = 250, 1259
"""Of an update, and in the training split of digits."""


def made(smoke_values: dict[str, Any], store: Store, copies: int | None, **changes: Any) -> Any:
    """The task, and a trial of x-reconstruction with so many stored dequantisations."""
    values = merge(
        smoke_values, changes | {"pairs": {"data_copies": copies}, "budget": {"batch_size": BATCH}}
    )
    config = parse_trial(values)
    assert isinstance(config, ImageTrial)
    return ImageTask(config, store, torch.device("cpu")), config


def epoch_of(task: ImageTask, config: ImageTrial, number: int) -> torch.Tensor:
    """The logits of an epoch in the order in which they are seen, (COUNT, 1, 8, 8)."""
    draw, first = task.draw(config), number * COUNT
    updates = range(first // BATCH, (first + COUNT - 1) // BATCH + 1)
    x = torch.cat([x_of(draw(update, slice(0, BATCH))) for update in updates])
    return x[first - BATCH * updates[0] :][:COUNT]


def x_of(batch: Batch) -> torch.Tensor:
    assert batch.x is not None
    return batch.x


def images(x: torch.Tensor) -> list[bytes]:
    """The grey levels of logits, sorted."""
    levels = (from_logit(x) * 17).floor().clamp(max=16).to(torch.uint8)
    return sorted(one.numpy().tobytes() for one in levels)


@pytest.mark.parametrize("copies", [1, 2, None])
def test_an_epoch_has_every_training_image_once(
    copies: int | None, smoke_values: dict[str, Any], store: Store
) -> None:
    task, config = made(smoke_values, store, copies)
    train = sorted(v.to(torch.uint8).numpy().tobytes() for v in task.data.train.values)
    epochs = [epoch_of(task, config, number) for number in range(3)]
    for x in epochs:
        # A draw that rounds to the end of its level is another image; none has by this seed.
        assert images(x) == train
    seen = [{one.numpy().tobytes() for one in x} for x in epochs]
    again = {1: (COUNT, COUNT), 2: (0, COUNT), None: (0, 0)}[copies]
    assert (len(seen[0] & seen[1]), len(seen[0] & seen[2])) == again
    order = [[one.numpy().tobytes() for one in x] for x in epochs]
    assert order[0] != order[1] != order[2]


def test_fresh_pairs_are_codes_of_what_is_seen_and_need_one_copy_in_the_store(
    smoke_values: dict[str, Any], store: Store
) -> None:
    noisy = {"kind": "x_reconstruction", "noise_level": 0.5}
    task, config = made(smoke_values, store, None, objective=noisy)
    # Whose codes tell the scale of what students are given.
    assert [part.kind for part in task.parts(config)].count("data") <= 1
    draw = task.draw(config)
    whole = draw(5, slice(0, BATCH))
    torch.testing.assert_close(whole.z, task.teacher.encode(x_of(whole)).z, rtol=1e-4, atol=1e-4)
    assert not whole.z.requires_grad
    halves = [draw(5, slice(0, 100)), draw(5, slice(100, BATCH))]
    for name in ("x", "noise"):
        assert torch.equal(torch.cat([getattr(h, name) for h in halves]), getattr(whole, name))
    z = torch.cat([half.z for half in halves])
    torch.testing.assert_close(z, whole.z, rtol=1e-4, atol=1e-4)
    assert torch.equal(task.draw(config)(5, slice(0, BATCH)).z, whole.z)  # as after resuming
    other = task.draw(config.model_copy(update={"seed": 1}))(5, slice(0, BATCH))
    assert not torch.equal(x_of(other), x_of(whole))
