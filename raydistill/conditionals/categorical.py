"""Categorical pixels through their distribution function, ties broken by noise (section 4).

A pixel of level k, dequantised to y = k + u with u ~ U(0, 1), goes to C_k + u p_k, where p are the
probabilities of the levels and C their sums below: uniform noise, "by injecting noise proportional
to the probability per class to break ties". The density of y is p_k on [k, k + 1).
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
    """Levels of a dequantised pixel in logits: x = logit(y / levels), as the data are given.

    Args:
        levels: L; parameters are L unnormalised log-probabilities.
        prior: what z is drawn from.
        centre, spread: x is `centre + spread * value` of the standardised values that this sees.
    """

    def __init__(
        self, levels: int, prior: Prior = UNIFORM, centre: float = 0.0, spread: float = 1.0
    ) -> None:
        self.levels, self.num_params, self.prior = levels, levels, prior
        self.centre, self.spread = centre, spread

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        place = self._place(x)
        level = place.floor().clamp(0, self.levels - 1)
        inside = (place - level).clamp(0.0, 1.0)
        log_p, below, above = self._sums(params, level.long())
        share = log_p.exp()
        log_odds = torch.log(below + inside * share) - torch.log(above + (1.0 - inside) * share)
        mapped = self.prior.from_log_odds(log_odds)
        # d log-odds / dF = 1 / (F (1 - F)).
        log_slope = log_p - F.logsigmoid(log_odds) - F.logsigmoid(-log_odds)
        return Noise(mapped.z, mapped.log_slope + log_slope + self._log_place_slope(x))

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        log_odds = self.prior.to_log_odds(z)
        below, above = torch.sigmoid(log_odds), torch.sigmoid(-log_odds)
        log_p = F.log_softmax(params, dim=-1)
        p = log_p.exp()
        rising = p.cumsum(-1)
        level = (rising <= below[..., None]).sum(-1).clamp(max=self.levels - 1)
        own, under, over = self._sums(params, level)
        share = own.exp()
        # From the nearer end, where the sum has lost fewer digits.
        from_below = (below - under) / share
        from_above = 1.0 - (above - over) / share
        inside = torch.where(below < 0.5, from_below, from_above).clamp(0.0, 1.0)
        unit = (level + inside) / self.levels
        return (torch.logit(SQUEEZE + (1.0 - 2.0 * SQUEEZE) * unit) - self.centre) / self.spread

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        raise ValueError("a categorical conditional has its levels where they are")

    def _sums(self, params: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log p of a level, and the probabilities of all levels below and above it."""
        log_p = F.log_softmax(params, dim=-1)
        p = log_p.exp()
        at = level[..., None]
        below = F.pad(p.cumsum(-1), (1, 0))[..., :-1].gather(-1, at)
        above = F.pad(p.flip(-1).cumsum(-1).flip(-1), (0, 1))[..., 1:].gather(-1, at)
        return log_p.gather(-1, at)[..., 0], below[..., 0], above[..., 0]

    def _place(self, x: Tensor) -> Tensor:
        """y in [0, levels) of a standardised value."""
        unit = (torch.sigmoid(self.centre + self.spread * x) - SQUEEZE) / (1.0 - 2.0 * SQUEEZE)
        return self.levels * unit

    def _log_place_slope(self, x: Tensor) -> Tensor:
        logit = self.centre + self.spread * x
        slope = math.log(self.levels * self.spread / (1.0 - 2.0 * SQUEEZE))
        return slope + F.logsigmoid(logit) + F.logsigmoid(-logit)


class CategoricalConfig(ConditionalConfig):
    """See `CategoricalConditional`; give the data's own number of levels."""

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
