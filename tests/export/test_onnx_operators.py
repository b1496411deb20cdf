"""Operators that ONNX lacks, held to PyTorch's own in the tails where conditionals need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raydistill.conditionals.base import Conditional
from raydistill.conditionals.logistic import LogisticMixtureConfig, SigmoidalFlowConfig
from raydistill.export.onnx_operators import OPSET, translations

onnxruntime = pytest.importorskip("onnxruntime")


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def by_onnx(function: Callable[..., Any], path: Path, *inputs: Tensor) -> list[Tensor]:
    traced = torch.export.export(Function(function), inputs)
    model = torch.onnx.export(
        traced,
        (),
        dynamo=True,
        verbose=False,
        optimize=False,
        opset_version=OPSET,
        custom_translation_table=translations(),
    )
    assert model is not None
    model.save(path / "function.onnx")
    session = onnxruntime.InferenceSession(path / "function.onnx")
    names = [one.name for one in session.get_inputs()]
    given = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    return [torch.from_numpy(value) for value in session.run(None, given)]


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "sigmoid": (torch.sigmoid, torch.linspace(-80.0, 20.0, 501)),
    "log_sigmoid": (torch.nn.functional.logsigmoid, torch.linspace(-80.0, 15.0, 501)),
    "log1p": (torch.log1p, torch.logspace(-20.0, 3.0, 501)),
    "ndtri": (
        torch.special.ndtri,
        torch.cat([torch.logspace(-36.0, -0.5, 501), torch.linspace(0.55, 0.999, 401)]),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_keeps_its_digits(name: str, tmp_path: Path) -> None:
    function, x = FUNCTIONS[name]
    (found,) = by_onnx(function, tmp_path, x)
    torch.testing.assert_close(found.double(), function(x.double()), rtol=3e-6, atol=1e-44)


def test_the_sign_of_zero_is_copied(tmp_path: Path) -> None:
    sign = torch.tensor([0.0, -0.0, 3.0, -2.0])
    size = torch.tensor([1.0, 2.0, -3.0, -4.0])
    (found,) = by_onnx(torch.copysign, tmp_path, size, sign)
    assert found.tolist() == [1.0, -2.0, 3.0, -4.0]


@pytest.mark.parametrize(
    "config",
    [LogisticMixtureConfig(components=2), SigmoidalFlowConfig(units=2)],
    ids=lambda config: config.kind,
)
def test_codes_are_those_of_the_model_far_out(config: Any, tmp_path: Path) -> None:
    conditional: Conditional = config.build()
    x = torch.linspace(-40.0, 40.0, 201)
    params = conditional.initial_params().expand(len(x), -1).contiguous()

    def encode(x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        noise = conditional.to_noise(x, params)
        return noise.z, noise.log_derivative

    expected = encode(x, params)
    assert expected[0].max() > 10.0
    for found, value in zip(by_onnx(encode, tmp_path, x, params), expected, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-5, atol=3e-5)
