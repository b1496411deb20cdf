"""Teachers of sequences of any length under conditioning: p_T(x | c).

`given(c)` binds a batch of conditioning, and what it returns is a teacher like any other: no
objective knows of conditioning.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from raydistill.conditionals import Conditional
from raydistill.conditionals.base import Noise
from raydistill.config.shapes import check_conditioning, mean_conditioning
from raydistill.teachers.base import AutoregressiveTeacher, Encoding


class ConditionedTeacher(AutoregressiveTeacher):
    """p_T(x | c) over samples x (B, N) and frames of features c (B, N / hop, features).

    Without conditioning it takes c = 0, the mean of standardised features.

    Attributes:
        features: numbers a frame.
        hop: samples a frame.
    """

    features: int
    hop: int

    @abstractmethod
    def params(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """The conditionals' parameters by teacher forcing, from the start of a sequence.

        Args:
            x: (B, N), N a multiple of `hop`; the parameters of x_t depend on x_1 ... x_{t-1} alone.
            conditioning: (B, N / hop, features).

        Returns:
            (B, N, conditional.num_params).
        """

    @abstractmethod
    def decode_given(self, z: Tensor, conditioning: Tensor) -> Tensor:
        """The incremental decoder: z (B, N) with conditioning (B, N / hop, features) to x."""

    def given(self, conditioning: Tensor) -> GivenTeacher:
        """p_T(. | c) for a batch of conditioning (B, F, features).

        Raises:
            ValueError: it has the wrong shape.
        """
        check_conditioning(conditioning, self.features)
        return GivenTeacher(self, conditioning)

    @property
    def decode_methods(self) -> tuple[str, ...]:
        return ("cached", "sequential", "jacobi")

    def encode(self, x: Tensor) -> Encoding:
        return self._at_mean(x).encode(x)

    def steps(self, x: Tensor) -> Noise:
        return self._at_mean(x).steps(x)

    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        return self._at_mean(x).sweep(z, x)

    def decoding_order(self) -> Tensor:
        return torch.arange(self.dimension)

    def _decode_cached(self, z: Tensor) -> Tensor:
        return self._at_mean(z)._decode_cached(z)

    def _at_mean(self, x: Tensor) -> GivenTeacher:
        return self.given(mean_conditioning(x, self.hop, self.features))


class GivenTeacher(AutoregressiveTeacher):
    """A conditioned teacher with its conditioning: p_T(. | c), for batches as large as c's.

    Args:
        model: the teacher; its weights are not this module's own.
        conditioning: (B, F, features).
    """

    def __init__(self, model: ConditionedTeacher, conditioning: Tensor) -> None:
        super().__init__()
        self._model, self.conditioning = [model], conditioning
        self.event_shape = (conditioning.shape[1] * model.hop,)

    @property
    def conditional(self) -> Conditional:  # type: ignore[override]
        """The scalar map of every sample."""
        return self._model[0].conditional

    @property
    def decode_methods(self) -> tuple[str, ...]:
        return self._model[0].decode_methods

    def encode(self, x: Tensor) -> Encoding:
        noise = self.steps(x)
        return Encoding(noise.z, noise.log_derivative.sum(1))

    def steps(self, x: Tensor) -> Noise:
        return self.conditional.to_noise(x, self._model[0].params(x, self.conditioning))

    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        return self.conditional.from_noise(z, self._model[0].params(x, self.conditioning))

    def decoding_order(self) -> Tensor:
        return torch.arange(self.dimension)

    def _decode_jacobi(self, z: Tensor, tolerance: float, max_sweeps: int) -> Tensor:
        # Converged examples leave the batch there, and conditioning would not leave with them.
        parts = [
            super(GivenTeacher, GivenTeacher(self._model[0], c[None]))._decode_jacobi(
                part[None], tolerance, max_sweeps
            )
            for part, c in zip(z, self.conditioning, strict=True)
        ]
        return torch.cat(parts)

    def _decode_cached(self, z: Tensor) -> Tensor:
        return self._model[0].decode_given(z, self.conditioning)
