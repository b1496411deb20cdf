"""Mixtures of logistics: through their distribution function to uniform or normal noise.

With z uniform it is section 4's map "from mixture of logistics to uniform"; a normal z is the same
through another quantile function. With z the log-odds themselves, taken for normal, it is the
one-layer sigmoidal flow of neural autoregressive flows (Huang et al., 2018a, section 3.1): a neural
monotone map.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from raydistill.conditionals.base import Conditional, ConditionalConfig, Noise
from raydistill.conditionals.inversion import Slope, invert_increasing
from raydistill.conditionals.priors import NORMAL, UNIFORM, Prior

PRIORS = {"normal": NORMAL, "uniform": UNIFORM}


class _LogisticMixture:
    """Log-odds of the distribution function of a mixture of K logistics.

    Args:
        components: K; parameters are K log-weights (unnormalised), K means and K log-scales.
        min_log_scale: bounds the log-scales from below, as for a Gaussian.
    """

    def __init__(self, components: int, min_log_scale: float) -> None:
        self.components, self.min_log_scale = components, min_log_scale

    def split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised log-weights, means and bounded log-scales, (..., K) each."""
        weights, means, log_scales = params.split(self.components, dim=-1)
        return F.log_softmax(weights, dim=-1), means, log_scales.clamp(min=self.min_log_scale)

    def log_odds(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds at x and the log of their derivative, both of the shape of x."""
        log_weights, means, log_scales = self.split(params)
        scaled = (x[..., None] - means) * torch.exp(-log_scales)
        left, right = F.logsigmoid(scaled), F.logsigmoid(-scaled)
        below = torch.logsumexp(log_weights + left, dim=-1)
        above = torch.logsumexp(log_weights + right, dim=-1)
        density = torch.logsumexp(log_weights + left + right - log_scales, dim=-1)
        return below - above, density - below - above

    def invert(self, log_odds: Tensor, params: Tensor) -> Tensor:
        """The x at which the distribution function has these log-odds."""
        _, means, log_scales = self.split(params)
        # The quantile of a mixture lies between those of its components.
        quantiles = means + torch.exp(log_scales) * log_odds[..., None]
        low, high = quantiles.amin(-1), quantiles.amax(-1)

        def function(x: Tensor) -> Slope:
            value, log_slope = self.log_odds(x, params)
            return Slope(value, log_slope.exp())

        return invert_increasing(function, log_odds, low, high)

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        """All means moved by `by`."""
        weights, means, log_scales = params.split(self.components, dim=-1)
        return torch.cat([weights, means + by[..., None], log_scales], dim=-1)

    def initial_params(self, apart: float, scale: float) -> Tensor:
        """Equal weights and scales, means at the quantiles of a logistic, set apart by a factor.

        Components that start alike would stay alike: their gradients are the same.
        """
        count = self.components
        places = apart * torch.logit((torch.arange(count) + 0.5) / count)
        log_scales = torch.full((count,), math.log(scale))
        return torch.cat([torch.zeros(count), places, log_scales])


class LogisticMixtureConditional(Conditional):
    """F(x) = sum_k weight_k sigmoid((x - mean_k) / scale_k), and z its quantile of the prior.

    Args:
        components: K.
        prior: what z is drawn from.
        min_log_scale: see `_LogisticMixture`.
    """

    def __init__(
        self, components: int = 5, prior: Prior = NORMAL, min_log_scale: float = -7.0
    ) -> None:
        self.mixture = _LogisticMixture(components, min_log_scale)
        self.num_params, self.prior = 3 * components, prior

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        log_odds, log_slope = self.mixture.log_odds(x, params)
        mapped = self.prior.from_log_odds(log_odds)
        return Noise(mapped.z, mapped.log_slope + log_slope)

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        return self.mixture.invert(self.prior.to_log_odds(z), params)

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        return self.mixture.shift(params, by)

    def initial_params(self) -> Tensor:
        # A logistic of this scale has deviation 1; its parts are narrower, for they are apart.
        unit = math.sqrt(3.0) / math.pi
        return self.mixture.initial_params(unit, unit / math.sqrt(self.mixture.components))


class LogisticMixtureConfig(ConditionalConfig):
    """See `LogisticMixtureConditional`."""

    kind: Literal["logistic_mixture"] = "logistic_mixture"
    components: int = Field(default=5, ge=1, le=100)
    prior: Literal["normal", "uniform"] = "normal"
    min_log_scale: float = Field(default=-7.0, ge=-30.0, le=0.0)

    @property
    def normal_prior(self) -> bool:
        return self.prior == "normal"

    def build(self, *, centre: float = 0.0, spread: float = 1.0) -> LogisticMixtureConditional:
        return LogisticMixtureConditional(self.components, PRIORS[self.prior], self.min_log_scale)


class SigmoidalFlowConditional(Conditional):
    """z = logit(sum_k weight_k sigmoid((x - mean_k) / scale_k)), with z ~ N(0, 1).

    Args:
        units: K hidden sigmoids.
        min_log_scale: see `_LogisticMixture`.
    """

    def __init__(self, units: int = 5, min_log_scale: float = -7.0) -> None:
        self.mixture = _LogisticMixture(units, min_log_scale)
        self.num_params = 3 * units

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        return Noise(*self.mixture.log_odds(x, params))

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        return self.mixture.invert(z, params)

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        return self.mixture.shift(params, by)

    def initial_params(self) -> Tensor:
        # Units that nearly agree make nearly the identity, and x has deviation 1.
        return self.mixture.initial_params(0.3, 1.0)


class SigmoidalFlowConfig(ConditionalConfig):
    """See `SigmoidalFlowConditional`."""

    kind: Literal["sigmoidal_flow"] = "sigmoidal_flow"
    units: int = Field(default=5, ge=1, le=100)
    min_log_scale: float = Field(default=-7.0, ge=-30.0, le=0.0)

    def build(self, *, centre: float = 0.0, spread: float = 1.0) -> SigmoidalFlowConditional:
        return SigmoidalFlowConditional(self.units, self.min_log_scale)
