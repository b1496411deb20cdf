"""Concat-ELU and the gate: the compiled loops, torch's path, and what the compiler is given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raydistill.kernels.activations import api as activations
from raydistill.kernels.activations.api import (
    Padding,
    concat_elu,
    concat_elu_of_sum,
    gated_residual,
    load_fused,
)
from raydistill.teachers.pixelcnn import PixelCNNConfig
from tests.helpers import normal, randomise, tiny_teacher

PADDINGS: list[Padding] = [(0, 0, 0, 0), (1, 1, 1, 0), (1, 0, 1, 0), (2, 1, 0, 3)]


@pytest.fixture(params=["loops", "torch"])
def _either_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torch":
        monkeypatch.setattr(activations, "load_fused", lambda: None)
    else:
        assert load_fused() is not None


def without_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "load_fused", lambda: None)


def reference(*inputs: Tensor, padding: Padding = (0, 0, 0, 0)) -> Tensor:
    x = torch.cat(inputs, dim=1)
    return F.pad(torch.cat([F.elu(x), F.elu(-x)], dim=1), padding)


def reference_gate(x: Tensor, halves: Tensor) -> Tensor:
    a, b = halves.chunk(2, dim=1)
    return x + a * torch.sigmoid(b)


def gradients(y: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Of a weighted sum: the weights tell apart what a plain sum would not."""
    return torch.autograd.grad((y * normal(*y.shape, seed=9).to(y.dtype)).sum(), inputs)


def strided(x: Tensor) -> Tensor:
    return torch.stack([x, -x], dim=-1)[..., 0]


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "strided": strided,
    "expanded": lambda x: x[:, :, :1].expand_as(x),
}


