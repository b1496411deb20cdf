"""How exact is every conditional in its tails, in single and in double precision?

    python benchmarks/tails.py

Worst errors over random parameters and codes whose normal scores go to 6 on both sides:

- `round trip`: of z -> x -> z, and as a multiple of what rounding x and z to their precision moves
  z by, which no arithmetic undoes;
- `gradient`: of log p(x), by x and by all parameters of an example, against the density written
  down in double precision, relative to the largest of them where that is above 1;
- `integral`: of the density, from 1.

Below, mixtures with x so far out that the log-odds of F(x) are as said: log p and its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from raydistill.conditionals import Conditional, GaussianConditional
from raydistill.conditionals.categorical import CategoricalConditional
from raydistill.conditionals.logistic import LogisticMixtureConditional, SigmoidalFlowConditional
from raydistill.conditionals.priors import NORMAL, UNIFORM
from raydistill.data.logit import SQUEEZE, to_logit

CONDITIONALS: dict[str, Conditional] = {
    "gaussian": GaussianConditional(),
    "gaussian, bounded": GaussianConditional(-0.5, 0.5),
    "one logistic": LogisticMixtureConditional(1, NORMAL),
    "logistic mixture": LogisticMixtureConditional(5, NORMAL),
    "logistic mixture, uniform z": LogisticMixtureConditional(5, UNIFORM),
    "sigmoidal flow": SigmoidalFlowConditional(5),
    "categorical, 17": CategoricalConditional(17, NORMAL),
    "categorical, 256": CategoricalConditional(256, NORMAL, centre=-1.5, spread=4.0),
    "categorical, 17, uniform z": CategoricalConditional(17, UNIFORM),
}
"""Every conditional with every prior; a test asks that no kind is forgotten."""

FURTHEST = 6.0
FAR = (81.0, 701.0, 1e4, 1e6)


@dataclass(frozen=True)
class Tails:
    """What is measured.

    Attributes:
        examples: parameters of each conditional.
        scores: codes of each, evenly between -6 and 6 in normal scores.
    """

    examples: int = 50
    scores: int = 241


@dataclass(frozen=True)
class Worst:
    """Worst errors of a conditional in one precision; see the module.

    Attributes:
        round_trip, roundings: of z, as it is and as a multiple of what rounding does.
        gradient: of log p.
        integral: of the density.
    """

    round_trip: float
    roundings: float
    gradient: float
    integral: float


@dataclass(frozen=True)
class Exact:
    """log p with its gradients, of the shapes of x and of the parameters, in float64."""

    log_prob: Tensor
    by_x: Tensor
    by_params: Tensor


def params_of(conditional: Conditional, examples: int, seed: int = 0) -> Tensor:
    """Random parameters (examples, num_params), float64 numbers that float32 has too."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(examples, conditional.num_params, generator=random).double()


def codes_of(conditional: Conditional, scores: Tensor) -> Tensor:
    """Codes with these normal scores."""
    return scores if conditional.prior is NORMAL else torch.special.ndtr(scores)


def log_density(conditional: Conditional, x: Tensor, params: Tensor) -> Tensor:
    """log p(x) from the formula of each density, by no prior and no inverse."""
    if isinstance(conditional, GaussianConditional):
        mean, log_scale = params.unbind(-1)
        log_scale = log_scale.clamp(conditional.min_log_scale, conditional.max_log_scale)
        z = (x - mean) * torch.exp(-log_scale)
        return -0.5 * (z.square() + math.log(2.0 * math.pi)) - log_scale
    if isinstance(conditional, CategoricalConditional):
        logit = conditional.centre + conditional.spread * x
        unit = (torch.sigmoid(logit) - SQUEEZE) / (1.0 - 2.0 * SQUEEZE)
        level = (conditional.levels * unit).floor().clamp(0, conditional.levels - 1).long()
        log_p = F.log_softmax(params, -1).gather(-1, level[..., None])[..., 0]
        slope = conditional.levels * conditional.spread / (1.0 - 2.0 * SQUEEZE)
        return log_p + math.log(slope) + F.logsigmoid(logit) + F.logsigmoid(-logit)
    assert isinstance(conditional, LogisticMixtureConditional | SigmoidalFlowConditional)
    log_weights, means, log_scales = conditional.mixture.split(params)
    scaled = (x[..., None] - means) * torch.exp(-log_scales)
    below, above = F.logsigmoid(scaled), F.logsigmoid(-scaled)
    density = torch.logsumexp(log_weights + below + above - log_scales, -1)
    if isinstance(conditional, LogisticMixtureConditional):
        return density
    log_f, log_rest = (torch.logsumexp(log_weights + part, -1) for part in (below, above))
    z = log_f - log_rest
    return -0.5 * (z.square() + math.log(2.0 * math.pi)) + density - log_f - log_rest


