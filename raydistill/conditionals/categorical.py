"""A categorical distribution over the levels of a pixel, as a map to continuous noise (section 4).

A pixel of level k is first dequantised, y = k + u with u ~ U(0, 1). Its distribution function is
piecewise linear,

    F(y) = C_k + u p_k,   C_k = p_0 + ... + p_{k-1},

with density p_k on [k, k + 1). So F(y) is uniform: the paper's "injecting noise proportional to the
probability per class to break ties".
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from raydistill.conditionals.base import Conditional, ConditionalConfig, Noise
from raydistill.conditionals.logistic import PRIORS
from raydistill.conditionals.priors import UNIFORM, Prior
from raydistill.data.logit import SQUEEZE


class CategoricalConditional(Conditional):
    """A categorical distribution over L levels, for pixels given as logits, x = logit(y / L).

    The L parameters are unnormalised log-probabilities. The data set squeezes y / L slightly into
    (0, 1) before the logit (`raydistill.data.logit.SQUEEZE`), and the teacher standardises the
    logits; both are undone here to find the level.

    Args:
        levels: L.
        prior: the distribution of z.
        centre, spread: mean and standard deviation by which the logits were standardised.

    Example:
        >>> import torch
        >>> from raydistill.conditionals.categorical import CategoricalConditional
        >>> conditional = CategoricalConditional(levels=4)
        >>> conditional
        CategoricalConditional(levels=4, prior=U(0, 1))
        >>> x, params = torch.tensor([0.0]), torch.zeros(1, 4)  # equal probabilities
        >>> conditional.to_noise(x, params).z  # the middle of the four levels
        tensor([0.5000])
    """

    def __init__(
        self, levels: int, prior: Prior = UNIFORM, centre: float = 0.0, spread: float = 1.0
    ) -> None:
        self.levels, self.num_params, self.prior = levels, levels, prior
        self.centre, self.spread = centre, spread

    def __repr__(self) -> str:
        return f"{type(self).__name__}(levels={self.levels}, prior={self.prior})"

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        y = self._dequantised(x)
        level = y.floor().clamp(0, self.levels - 1)
        u = (y - level).clamp(0.0, 1.0)
        log_p, below, above = self._sums(params, level.long())
        p = log_p.exp()
        log_odds = torch.log(below + u * p) - torch.log(above + (1.0 - u) * p)
        mapped = self.prior.from_log_odds(log_odds)
        # dF/dy = p, and d(log-odds)/dF = 1 / (F (1 - F)).
        log_slope = log_p - F.logsigmoid(log_odds) - F.logsigmoid(-log_odds)
        return Noise(mapped.z, mapped.log_slope + log_slope + self._log_dequantised_slope(x))

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        log_odds = self.prior.to_log_odds(z)
        below, above = torch.sigmoid(log_odds), torch.sigmoid(-log_odds)
        log_p = F.log_softmax(params, dim=-1)
        cumulative = log_p.exp().cumsum(-1)
        level = (cumulative <= below[..., None]).sum(-1).clamp(max=self.levels - 1)
        log_p_level, sum_below, sum_above = self._sums(params, level)
        p = log_p_level.exp()
        # u = (F - C_k) / p_k, computed from whichever end of [0, 1] F is nearer to: sums of few
        # small probabilities have lost fewer digits.
        from_below = (below - sum_below) / p
        from_above = 1.0 - (above - sum_above) / p
        u = torch.where(below < 0.5, from_below, from_above).clamp(0.0, 1.0)
        unit = (level + u) / self.levels
        return (torch.logit(SQUEEZE + (1.0 - 2.0 * SQUEEZE) * unit) - self.centre) / self.spread

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        raise ValueError(
            "conditional: a categorical distribution over fixed levels cannot be shifted; choose "
            "gaussian, logistic_mixture or sigmoidal_flow for colour images"
        )

    def _sums(self, params: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log p of a level, and the summed probabilities of all levels below and above it."""
        log_p = F.log_softmax(params, dim=-1)
        p = log_p.exp()
        at = level[..., None]
        below = F.pad(p.cumsum(-1), (1, 0))[..., :-1].gather(-1, at)
        above = F.pad(p.flip(-1).cumsum(-1).flip(-1), (0, 1))[..., 1:].gather(-1, at)
        return log_p.gather(-1, at)[..., 0], below[..., 0], above[..., 0]

    def _dequantised(self, x: Tensor) -> Tensor:
        """y in [0, levels) of a standardised logit x."""
        unit = (torch.sigmoid(self.centre + self.spread * x) - SQUEEZE) / (1.0 - 2.0 * SQUEEZE)
        return self.levels * unit

    def _log_dequantised_slope(self, x: Tensor) -> Tensor:
        """log dy/dx of `_dequantised`, in nats."""
        logit = self.centre + self.spread * x
        slope = math.log(self.levels * self.spread / (1.0 - 2.0 * SQUEEZE))
        return slope + F.logsigmoid(logit) + F.logsigmoid(-logit)


class CategoricalConfig(ConditionalConfig):
    """Configuration of a `CategoricalConditional`.

    Attributes:
        levels: the number of levels of the data set's pixels, 256 for most.
        prior: the distribution of z.

    Example:
        >>> from raydistill.conditionals.categorical import CategoricalConfig
        >>> CategoricalConfig(levels=256).build()
        CategoricalConditional(levels=256, prior=N(0, 1))
    """

    kind: Literal["categorical"] = "categorical"
    levels: int = Field(ge=2, le=1024)
    prior: Literal["normal", "uniform"] = "normal"

    @property
    def normal_prior(self) -> bool:
        return self.prior == "normal"

    @property
    def movable(self) -> bool:
        return False

    def build(self, *, centre: float = 0.0, spread: float = 1.0) -> CategoricalConditional:
        return CategoricalConditional(self.levels, PRIORS[self.prior], centre, spread)
