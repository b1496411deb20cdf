"""Epochs without replacement: every example once, whoever asks for which update first."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from raydistill.data.epochs import EpochOrder
from raydistill.training.job import Workers


@given(
    count=st.integers(1, 60),
    batch=st.integers(1, 90),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_every_epoch_has_every_example_once(count: int, batch: int, epochs: int, seed: int) -> None:
    order = EpochOrder(count, batch, "cpu", "test", seed)
    updates = -(-epochs * count // batch)
    drawn = [order.at(update) for update in range(updates)]
    assert all(len(one.index) == len(one.epoch) == batch for one in drawn)
    index = torch.cat([one.index for one in drawn])
    epoch = torch.cat([one.epoch for one in drawn])
    for number in range(epochs):
        assert index[epoch == number].sort().values.tolist() == list(range(count))


@given(batch=st.integers(1, 40), update=st.integers(0, 30), seed=st.integers(0, 9))
def test_an_update_is_a_function_of_key_and_number(batch: int, update: int, seed: int) -> None:
    """So that a run resumes without random state."""
    before = EpochOrder(37, batch, "cpu", "test", seed)
    for earlier in range(update):
        before.at(earlier)
    resumed = EpochOrder(37, batch, "cpu", "test", seed)
    state = torch.get_rng_state()
    assert torch.equal(before.at(update).index, resumed.at(update).index)
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [
        EpochOrder(100, 100, "cpu", "test", seed).at(u).index for seed in (0, 1) for u in (0, 1)
    ]
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_workers_cut_the_batch_of_one() -> None:
    order = EpochOrder(50, 16, "cpu", "test", 0)
    for update in range(10):
        shares = [Workers(rank, 4).share(16) for rank in range(4)]
        apart = [EpochOrder(50, 16, "cpu", "test", 0).at(update).index[share] for share in shares]
        assert torch.equal(torch.cat(apart), order.at(update).index)
