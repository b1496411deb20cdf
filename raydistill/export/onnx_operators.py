"""Operators of PyTorch that its ONNX exporter lacks, or lacks for sequences of any length."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

from raydistill.export.recurrent import STAND_IN

OPSET = 20
"""Version of ONNX's operators: known to onnxruntime from 1.17 on."""

# Cephes' ndtri (S. L. Moshier), which PyTorch uses too: rational approximations of the inverse of
# the standard normal distribution function, highest power first. Around 1/2, then for
# sqrt(-2 log p) below 8 and above.
MIDDLE = (
    (
        -5.99633501014107895267e1,
        9.80010754185999661536e1,
        -5.66762857469070293439e1,
        1.39312609387279679503e1,
        -1.23916583867381258016e0,
    ),
    (
        1.0,
        1.95448858338141759834e0,
        4.67627912898881538453e0,
        8.63602421390890590575e1,
        -2.25462687854119370527e2,
        2.00260212380060660359e2,
        -8.20372256168333339912e1,
        1.59056225126211695515e1,
        -1.18331621121330003142e0,
    ),
)
NEAR = (
    (
        4.05544892305962419923e0,
        3.15251094599893866154e1,
        5.71628192246421288162e1,
        4.40805073893200834700e1,
        1.46849561928858024014e1,
        2.18663306850790267539e0,
        -1.40256079171354495875e-1,
        -3.50424626827848203418e-2,
        -8.57456785154685413611e-4,
    ),
    (
        1.0,
        1.57799883256466749731e1,
        4.53907635128879210584e1,
        4.13172038254672030440e1,
        1.50425385692907503408e1,
        2.50464946208309415979e0,
        -1.42182922854787788574e-1,
        -3.80806407691578277194e-2,
        -9.33259480895457427372e-4,
    ),
)
FAR = (
    (
        3.23774891776946035970e0,
        6.91522889068984211695e0,
        3.93881025292474443415e0,
        1.33303460815807542389e0,
        2.01485389549179081538e-1,
        1.23716634817820021358e-2,
        3.01581553508235416007e-4,
        2.65806974686737550832e-6,
        6.23974539184983293730e-9,
    ),
    (
        1.0,
        6.02427039364742014255e0,
        3.67983563856160859403e0,
        1.37702099489081330271e0,
        2.16236993594496635890e-1,
        1.34204006088543189037e-2,
        3.28014464682127739104e-4,
        2.89247864745380683936e-6,
        6.79019408009981274425e-9,
    ),
)
EXP_MINUS_2, ROOT_2_PI = 0.13533528323661269189, 2.50662827463100050242


def translations() -> dict[Any, Callable[..., Any]]:
    """What `torch.onnx.export` takes as `custom_translation_table`."""
    from onnxscript.function_libs.torch_lib.ops.core import aten_gru

    return {
        STAND_IN: aten_gru,
        torch.ops.aten.special_ndtri.default: ndtri,
        torch.ops.prims.ndtri.default: ndtri,
        torch.ops.aten.copysign.Tensor: copysign,
        torch.ops.aten.sigmoid.default: sigmoid,
        torch.ops.aten.log_sigmoid.default: log_sigmoid,
        torch.ops.aten.log1p.default: log1p,
    }


def ndtri(p: Any) -> Any:
    """z with P(N(0, 1) <= z) = p, of the shape and type of p, in ONNX's operators."""
    op: Any = importlib.import_module("onnxscript").opset20

    def constant(value: float) -> Any:
        return _constant(op, value, p)

    def ratio(coefficients: tuple[tuple[float, ...], ...], x: Any) -> Any:
        above, below = (_polynomial(op, constant, row, x) for row in coefficients)
        return op.Div(above, below)

    one, half, two = constant(1.0), constant(0.5), constant(2.0)
    upper = op.Greater(p, constant(1.0 - EXP_MINUS_2))
    tail = op.Where(upper, op.Sub(one, p), p)
    # Around 1/2.
    offset = op.Sub(p, half)
    square = op.Mul(offset, offset)
    around = op.Add(offset, op.Mul(offset, op.Mul(square, ratio(MIDDLE, square))))
    around = op.Mul(around, constant(ROOT_2_PI))
    # In a tail; what is not in one is computed too, and not taken.
    x = op.Sqrt(op.Neg(op.Mul(two, op.Log(tail))))
    inverse = op.Div(one, x)
    near = op.Less(x, constant(8.0))
    correction = op.Where(near, ratio(NEAR, inverse), ratio(FAR, inverse))
    size = op.Sub(op.Sub(x, op.Div(op.Log(x), x)), op.Mul(inverse, correction))
    outside = op.Where(upper, size, op.Neg(size))
    return op.Where(op.Greater(tail, constant(EXP_MINUS_2)), around, outside)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), in ONNX's operators.

    Runtimes approximate their own `Sigmoid` to so many digits of 1, and give 1e-8 for all x far
    below 0. Conditionals need the digits of its small values: these are tail probabilities.
    """
    op: Any = importlib.import_module("onnxscript").opset20
    return op.Reciprocal(op.Add(_constant(op, 1.0, x), op.Exp(op.Neg(x))))


def log_sigmoid(x: Any) -> Any:
    """min(x, 0) - log(1 + exp(-|x|)), in ONNX's operators.

    The exporter's own takes the logarithm of `Sigmoid`, which ends at log(1e-8).
    """
    op: Any = importlib.import_module("onnxscript").opset20
    return op.Sub(op.Min(x, _constant(op, 0.0, x)), log1p(op.Exp(op.Neg(op.Abs(x)))))


def log1p(x: Any) -> Any:
    """log(1 + x) with all digits for small x, in ONNX's operators, which have none.

    With y the rounded 1 + x, log(y) x / (y - 1) makes up for the rounding (W. Kahan).
    """
    op: Any = importlib.import_module("onnxscript").opset20
    one = _constant(op, 1.0, x)
    y = op.Add(x, one)
    step = op.Sub(y, one)
    lost = op.Equal(step, _constant(op, 0.0, x))
    return op.Where(lost, x, op.Div(op.Mul(op.Log(y), x), op.Where(lost, one, step)))


def copysign(size: Any, sign: Any) -> Any:
    """|size| with the sign of `sign`, that of zero included, in ONNX's operators."""
    op: Any = importlib.import_module("onnxscript").opset20
    zero, one = _constant(op, 0.0, sign), _constant(op, 1.0, sign)
    minus_zero = op.And(op.Equal(sign, zero), op.Less(op.Div(one, sign), zero))
    negative, size = op.Or(op.Less(sign, zero), minus_zero), op.Abs(size)
    return op.Where(negative, op.Neg(size), size)


def _constant(op: Any, value: float, like: Any) -> Any:
    """A number in the type of a tensor."""
    return op.CastLike(op.Constant(value_float=value), like)


def _polynomial(op: Any, constant: Callable[[float], Any], row: tuple[float, ...], x: Any) -> Any:
    """Horner's scheme, highest power first."""
    value = constant(row[0])
    for coefficient in row[1:]:
        value = op.Add(op.Mul(value, x), constant(coefficient))
    return value
