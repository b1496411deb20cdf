"""Winograd's convolution: torch's values and gradients, and torch itself where it is meant."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from raydistill.kernels.winograd import layer, matrices
from raydistill.kernels.winograd.layer import Conv2d
from raydistill.kernels.winograd.matrices import OUTPUTS, transforms
from raydistill.networks.pixelcnn.layers import CausalConv
from raydistill.students.resnet import ResNetConfig
from raydistill.teachers.pixelcnn import PixelCNNConfig
from tests.helpers import normal, randomise

KERNELS = [(2, 2), (2, 3), (3, 2), (3, 3)]
# Batch, channels, height and width: whole tiles, parts of one, an image smaller than a window, and
# more tiles than go through at once.
SIZES = [(32, 16, 4, 4), (9, 32, 7, 10), (40, 16, 3, 3), (3, 16, 29, 31), (1, 48, 45, 47)]


@pytest.fixture(autouse=True)
def _however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "FEWEST_MULTIPLICATIONS", 0)


def both(conv: Conv2d, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Value and gradients of x and the weights: ours, and torch's of the same numbers."""
    x = x.detach().requires_grad_()
    results = []
    for y in (conv(x), torch.nn.functional.conv2d(x, *conv.parameters(), padding=conv.padding)):
        gradient = normal(*y.shape, seed=9).to(y.dtype)
        results.append([y, *torch.autograd.grad(y, (x, *conv.parameters()), gradient)])
    return results[0], results[1]


