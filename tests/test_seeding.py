"""Counter-based randomness: a draw is a function of what it is for, and of nothing else."""

from __future__ import annotations

import itertools

import torch
from scipy import stats

from raydistill.seeding import generator, key_to_seed


def test_same_key_same_draws() -> None:
    first, second = (torch.randn(8, generator=generator("cpu", "batch", 3, 7)) for _ in range(2))
    assert torch.equal(first, second)


def test_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = torch.randn(8, generator=generator("cpu", "batch", 3, 7))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(torch.randn(8, generator=generator("cpu", "batch", 3, 7)), first)


def test_neighbouring_keys_share_no_seed() -> None:
    """Nor do keys whose parts read alike when run together."""
    keys: list[tuple[str | int, ...]] = list(
        itertools.product(("student", "teacher"), range(20), range(200))
    )
    keys += [("student", 111), ("student1", 1, 1), ("student", 1, 1, 1), ("student", "1", 1)]
    keys += [("a", "b"), ("ab",), ("a", "b", ""), ("1",), (1,)]
    seeds = [key_to_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_neighbouring_steps_are_independent() -> None:
    """The first number of each of 4000 streams in a row is uniform, and not correlated."""
    first = torch.stack(
        [torch.rand(1, generator=generator("cpu", "batch", 0, step)) for step in range(4000)]
    ).flatten()
    assert stats.kstest(first.numpy(), "uniform").pvalue > 0.01
    neighbours = torch.corrcoef(torch.stack([first[:-1], first[1:]]))[0, 1]
    assert abs(float(neighbours)) < 4.0 / 4000**0.5


def test_seeds_are_the_same_in_every_process_and_version() -> None:
    """Records are functions of them: no salted hash, and no change that goes unnoticed."""
    assert key_to_seed("batch", 3, 7) == 1799517528
    assert key_to_seed("student", 0, 0) == 4269705380
