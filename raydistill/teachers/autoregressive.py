"""Teachers whose dimensions come one after another: sequential, cached and Jacobi decoding.

References:
    Papamakarios et al., "Masked Autoregressive Flow for Density Estimation", arXiv:1705.07057.
    Song et al., "Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving",
    arXiv:2002.03629, for Jacobi decoding.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from raydistill.conditionals import Conditional
from raydistill.conditionals.priors import NORMAL
from raydistill.teachers.base import DecodingError, Teacher

FREEZE = 1 / 32
"""Jacobi decoding freezes leading dimensions that move by less than this fraction of the tolerance.

An error in a frozen dimension is no longer corrected, and grows along the dimensions that depend on
it: with a fraction of 1, samples of a trained 28x28 teacher were off by ten times the tolerance and
more.
"""


class AutoregressiveTeacher(Teacher):
    """p_T(x) = prod_t p_T(x_t | x_1 ... x_{t-1}), with one conditional for each dimension.

    Decoding is the recursion x_t = f(z_t; x_1 ... x_{t-1}). A subclass implements `encode`, one
    parallel `sweep` of the recursion, and `decoding_order`; sequential and Jacobi decoding,
    likelihood and sampling follow.

    Attributes:
        conditional: the scalar map between x_t and z_t; it owns the prior.

    Example:
        A first-order autoregression, x_t = x_{t-1} / 2 + z_t:

        >>> import torch
        >>> from raydistill.conditionals import GaussianConditional
        >>> from raydistill.teachers.autoregressive import AutoregressiveTeacher
        >>> from raydistill.teachers.base import Encoding
        >>> class FirstOrder(AutoregressiveTeacher):
        ...     conditional, event_shape = GaussianConditional(), (4,)
        ...
        ...     def params(self, x):
        ...         mean = 0.5 * torch.nn.functional.pad(x, (1, -1))
        ...         return torch.stack([mean, torch.zeros_like(mean)], dim=-1)
        ...
        ...     def encode(self, x):
        ...         noise = self.conditional.to_noise(x, self.params(x))
        ...         return Encoding(noise.z, noise.log_derivative.sum(1))
        ...
        ...     def sweep(self, z, x):
        ...         return self.conditional.from_noise(z, self.params(x))
        ...
        ...     def decoding_order(self):
        ...         return torch.arange(4)
        >>> teacher = FirstOrder()
        >>> x = teacher.decode(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), method="jacobi")
        >>> x.tolist()
        [[1.0, 0.5, 0.25, 0.125]]
        >>> teacher.encode(x).z.tolist()
        [[1.0, 0.0, 0.0, 0.0]]
    """

    conditional: Conditional

    @property
    def decode_methods(self) -> tuple[str, ...]:
        return ("sequential", "jacobi")

    @abstractmethod
    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        """Apply the recursion to all dimensions at once: result_t = f(z_t; x_1 ... x_{t-1}).

        x = T^-1(z) is the unique fixed point in x, and each sweep makes at least one further
        dimension exact. Arguments and result have the shape (B, *event_shape).
        """

    @abstractmethod
    def decoding_order(self) -> Tensor:
        """Flat indices of an example's dimensions in the order of the recursion, (dimension,)."""

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return self.conditional.prior_log_prob(z).flatten(1).sum(1)

    def normal_codes(self, z: Tensor) -> Tensor:
        prior = self.conditional.prior
        return z if prior is NORMAL else NORMAL.from_log_odds(prior.to_log_odds(z)).z

    def sample_prior(self, count: int, generator: torch.Generator) -> Tensor:
        return self.conditional.sample_prior((count, *self.event_shape), generator)

    @torch.no_grad()
    def decode(
        self,
        z: Tensor,
        method: str | None = None,
        *,
        tolerance: float = 1e-5,
        max_sweeps: int | None = None,
    ) -> Tensor:
        method = self.check_decoding(z, method)
        if method == "sequential":
            return self._decode_sequential(z)
        if method == "jacobi":
            cap = self.dimension + 1 if max_sweeps is None else max_sweeps
            return self._decode_jacobi(z, tolerance, cap)
        return self._decode_cached(z)

    def _decode_sequential(self, z: Tensor) -> Tensor:
        """The reference: a full sweep for each dimension, of which only that dimension is kept."""
        x = torch.zeros_like(z, memory_format=torch.contiguous_format)
        flat = x.view(len(z), -1)
        for index in self.decoding_order().tolist():
            flat[:, index] = self.sweep(z, x).reshape(len(z), -1)[:, index]
        return x

    def _decode_jacobi(self, z: Tensor, tolerance: float, max_sweeps: int) -> Tensor:
        """Fixed-point iteration of all dimensions at once (Song et al., arXiv:2002.03629).

        In each example the leading dimensions that have stopped moving are frozen, so that large
        transient values in later dimensions cannot move them again. Examples that have converged
        leave the batch.
        """
        order = self.decoding_order().to(z.device)
        z = z.contiguous()
        x = torch.zeros_like(z)
        flat = x.view(len(z), -1)
        active = torch.arange(len(z), device=z.device)
        frozen = torch.zeros_like(active)
        rank = torch.arange(self.dimension, device=z.device)
        for _ in range(max_sweeps):
            before = flat[active][:, order]
            after = self.sweep(z[active], x[active]).reshape(len(active), -1)[:, order]
            after = torch.where(rank < frozen[:, None], before, after)
            flat[active[:, None], order] = after
            moved = (after - before).abs()
            # Both comparisons are false for NaN, which therefore never counts as converged.
            frozen = torch.where(moved <= FREEZE * tolerance, self.dimension, rank).amin(dim=1)
            going = ~(moved <= tolerance).all(dim=1)
            active, frozen = active[going], frozen[going]
            if not len(active):
                return x
        raise DecodingError(
            f"Jacobi decoding still moved by {float(moved.max()):.2g} after max_sweeps = "
            f"{max_sweeps} (tolerance {tolerance:.2g}); raise max_sweeps or use method='sequential'"
        )

    def _decode_cached(self, z: Tensor) -> Tensor:
        raise ValueError(f"{type(self).__name__} lists 'cached' without implementing it")
