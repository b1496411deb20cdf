"""The quantile of N(0, 1) at a probability given as log-odds, at any distance from the centre.

With Q(t) = P(N(0, 1) > t) and phi its density, Mills' ratio is M(t) = Q(t) / phi(t), so that

    -log Q(t) = t^2 / 2 + log(2 pi) / 2 - log M(t).

Near the centre the quantile is torch's `ndtri` of the smaller tail probability. Far out, where that
probability underflows, it is solved for from this equation: t M(t) goes to 1, and is a quotient of
polynomials in 1 / t^2 to rounding.

Reference:
    Laplace's continued fraction of Mills' ratio, Abramowitz and Stegun, "Handbook of Mathematical
    Functions", 26.2.14.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_TWO_PI = math.log(2.0 * math.pi)
FAR = {torch.float32: 20.0, torch.float64: 300.0}
"""Log-odds from which on `_far` is exact to rounding, by precision."""


class NormalQuantile(torch.autograd.Function):
    """(z, log dz/dl) for log-odds l, elementwise: log P(N(0, 1) < z) - log P(N(0, 1) > z) = l.

    The derivatives are written down, since those of the steps that lead here would overflow.

    Example:
        >>> import torch
        >>> from raydistill.conditionals.normal_quantile import NormalQuantile
        >>> z, log_slope = NormalQuantile.apply(torch.tensor([0.0, -30.0, 1e4]))
        >>> z
        tensor([  0.0000,  -7.3..., 141.3...])
        >>> log_slope
        tensor([-0.4..., -2.0..., -4.9...])
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(log_odds: Tensor) -> tuple[Tensor, Tensor]:
        size, bound = log_odds.abs(), FAR.get(log_odds.dtype, 20.0)
        near = size.clamp(max=bound)
        # |z| from the smaller of the two tail probabilities: it is near 0, where floating point
        # has its digits, while the larger one rounds to 1.
        z = -torch.special.ndtri(torch.sigmoid(-near))
        # The slope is F (1 - F) / phi(z), where F and 1 - F are the two tail probabilities.
        log_slope = F.logsigmoid(near) - near + F.logsigmoid(near) + 0.5 * (z * z + LOG_TWO_PI)
        # Infinite log-odds have the quantile of the largest numbers.
        far, log_mills = _far(size.clamp(min=bound, max=0.1 * torch.finfo(size.dtype).max))
        outside = size > bound
        z = torch.copysign(torch.where(outside, far, z), log_odds)
        return z, torch.where(outside, log_mills, log_slope)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def backward(ctx: Any, grad_z: Tensor, grad_log_slope: Tensor) -> Tensor:
        log_odds, z, log_slope = ctx.saved_tensors
        slope = log_slope.exp()
        # The logarithm of F (1 - F) changes by 1 - 2 F, that of 1 / phi(z) by z for each z.
        bend = torch.sigmoid(-log_odds) - torch.sigmoid(log_odds) + z * slope
        gradient: Tensor = grad_z * slope + grad_log_slope * bend
        return gradient


def _far(log_odds: Tensor) -> tuple[Tensor, Tensor]:
    """t with Q(t) = exp(-log_odds), which is Q(t) / (1 - Q(t)) to rounding, and log M(t).

    The square of t solves u + log u - 2 log(t M(t)) = L, with L = 2 log_odds - log(2 pi). From the
    first terms of its expansion in L, one step of Newton's iteration reaches rounding.
    """
    right = 2.0 * log_odds - LOG_TWO_PI
    square = right - torch.log(right - right.log())
    square = square - 2.0 / square
    gap = square + square.log() - 2.0 * _scaled_mills(square).log() - right
    square = square - gap * square / (square + 1.0 - 2.0 / square)
    return square.sqrt(), _scaled_mills(square).log() - 0.5 * square.log()


def _scaled_mills(square: Tensor) -> Tensor:
    """t M(t) for t^2: six levels of the continued fraction 1 / (1 + w / (1 + 2 w / (1 + ...)))."""
    w = square.reciprocal()
    above = ((48.0 * w + 87.0) * w + 20.0) * w + 1.0
    below = ((105.0 * w + 105.0) * w + 21.0) * w + 1.0
    return above / below
