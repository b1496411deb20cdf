"""A categorical distribution over the levels of a pixel, as a map to continuous noise (section 4).

A pixel of level k is first dequantised, y = k + u with u ~ U(0, 1). Its distribution function is
piecewise linear,

    F(y) = C_k + u p_k,   C_k = p_0 + ... + p_{k-1},

with density p_k on [k, k + 1). So F(y) is uniform: the paper's "injecting noise proportional to the
probability per class to break ties".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from raydistill.conditionals.base import Conditional, ConditionalConfig, Noise
from raydistill.conditionals.logistic import PRIORS
from raydistill.conditionals.priors import UNIFORM, Prior
from raydistill.data.logit import SQUEEZE


@dataclass(frozen=True)
class _Place:
    """Where a dequantised pixel lies.

    Attributes:
        level: k.
        from_bottom, from_top: u and 1 - u, how far it is from both ends of the level; each has its
            digits where it is small.
    """

    level: Tensor
    from_bottom: Tensor
    from_top: Tensor


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
        logit = self.centre + self.spread * x
        place = self._place(logit)
        log_p, log_below, log_above = self._log_sums(params, place.level)
        # The very edge of the range has a code beyond all others, but a finite one.
        least = torch.finfo(x.dtype).eps ** 3
        below = torch.logaddexp(log_below, torch.log(place.from_bottom + least) + log_p)
        above = torch.logaddexp(log_above, torch.log(place.from_top + least) + log_p)
        log_odds = below - above
        mapped = self.prior.from_log_odds(log_odds)
        # dF/dy = p, and d(log-odds)/dF = 1 / (F (1 - F)).
        log_slope = log_p - F.logsigmoid(log_odds) - F.logsigmoid(-log_odds)
        return Noise(mapped.z, mapped.log_slope + log_slope + self._log_dequantised_slope(logit))

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        log_odds = self.prior.to_log_odds(z)
        upper = log_odds > 0.0
        # Both ends alike: from the nearer one, sums of few small probabilities lose few digits.
        p = F.softmax(params, dim=-1)
        p = torch.where(upper[..., None], p.flip(-1), p)
        tail = torch.sigmoid(torch.where(upper, -log_odds, log_odds))
        ends = p.cumsum(-1)
        before = (ends <= tail[..., None]).sum(-1).clamp(max=self.levels - 1)
        starts = F.pad(ends, (1, -1)).gather(-1, before[..., None])[..., 0]
        share = p.gather(-1, before[..., None])[..., 0]
        inside = ((tail - starts) / share).clamp(0.0, 1.0)
        near = (before + inside) / self.levels
        opposite = (self.levels - 1 - before + (1.0 - inside)) / self.levels
        # The logit of a place near 1 is that of its distance from 1, with the other sign.
        small = SQUEEZE + (1.0 - 2.0 * SQUEEZE) * torch.minimum(near, opposite)
        size = small.log() - torch.log1p(-small)
        logit = torch.where(upper == (near < opposite), -size, size)
        return (logit - self.centre) / self.spread

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        raise ValueError(
            "conditional: a categorical distribution over fixed levels cannot be shifted; choose "
            "gaussian, logistic_mixture or sigmoidal_flow for colour images"
        )

    def _log_sums(self, params: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log p of a level, and of the sums of all levels below it and of all above it."""
        log_p = F.log_softmax(params, dim=-1)
        p, at = log_p.exp(), level[..., None]
        levels = torch.arange(self.levels, device=params.device)
        below = p.masked_fill(levels >= at, 0.0).sum(-1)
        above = p.masked_fill(levels <= at, 0.0).sum(-1)
        return log_p.gather(-1, at)[..., 0], _log_of_sum(below), _log_of_sum(above)

    def _place(self, logit: Tensor) -> _Place:
        """Where a logit lies among the levels, from the end of the pixel range that is nearer."""
        upper = logit > 0.0
        tail = torch.sigmoid(torch.where(upper, -logit, logit))
        y = self.levels * (tail - SQUEEZE) / (1.0 - 2.0 * SQUEEZE)
        before = y.detach().floor().clamp(0, self.levels - 1)
        # Not by clamp(), which has no derivative at a bound itself: the ends of levels.
        inside = torch.where(y < 0.0, 0.0, y - before)
        rest = 1.0 - inside
        level = torch.where(upper, self.levels - 1 - before, before).long()
        from_bottom = torch.where(upper, rest, inside)
        return _Place(level, from_bottom, torch.where(upper, inside, rest))

    def _log_dequantised_slope(self, logit: Tensor) -> Tensor:
        """log dy/dx of y in [0, levels) in the standardised x, in nats, by the logit of x."""
        slope = math.log(self.levels * self.spread / (1.0 - 2.0 * SQUEEZE))
        return slope + F.logsigmoid(logit) + F.logsigmoid(-logit)


def _log_of_sum(total: Tensor) -> Tensor:
    """The logarithm; of nothing, a number so small that it adds nothing, but has derivatives."""
    least = torch.finfo(total.dtype).tiny
    nothing = 0.1 * torch.finfo(total.dtype).min
    return torch.where(total < least, nothing, total.clamp(min=least).log())


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