@pytest.mark.usefixtures("_either_path")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_concat_elu_value_and_gradient(layout: str, padding: Padding) -> None:
    x = LAYOUTS[layout](3.0 * normal(2, 3, 4, 5)).requires_grad_()
    found, expected = concat_elu(x, padding=padding), reference(x, padding=padding)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(gradients(found, x), gradients(expected, x), rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("_either_path")
@pytest.mark.parametrize("widths", [(1, 2), (16, 16), (5, 19), (3, 32, 8)])
def test_concat_elu_of_inputs_side_by_side(widths: tuple[int, ...]) -> None:
    inputs = [normal(2, w, 3, 3, seed=k).requires_grad_() for k, w in enumerate(widths)]
    found = concat_elu(*inputs, padding=(1, 0, 1, 0))
    expected = reference(*inputs, padding=(1, 0, 1, 0))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    pairs = (gradients(found, *inputs), gradients(expected, *inputs))
    torch.testing.assert_close(*pairs, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("_either_path")
@pytest.mark.parametrize("channels", [1, 7, 8, 16, 21, 32])
def test_sum_and_gate_value_and_gradient(channels: int) -> None:
    x, other = (normal(3, channels, 2, 5, seed=k).requires_grad_() for k in range(2))
    found = concat_elu_of_sum(x, other, (1, 1, 1, 0))
    expected = reference(x + other, padding=(1, 1, 1, 0))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    pairs = (gradients(found, x, other), gradients(expected, x, other))
    torch.testing.assert_close(*pairs, rtol=1e-12, atol=1e-14)
    halves = (3.0 * normal(3, 2 * channels, 2, 5, seed=2)).requires_grad_()
    found, expected = gated_residual(x, halves), reference_gate(x, halves)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    pairs = (gradients(found, x, halves), gradients(expected, x, halves))
    torch.testing.assert_close(*pairs, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("_either_path")
def test_gradcheck() -> None:
    x, other = ((2.0 * normal(2, 2, 2, 3, seed=k)).requires_grad_() for k in range(2))
    halves = normal(2, 4, 2, 3, seed=2).requires_grad_()
    gradcheck = torch.autograd.gradcheck
    assert gradcheck(lambda x, y: concat_elu(x, y, padding=(1, 1, 1, 0)), (x, other))
    assert gradcheck(lambda x, y: concat_elu_of_sum(x, y, (1, 0, 1, 0)), (x, other))
    assert gradcheck(gated_residual, (x, halves))


@pytest.mark.usefixtures("_either_path")
def test_inputs_are_left_alone_and_a_batch_may_be_empty() -> None:
    x, halves = normal(1, 2, 2, 2), normal(1, 4, 2, 2)
    before = x.clone(), halves.clone()
    concat_elu(x)
    concat_elu_of_sum(x, x)
    gated_residual(x, halves)
    assert torch.equal(x, before[0])
    assert torch.equal(halves, before[1])
    assert concat_elu(x[:0], padding=(1, 1, 1, 0)).shape == (0, 4, 3, 4)
    assert gated_residual(x[:0], halves[:0]).shape == (0, 2, 2, 2)


MAGNITUDES = torch.logspace(-8, 1, 400, dtype=torch.float64)
NEAR_ZERO = torch.cat([-MAGNITUDES.flip(0), MAGNITUDES])[None, :, None, None]


@pytest.mark.usefixtures("_either_path")
def test_single_precision() -> None:
    """As exact as an activation needs: to a unit in the last place of 1."""
    x = NEAR_ZERO.float()
    torch.testing.assert_close(
        concat_elu(x).double(), reference(x.double()), rtol=1e-6, atol=1.2e-7
    )
    halves = torch.cat([torch.ones_like(x), x], dim=1)
    expected = reference_gate(x.double(), halves.double())
    torch.testing.assert_close(gated_residual(x, halves).double(), expected, rtol=1e-6, atol=1.2e-7)


@pytest.mark.usefixtures("_either_path")
def test_bfloat16() -> None:
    """As exact as bfloat16 can be for arguments of a trained network's size, and finite always."""
    x = NEAR_ZERO[:, NEAR_ZERO.flatten().abs() > 1e-4].bfloat16()
    found = concat_elu(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), reference(x.double()), rtol=2.0**-8, atol=1e-6)
    extreme = torch.tensor([-1e30, 1e30]).bfloat16()[None, :, None, None]
    large = float(extreme[0, 1])
    assert concat_elu(extreme).flatten().tolist() == [-1.0, large, large, -1.0]


def test_bfloat16_rounds_once_to_nearest_even() -> None:
    """x + 2 a sigmoid(0) is x + a exactly, of which only the last step is rounded."""
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(0, 1 << 16, (1, 4096, 3, 1), generator=generator)
    x = bits.to(torch.uint16).view(torch.bfloat16)
    x = torch.where(x.isfinite(), x, torch.zeros_like(x))
    a = x.roll(1, dims=1) * 0.25
    found = gated_residual(x, torch.cat([2.0 * a, torch.zeros_like(a)], dim=1))
    assert torch.equal(found, (x.float() + a.float()).bfloat16())


@pytest.mark.usefixtures("_either_path")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_not_a_number_comes_through(dtype: torch.dtype) -> None:
    """Else a diverged network would go on with numbers."""
    x = torch.zeros(1, 33, 1, 1, dtype=dtype)
    for channel in (0, 32):  # within a vector, and in the rest
        bad = x.clone()
        bad[0, channel] = float("nan")
        out = concat_elu(bad).flatten()
        assert out.isnan().nonzero().flatten().tolist() == [channel, 33 + channel]
        zeros = torch.zeros(1, 66, 1, 1, dtype=dtype)
        for halves in (torch.cat([bad, x], dim=1), torch.cat([x, bad], dim=1)):
            found = gated_residual(x, halves).flatten()
            assert found.isnan().nonzero().flatten().tolist() == [channel]
        assert bool(gated_residual(bad, zeros)[0, channel].isnan())


def test_mixed_types_are_left_to_torch() -> None:
    x, halves = normal(1, 2, 2, 2), normal(1, 4, 2, 2).float()
    found = gated_residual(x, halves)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, reference_gate(x, halves))


def test_a_second_derivative_is_refused() -> None:
    """Rather than be wrong: nothing here takes one."""
    x = normal(1, 2, 2, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(concat_elu(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = load_fused()
    assert fused is not None
    x, other = (normal(7, 5, 3, 4, seed=k).requires_grad_() for k in range(2))
    halves = normal(7, 10, 3, 4, seed=2).requires_grad_()

    def results() -> list[Tensor]:
        y = concat_elu_of_sum(x, other, (1, 1, 1, 0))
        z, w = concat_elu(x, other), gated_residual(x, halves)
        return [y, z, w, *gradients(y, x), *gradients(z, x, other), *gradients(w, halves)]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = results()
        monkeypatch.setattr(fused, "SMALLEST_SHARE", 1)
        torch.set_num_threads(3)
        assert all(map(torch.equal, alone, results()))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("stages", [1, 3])
def test_a_network_in_single_precision_is_the_same_without_loops(
    stages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss, and gradients of the parameters and of the input, which a student's update needs."""
    torch.manual_seed(0)
    teacher = randomise(PixelCNNConfig(channels=18, stages=stages).build((1, 8, 8))).float()
    x = normal(5, 1, 8, 8, seed=3).float().requires_grad_()
    wanted = [x, *teacher.parameters()]

    def step() -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = -teacher.log_prob(x).mean()
        return loss.detach(), torch.autograd.grad(loss, wanted)

    loss, found = step()
    without_loops(monkeypatch)
    expected_loss, expected = step()
    torch.testing.assert_close(loss, expected_loss, rtol=1e-6, atol=0.0)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6 * float(b.abs().max()))


def test_a_network_in_double_precision_is_the_same_without_loops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    teacher, x = tiny_teacher(stages=3), normal(3, 1, 8, 8)
    found = teacher.log_prob(x)
    without_loops(monkeypatch)
    torch.testing.assert_close(found, teacher.log_prob(x), rtol=1e-13, atol=0.0)


def test_the_operators_keep_what_the_compiler_is_told() -> None:
    """Shapes and strides without data, gradients, no hidden writes: torch's own check."""
    assert load_fused() is not None
    operators = torch.ops.raydistill
    x, other = (normal(2, 3, 4, 4, seed=k).requires_grad_() for k in range(2))
    halves = normal(2, 6, 4, 4, seed=2).requires_grad_()
    for add in (False, True):
        torch.library.opcheck(operators.concat_elu.default, ([x, other], [1, 1, 1, 0], add))
    torch.library.opcheck(operators.gated_residual.default, (x, halves))
    direct = operators.concat_elu([x, other], [1, 1, 1, 0], True)
    assert torch.equal(direct, concat_elu_of_sum(x, other, (1, 1, 1, 0)))
    pairs = (
        gradients(direct, x, other),
        gradients(reference(x + other, padding=(1, 1, 1, 0)), x, other),
    )
    torch.testing.assert_close(*pairs)


def test_numba_is_imported_when_first_needed() -> None:
    code = "import sys, raydistill.teachers.pixelcnn; print('numba' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


class _Activations(torch.nn.Module):
    def forward(self, x: Tensor, halves: Tensor) -> Tensor:
        elus = concat_elu(x, padding=(1, 1, 1, 0)) + concat_elu_of_sum(x, x.square(), (1, 1, 1, 0))
        return elus.sum() + gated_residual(x, halves)


def test_exported_activations_are_plain_pytorch_and_take_any_batch() -> None:
    x, halves = torch.randn(4, 3, 5, 5), torch.randn(4, 6, 5, 5)
    opened = {name: {0: torch.export.Dim("batch", min=1)} for name in ("x", "halves")}
    program = torch.export.export(_Activations(), (x, halves), dynamic_shapes=opened)
    assert not [node for node in program.graph.nodes if "raydistill" in str(node.target)]
    for count in (4, 1):
        given = x[:count], halves[:count]
        expected = _Activations()(*given)
        torch.testing.assert_close(program.module()(*given), expected, rtol=1e-5, atol=1e-5)