def exact(
    function: Callable[[Conditional, Tensor, Tensor], Tensor],
    conditional: Conditional,
    x: Tensor,
    params: Tensor,
) -> Exact:
    """A log-density and its gradients at x (N, M) with parameters (N, M, num_params)."""
    x, params = x.detach().requires_grad_(), params.detach().requires_grad_()
    log_prob = function(conditional, x, params)
    by_x, by_params = torch.autograd.grad(log_prob.sum(), [x, params])
    return Exact(log_prob.detach().double(), by_x.double(), by_params.double())


def gradient_error(found: Exact, expected: Exact) -> Tensor:
    """Largest error among the gradients of an example, relative to the largest above 1, (N, M)."""
    sizes = torch.cat([expected.by_x[..., None], expected.by_params], -1)
    gaps = torch.cat([found.by_x[..., None], found.by_params], -1) - sizes
    return gaps.abs().amax(-1) / sizes.abs().amax(-1).clamp(min=1.0)


def through_conditional(conditional: Conditional, x: Tensor, params: Tensor) -> Tensor:
    return conditional.log_prob(x, params)


def roundings_of_z(conditional: Conditional, x: Tensor, z: Tensor, log_slope: Tensor) -> Tensor:
    """How far rounding x and z to a relative error of 1 would move z."""
    centre, spread = getattr(conditional, "centre", 0.0), getattr(conditional, "spread", 1.0)
    size = (abs(centre) + (centre + spread * x).abs()) / spread
    own = z.abs() + 1.0 if conditional.prior is NORMAL else z
    moved: Tensor = own + (1.0 + size) * log_slope.exp()
    return moved


def worst_of(conditional: Conditional, dtype: torch.dtype, params: Tensor, scores: Tensor) -> Worst:
    """Worst errors over parameters (N, num_params) and normal scores (M,)."""
    wide = params[:, None].expand(-1, len(scores), -1)
    z = codes_of(conditional, scores).expand(len(params), -1).to(dtype)
    given = wide.to(dtype)
    with torch.no_grad():
        x = conditional.from_noise(z, given)
        noise = conditional.to_noise(x, given)
    gap = (noise.z - z).abs().double()
    rounding = torch.finfo(dtype).eps * roundings_of_z(
        conditional, x.double(), z.double(), noise.log_derivative.double()
    )
    found = exact(through_conditional, conditional, x, given)
    expected = exact(log_density, conditional, x.double(), given.double())
    return Worst(
        float(gap.max()),
        float((gap / rounding).max()),
        float(gradient_error(found, expected).max()),
        float((integral(conditional, dtype, params) - 1.0).abs().max()),
    )


