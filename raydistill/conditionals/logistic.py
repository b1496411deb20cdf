"""Mixtures of logistics, as a density and as a neural monotone map.

Both conditionals here start from the distribution function of a mixture of K logistics,

    F(x) = sum_k weight_k sigmoid((x - mean_k) / scale_k).

`LogisticMixtureConditional` maps x to z = G^-1(F(x)), G the distribution function of a uniform or
normal prior: p(x) is the mixture's density. With a uniform prior this is the map "from mixture of
logistics to uniform" of section 4. `SigmoidalFlowConditional` takes the log-odds of F(x) themselves
as z, and z as N(0, 1): the one-layer deep sigmoidal flow of neural autoregressive flows.

References:
    Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
    Likelihood and Other Modifications", arXiv:1701.05517.
    Huang et al., "Neural Autoregressive Flows", arXiv:1804.00779.
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
    """The distribution function of a mixture of K logistics, as log-odds, and its inverse.

    Args:
        components: K. The 3 K parameters are K unnormalised log-weights, K means, K log-scales.
        min_log_scale: lower bound of the log-scales.
    """

    def __init__(self, components: int, min_log_scale: float) -> None:
        self.components, self.min_log_scale = components, min_log_scale

    def split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised log-weights, means and bounded log-scales, (..., K) each."""
        weights, means, log_scales = params.split(self.components, dim=-1)
        return F.log_softmax(weights, dim=-1), means, log_scales.clamp(min=self.min_log_scale)

    def log_odds(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """log F(x) - log(1 - F(x)), and the log of its derivative in x; both of the shape of x."""
        log_weights, means, log_scales = self.split(params)
        scaled = (x[..., None] - means) * torch.exp(-log_scales)
        left, right = F.logsigmoid(scaled), F.logsigmoid(-scaled)
        below = torch.logsumexp(log_weights + left, dim=-1)
        above = torch.logsumexp(log_weights + right, dim=-1)
        density = torch.logsumexp(log_weights + left + right - log_scales, dim=-1)
        return below - above, density - below - above

    def invert(self, log_odds: Tensor, params: Tensor) -> Tensor:
        """The x at which F(x) has these log-odds, by `invert_increasing`."""
        _, means, log_scales = self.split(params)
        # A quantile of the mixture lies between the smallest and the largest of the same quantiles
        # of its components, which brackets the solution.
        quantiles = means + torch.exp(log_scales) * log_odds[..., None]
        low, high = quantiles.amin(-1), quantiles.amax(-1)

        def function(x: Tensor) -> Slope:
            value, log_slope = self.log_odds(x, params)
            return Slope(value, log_slope.exp())

        return invert_increasing(function, log_odds, low, high)

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        """Parameters of x + by: all K means move by the same amount."""
        weights, means, log_scales = params.split(self.components, dim=-1)
        return torch.cat([weights, means + by[..., None], log_scales], dim=-1)

    def initial_params(self, apart: float, scale: float) -> Tensor:
        """Equal weights and scales, and means spread over the quantiles of a logistic.

        Components with equal means would have equal gradients, and so stay equal for ever.

        Args:
            apart: scale of the logistic whose quantiles the means are.
            scale: of every component.
        """
        count = self.components
        places = apart * torch.logit((torch.arange(count) + 0.5) / count)
        log_scales = torch.full((count,), math.log(scale))
        return torch.cat([torch.zeros(count), places, log_scales])


class LogisticMixtureConditional(Conditional):
    """A mixture of K logistics: z = G^-1(F(x)) with F(x) = sum_k w_k sigmoid((x - m_k) / s_k).

    The 3 K parameters are K unnormalised log-weights, K means m_k and K log-scales log s_k.

    Args:
        components: K.
        prior: the distribution of z, with distribution function G.
        min_log_scale: lower bound of log s_k.

    Example:
        >>> import torch
        >>> from raydistill.conditionals.logistic import LogisticMixtureConditional
        >>> conditional = LogisticMixtureConditional(components=2)
        >>> conditional
        LogisticMixtureConditional(components=2, prior=N(0, 1), min_log_scale=-7.0)
        >>> x, params = torch.tensor([0.5, -1.0]), conditional.initial_params().expand(2, -1)
        >>> params.shape
        torch.Size([2, 6])
        >>> z = conditional.to_noise(x, params).z
        >>> torch.allclose(conditional.from_noise(z, params), x, atol=1e-5)
        True

    Reference:
        Salimans et al., "PixelCNN++", arXiv:1701.05517, section 2.1; there with discretised pixels.
    """

    def __init__(
        self, components: int = 5, prior: Prior = NORMAL, min_log_scale: float = -7.0
    ) -> None:
        self.mixture = _LogisticMixture(components, min_log_scale)
        self.num_params, self.prior = 3 * components, prior

    def __repr__(self) -> str:
        sizes = f"components={self.mixture.components}, prior={self.prior}"
        return f"{type(self).__name__}({sizes}, min_log_scale={self.mixture.min_log_scale})"

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        log_odds, log_slope = self.mixture.log_odds(x, params)
        mapped = self.prior.from_log_odds(log_odds)
        return Noise(mapped.z, mapped.log_slope + log_slope)

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        return self.mixture.invert(self.prior.to_log_odds(z), params)

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        return self.mixture.shift(params, by)

    def initial_params(self) -> Tensor:
        # A logistic of scale `unit` has standard deviation 1. The components have spread-out means
        # and are narrower, so that the mixture as a whole has a standard deviation near 1.
        unit = math.sqrt(3.0) / math.pi
        return self.mixture.initial_params(unit, unit / math.sqrt(self.mixture.components))


class LogisticMixtureConfig(ConditionalConfig):
    """Configuration of a `LogisticMixtureConditional`, with the same fields.

    Example:
        >>> from raydistill.conditionals.logistic import LogisticMixtureConfig
        >>> LogisticMixtureConfig(components=3, prior="uniform").build()
        LogisticMixtureConditional(components=3, prior=U(0, 1), min_log_scale=-7.0)
    """

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
    """A neural monotone map: z = logit(sum_k w_k sigmoid((x - m_k) / s_k)), with z ~ N(0, 1).

    The 3 K parameters are K unnormalised log-weights, K means m_k and K log-scales log s_k.

    Args:
        units: K, the number of hidden sigmoids.
        min_log_scale: lower bound of log s_k.

    Example:
        >>> import torch
        >>> from raydistill.conditionals.logistic import SigmoidalFlowConditional
        >>> conditional = SigmoidalFlowConditional(units=2)
        >>> conditional
        SigmoidalFlowConditional(units=2, prior=N(0, 1), min_log_scale=-7.0)
        >>> x, params = torch.tensor([0.5, -1.0]), conditional.initial_params().expand(2, -1)
        >>> z = conditional.to_noise(x, params).z
        >>> torch.allclose(conditional.from_noise(z, params), x, atol=1e-5)
        True

    Reference:
        Huang et al., "Neural Autoregressive Flows", arXiv:1804.00779, section 3.1.
    """

    def __init__(self, units: int = 5, min_log_scale: float = -7.0) -> None:
        self.mixture = _LogisticMixture(units, min_log_scale)
        self.num_params = 3 * units

    def __repr__(self) -> str:
        sizes = f"units={self.mixture.components}, prior={self.prior}"
        return f"{type(self).__name__}({sizes}, min_log_scale={self.mixture.min_log_scale})"

    def to_noise(self, x: Tensor, params: Tensor) -> Noise:
        return Noise(*self.mixture.log_odds(x, params))

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        return self.mixture.invert(z, params)

    def shift(self, params: Tensor, by: Tensor) -> Tensor:
        return self.mixture.shift(params, by)

    def initial_params(self) -> Tensor:
        # With means close together and scales 1, z = logit(F(x)) is close to x, and x is
        # standardised: training starts near the identity.
        return self.mixture.initial_params(0.3, 1.0)


class SigmoidalFlowConfig(ConditionalConfig):
    """Configuration of a `SigmoidalFlowConditional`, with the same fields.

    Example:
        >>> from raydistill.conditionals.logistic import SigmoidalFlowConfig
        >>> SigmoidalFlowConfig(units=8).build()
        SigmoidalFlowConditional(units=8, prior=N(0, 1), min_log_scale=-7.0)
    """

    kind: Literal["sigmoidal_flow"] = "sigmoidal_flow"
    units: int = Field(default=5, ge=1, le=100)
    min_log_scale: float = Field(default=-7.0, ge=-30.0, le=0.0)

    def build(self, *, centre: float = 0.0, spread: float = 1.0) -> SigmoidalFlowConditional:
        return SigmoidalFlowConditional(self.units, self.min_log_scale)