def refuse_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a layer goes to torch after all."""

    def refuse(*_: object) -> None:
        raise AssertionError("not the compiled loops")

    monkeypatch.setattr(torch.nn.Conv2d, "_conv_forward", refuse)


@pytest.mark.parametrize("taps", [2, 3])
def test_minimal_filtering_is_exact(taps: int) -> None:
    found, rng = transforms(taps), np.random.default_rng(0)
    x, w = rng.standard_normal(OUTPUTS + taps - 1), rng.standard_normal(taps)
    y = found.output @ ((found.kernel @ w) * (found.input @ x))
    np.testing.assert_allclose(y, np.correlate(x, w, "valid"), rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(found.output[:, matrices.ONE], 1.0)
    with pytest.raises(ValueError, match=r"F\(2, 3\) needs 3 points"):
        transforms(3, outputs=2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize("kernel", KERNELS)
def test_value_and_gradients_are_torchs(
    kernel: tuple[int, int],
    padding: int | tuple[int, int],
    size: tuple[int, int, int, int],
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    conv = randomise(Conv2d(size[1], 32, kernel, padding=padding))
    refuse_torch(monkeypatch)
    torch.testing.assert_close(*both(conv, normal(*size)), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_rounding_in_single_precision(kernel: tuple[int, int]) -> None:
    conv = randomise(Conv2d(64, 64, kernel)).float()
    x = normal(4, 64, 28, 28)
    ours, _ = both(conv, x.float())
    _, exact = both(conv.double(), x)
    for found, expected in zip(ours, exact, strict=True):
        scale = expected.abs().max()
        torch.testing.assert_close(found.double() / scale, expected / scale, rtol=0.0, atol=2e-5)


def strided(x: Tensor) -> Tensor:
    return torch.stack([x, -x], dim=-1)[..., 0]


@pytest.mark.parametrize(
    "view",
    [
        strided,
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x[:1].expand_as(x),
    ],
)
def test_any_layout(view: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    conv = randomise(Conv2d(16, 16, 3, padding=1)).to(memory_format=torch.channels_last)
    refuse_torch(monkeypatch)
    x = normal(8, 16, 9, 8)
    before = x.clone()
    torch.testing.assert_close(*both(conv, view(x)), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(x, before, rtol=0.0, atol=0.0)


def test_only_wanted_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = randomise(Conv2d(16, 16, 2)), normal(8, 16, 9, 9)
    expected, _ = both(conv, x)
    gradient = normal(*expected[0].shape, seed=9)
    refuse_torch(monkeypatch)
    found = torch.autograd.grad(conv(x), tuple(conv.parameters()), gradient)
    torch.testing.assert_close(list(found), expected[2:], rtol=1e-13, atol=1e-13)
    conv.requires_grad_(False)
    x.requires_grad_()
    (found_x,) = torch.autograd.grad(conv(x), x, gradient)
    torch.testing.assert_close(found_x, expected[1], rtol=0.0, atol=0.0)


@pytest.mark.parametrize(
    ("conv", "size", "kind"),
    [
        (Conv2d(16, 16, 2, stride=2), (64, 16, 8, 8), torch.float32),
        (Conv2d(16, 16, 3, dilation=2), (64, 16, 9, 9), torch.float32),
        (Conv2d(16, 16, 3, padding="same"), (64, 16, 9, 9), torch.float32),
        (Conv2d(16, 16, 3, padding=1, padding_mode="circular"), (64, 16, 9, 9), torch.float32),
        (Conv2d(16, 16, 3, groups=2), (64, 16, 9, 9), torch.float32),
        (Conv2d(16, 16, 3, bias=False), (64, 16, 9, 9), torch.float32),
        (Conv2d(16, 16, (1, 3)), (64, 16, 9, 9), torch.float32),
        (Conv2d(16, 12, 3), (64, 16, 9, 9), torch.float32),
        (Conv2d(16, 16, 3), (64, 16, 9, 9), torch.bfloat16),
        (Conv2d(16, 16, 3), (1, 16, 9, 9), torch.float32),
        (Conv2d(16, 16, 3), (0, 16, 9, 9), torch.float32),
        (Conv2d(16, 16, 3), (16, 9, 9), torch.float32),
    ],
)
def test_everything_else_is_torchs(
    conv: Conv2d, size: tuple[int, ...], kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("not torch")

    monkeypatch.setattr(layer, "_loaded", refuse)
    assert conv.to(kind)(normal(*size).to(kind)).requires_grad


def test_without_gradients_or_with_reduced_precision_it_is_torchs_to_the_bit() -> None:
    conv, x = Conv2d(16, 16, 3), normal(16, 16, 9, 9).float()
    plain = torch.nn.Conv2d(16, 16, 3)
    plain.load_state_dict(conv.state_dict())
    with torch.no_grad():
        assert torch.equal(conv(x), plain(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(conv(x), plain(x))
    assert not torch.equal(conv(x), plain(x))


def test_other_channels_than_the_kernels_are_refused() -> None:
    with pytest.raises(RuntimeError, match="to have 16 channels, but got 32 channels"):
        Conv2d(16, 16, 3)(normal(16, 32, 9, 9).float())


def test_small_convolutions_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = Conv2d(16, 16, 3), normal(16, 16, 9, 9).float()
    multiplications = 16 * 7 * 7 * 16 * 16 * 3 * 3
    monkeypatch.setattr(layer, "FEWEST_MULTIPLICATIONS", multiplications + 1)
    assert torch.equal(conv(x), torch.nn.functional.conv2d(x, *conv.parameters()))
    monkeypatch.setattr(layer, "FEWEST_MULTIPLICATIONS", multiplications)
    refuse_torch(monkeypatch)
    conv(x)


def test_without_numba_it_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "load_operators", lambda: None)
    conv, x = Conv2d(16, 16, 3), normal(16, 16, 9, 9).float()
    assert torch.equal(conv(x), torch.nn.functional.conv2d(x, *conv.parameters()))


def test_where_nothing_is_learnt_the_future_cannot_be_seen() -> None:
    """Not even as rounding, or as not-a-number: sweeps of Jacobi start from anything."""
    conv = randomise(CausalConv(16, 16, (2, 3), centred=True))
    x = normal(16, 16, 8, 8)
    spoilt = x.clone()
    spoilt[:, :, 5] = math.nan
    with torch.no_grad():
        assert torch.equal(conv(spoilt)[:, :, :5], conv(x)[:, :, :5])


def test_second_derivatives_are_refused() -> None:
    conv, x = randomise(Conv2d(16, 16, 3)), normal(16, 16, 9, 9).requires_grad_()
    (gradient,) = torch.autograd.grad(conv(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_networks_gradients_are_those_with_torchs_convolutions(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = (
        PixelCNNConfig(channels=16, blocks=1, stages=2)
        if kind == "teacher"
        else ResNetConfig(channels=16, blocks=2, patch=2)
    )
    model, x = randomise(config.build((1, 8, 8))), normal(32, 1, 8, 8)

    def gradients() -> list[Tensor]:
        y = model.log_prob(x) if kind == "teacher" else model(x)
        return list(torch.autograd.grad(y.square().mean(), tuple(model.parameters())))

    used = []
    loaded = layer._loaded
    monkeypatch.setattr(layer, "_loaded", lambda: used.append(1) or loaded())
    found = gradients()
    assert used
    monkeypatch.setattr(layer, "load_operators", lambda: None)
    torch.testing.assert_close(found, gradients(), rtol=1e-9, atol=1e-12)


def test_the_compiler_takes_it_whole() -> None:
    conv, x = randomise(Conv2d(16, 16, (2, 3), padding=1)), normal(8, 16, 8, 8).requires_grad_()

    def run(x: Tensor) -> Tensor:
        return conv(x.sin()).square()

    results = []
    for function in (run, torch.compile(run, fullgraph=True)):
        y = function(x)
        gradient = normal(*y.shape, seed=9)
        results.append([y, *torch.autograd.grad(y, (x, *conv.parameters()), gradient)])
    torch.testing.assert_close(results[0], results[1], rtol=1e-11, atol=1e-12)


def test_an_exported_layer_is_plain_pytorch_and_takes_any_batch() -> None:
    layer = Conv2d(16, 16, 3, padding=1)
    x = torch.randn(9, 16, 32, 32)
    opened = {"input": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(layer, (x,), dynamic_shapes=opened)
    assert not [node for node in program.graph.nodes if "raydistill" in str(node.target)]
    for batch in (x, x[:2]):
        expected = layer(batch)
        torch.testing.assert_close(program.module()(batch), expected, rtol=0.0, atol=1e-5)