@torch.no_grad()
def integral(conditional: Conditional, dtype: torch.dtype, params: Tensor) -> Tensor:
    """Of the density of each example, (N,): by Gauss and Legendre, between points set by its parts.

    The density of a categorical is constant inside a level, so the middles of parts of levels do.
    """
    if isinstance(conditional, CategoricalConditional):
        count = 8 * conditional.levels
        unit = (torch.arange(count).double() + 0.5) / count
        squeezed = SQUEEZE + (1.0 - 2.0 * SQUEEZE) * unit
        slope = (1.0 - 2.0 * SQUEEZE) / (squeezed * (1.0 - squeezed) * conditional.spread)
        x = ((to_logit(unit) - conditional.centre) / conditional.spread).expand(len(params), -1)
        widths = slope.expand(len(params), -1) / count
    else:
        means, scales = parts_of(conditional, params)
        ends = torch.tensor([*(2.5 * 2.0**k for k in range(5)), 0.0], dtype=torch.float64)
        ends = (means[..., None] + scales[..., None] * torch.cat([-ends, ends])).flatten(1)
        low, high = ends.sort(-1).values.unfold(-1, 2, 1).unbind(-1)
        nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(20))
        x = (0.5 * (low + high)[..., None] + 0.5 * (high - low)[..., None] * nodes).flatten(1)
        widths = (0.5 * (high - low)[..., None] * weights).flatten(1)
    wide = params[:, None].expand(-1, x.shape[1], -1)
    return (conditional.log_prob(x.to(dtype), wide.to(dtype)).double().exp() * widths).sum(-1)


def parts_of(conditional: Conditional, params: Tensor) -> tuple[Tensor, Tensor]:
    """Means and scales (N, K) of the bumps that a density is made of."""
    if isinstance(conditional, GaussianConditional):
        low, high = conditional.min_log_scale, conditional.max_log_scale
        return params[:, :1], params[:, 1:].clamp(low, high).exp()
    assert isinstance(conditional, LogisticMixtureConditional | SigmoidalFlowConditional)
    _, means, log_scales = conditional.mixture.split(params)
    return means, log_scales.exp()


@dataclass(frozen=True)
class FarOut:
    """Worst relative errors of a mixture at log-odds, of log p and of its gradient."""

    log_prob: float
    gradient: float


def far_out(
    conditional: LogisticMixtureConditional, dtype: torch.dtype, params: Tensor, log_odds: float
) -> FarOut:
    """Of examples (N, num_params), at F(x) with these log-odds of either sign."""
    target = torch.tensor([-log_odds, log_odds], dtype=torch.float64).expand(len(params), -1)
    wide = params[:, None].expand(-1, 2, -1)
    x = conditional.mixture.invert(target, wide).to(dtype)
    found = exact(through_conditional, conditional, x, wide.to(dtype))
    expected = exact(log_density, conditional, x.double(), wide)
    log_prob = ((found.log_prob - expected.log_prob) / expected.log_prob).abs()
    return FarOut(float(log_prob.max()), float(gradient_error(found, expected).max()))


def main(settings: Tails) -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    scores = torch.linspace(-FURTHEST, FURTHEST, settings.scores, dtype=torch.float64)
    print(f"  {'':30} {'':8} {'round trip':>10} {'roundings':>10} {'gradient':>9} {'integral':>9}")
    for name, conditional in CONDITIONALS.items():
        params = params_of(conditional, settings.examples)
        for dtype in (torch.float32, torch.float64):
            worst = worst_of(conditional, dtype, params, scores)
            print(
                f"  {name:30} {str(dtype)[6:]:8} {worst.round_trip:10.1e} {worst.roundings:10.1f} "
                f"{worst.gradient:9.1e} {worst.integral:9.1e}"
            )
    for name, conditional in CONDITIONALS.items():
        if not isinstance(conditional, LogisticMixtureConditional):
            continue
        params = params_of(conditional, settings.examples)
        for dtype in (torch.float32, torch.float64):
            far = [far_out(conditional, dtype, params, log_odds) for log_odds in FAR]
            cells = "  ".join(
                f"{log_odds:g}: {one.log_prob:.0e}, {one.gradient:.0e}"
                for log_odds, one in zip(FAR, far, strict=True)
            )
            print(f"  {name:30} {str(dtype)[6:]:8} {cells}")


if __name__ == "__main__":
    main(tyro.cli(Tails, description=__doc__))
