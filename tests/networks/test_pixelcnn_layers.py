"""The causal convolutions: what each output may and may not see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from raydistill.networks.pixelcnn.layers import (
    CausalConv,
    CausalUpsample,
    GatedResidual,
    shift_down,
    shift_right,
)
from tests.helpers import normal, randomise


def test_shifts_move_by_one_and_fill_with_zero() -> None:
    x = torch.arange(1.0, 7.0).view(1, 1, 2, 3)
    assert shift_down(x).tolist() == [[[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]]]
    assert shift_right(x).tolist() == [[[[0.0, 1.0, 2.0], [0.0, 4.0, 5.0]]]]


def seen(function: Callable[[Tensor], Tensor], size: int, channels: int = 2) -> Tensor:
    """Which input pixels each output pixel depends on: (H', W', H, W) of bool."""
    x = normal(1, channels, size, size).requires_grad_()
    y = function(x)
    # A random mixture of channels cannot cancel.
    mixed = torch.einsum("bchw,c->hw", y, normal(y.shape[1], seed=1))
    gradients = [
        torch.autograd.grad(value, x, retain_graph=True)[0][0].abs().sum(0)
        for value in mixed.flatten()
    ]
    return (torch.stack(gradients) != 0.0).view(*mixed.shape, size, size)


def window(
    outputs: tuple[int, int], size: int, allowed: Callable[[int, int, int, int], bool]
) -> Tensor:
    """The mask of `seen` by a rule (output row, output column, input row, input column)."""
    height, width = outputs
    return torch.tensor(
        [
            [
                [[allowed(r, c, i, j) for j in range(size)] for i in range(size)]
                for c in range(width)
            ]
            for r in range(height)
        ]
    )


@pytest.mark.parametrize("kernel", [(2, 2), (2, 1), (1, 2), (3, 2)])
def test_down_right_convolution_sees_exactly_above_and_left(kernel: tuple[int, int]) -> None:
    layer = randomise(CausalConv(2, 3, kernel, centred=False))
    height, width = kernel
    expected = window((5, 5), 5, lambda r, c, i, j: r - height < i <= r and c - width < j <= c)
    assert torch.equal(seen(layer, 5), expected)


@pytest.mark.parametrize("kernel", [(2, 3), (1, 3), (3, 5)])
def test_down_convolution_sees_exactly_above_and_beside(kernel: tuple[int, int]) -> None:
    layer = randomise(CausalConv(2, 3, kernel, centred=True))
    height, width = kernel
    expected = window(
        (5, 5), 5, lambda r, c, i, j: r - height < i <= r and abs(j - c) <= width // 2
    )
    assert torch.equal(seen(layer, 5), expected)


def test_shifted_down_stream_sees_no_pixel_of_its_own_row() -> None:
    layer = randomise(CausalConv(2, 3, (2, 3), centred=True))
    mask = seen(lambda x: shift_down(layer(x)), 5)
    assert not bool(mask[window((5, 5), 5, lambda r, c, i, j: i >= r)].any())
    assert bool(mask[4, 2, 3].any())


@pytest.mark.parametrize("centred", [False, True])
def test_strided_convolution_starts_at_the_block_it_stands_for(centred: bool) -> None:
    kernel = (2, 3) if centred else (2, 2)
    layer = randomise(CausalConv(2, 3, kernel, centred=centred, stride=2))
    mask = seen(layer, 6)
    right = 1 if centred else 0
    expected = window(
        (3, 3),
        6,
        lambda r, c, i, j: 2 * r - 1 <= i <= 2 * r and 2 * c - 1 <= j <= 2 * c + right,
    )
    assert torch.equal(mask, expected)


def test_down_right_upsampling_sees_exactly_its_block() -> None:
    layer = randomise(CausalUpsample(2, 3, centred=False))
    expected = window((6, 6), 3, lambda r, c, i, j: i == r // 2 and j == c // 2)
    assert torch.equal(seen(layer, 3), expected)


def test_down_upsampling_sees_its_row_alone_and_a_neighbour() -> None:
    layer = randomise(CausalUpsample(2, 3, centred=True))
    mask = seen(layer, 3)
    assert mask.shape[:2] == (6, 6)
    assert not bool(mask[window((6, 6), 3, lambda r, c, i, j: i != r // 2)].any())
    assert not bool(mask[window((6, 6), 3, lambda r, c, i, j: abs(j - c // 2) > 1)].any())
    assert bool(mask.flatten(2).any(2).all())


def test_shrinking_and_growing_the_down_right_stream_stays_causal() -> None:
    shrink = randomise(CausalConv(2, 3, (2, 2), centred=False, stride=2))
    grow = randomise(CausalUpsample(3, 2, centred=False))
    mask = seen(lambda x: grow(shrink(x)), 6)
    later = window((6, 6), 6, lambda r, c, i, j: (i, j) > (r, c))
    assert not bool(mask[later].any())


@pytest.mark.parametrize("centred", [False, True])
def test_gated_residual_is_causal_and_needs_its_skip(centred: bool) -> None:
    block = randomise(GatedResidual(2, centred=centred, skip_channels=3))
    x, a = normal(1, 2, 4, 4), normal(1, 3, 4, 4, seed=1)
    mask = seen(lambda x: block(x, a), 4)
    below = window((4, 4), 4, lambda r, c, i, j: i > r or (not centred and j > c))
    assert not bool(mask[below].any())
    # The auxiliary input is read at the same pixel first: what it adds is as causal.
    through_skip = seen(lambda a: block(x, a), 4, channels=3)
    assert not bool(through_skip[below].any())
    assert bool(through_skip[window((4, 4), 4, lambda r, c, i, j: (i, j) == (r, c))].all())


def test_gated_residual_without_gate_is_the_identity() -> None:
    """With its last convolution at zero a block adds nothing: x + 0 * sigmoid(0)."""
    block = GatedResidual(2, centred=True).double()
    nn.init.zeros_(block.conv_out.conv.parametrizations.weight.original0)
    nn.init.zeros_(block.conv_out.conv.bias)
    x = normal(1, 2, 4, 4)
    assert torch.equal(block(x), x)
