"""Teachers of sequences of any length that are given conditioning: p_T(x | c).

`teacher.given(c)` binds a batch of conditioning and returns an ordinary teacher, so that objectives
need not know about conditioning. The student's counterpart is `raydistill.students.conditioned`.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from raydistill.conditionals import Conditional
from raydistill.conditionals.base import Noise
from raydistill.config.shapes import check_conditioning, mean_conditioning
from raydistill.networks.summary import summary
from raydistill.teachers.autoregressive import AutoregressiveTeacher
from raydistill.teachers.base import Encoding


class ConditionedTeacher(AutoregressiveTeacher):
    """p_T(x | c) of samples x (B, N) given frames of features c (B, N / hop, features).

    Called without conditioning, it takes c = 0, which is the mean of standardised features.

    Attributes:
        features: how many numbers condition one frame.
        hop: samples in a frame.

    Example:
        >>> import torch
        >>> from raydistill.teachers.samplernn import SampleRNNConfig
        >>> sizes = {"frame_sizes": (8, 4), "hidden": 6, "width": 5, "history": 6}
        >>> teacher = SampleRNNConfig(features=3, hop=8, **sizes).build((16,))
        >>> c = torch.zeros(5, 4, 3)  # five sequences of four frames
        >>> teacher.given(c).log_prob(torch.zeros(5, 32)).shape
        torch.Size([5])
    """

    features: int
    hop: int

    @abstractmethod
    def params(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """Parameters of all conditionals, each computed from the true past (teacher forcing).

        Args:
            x: (B, N) from the start of a sequence, N a multiple of `hop`. The parameters of x_t
                depend on x_1 ... x_{t-1} only.
            conditioning: (B, N / hop, features).

        Returns:
            (B, N, conditional.num_params).
        """

    @abstractmethod
    def decode_given(self, z: Tensor, conditioning: Tensor) -> Tensor:
        """x = T^-1(z; c) sample by sample, for z (B, N) and conditioning (B, N / hop, features)."""

    def given(self, conditioning: Tensor) -> GivenTeacher:
        """The teacher p_T(x | c) for a batch of conditioning c of shape (B, frames, features).

        Raises:
            ValueError: c has the wrong shape.
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
    """A conditioned teacher with its conditioning bound: p_T(x | c).

    It takes batches of the size B of its conditioning. The model is referred to, not owned: its
    weights are neither parameters of this module nor in its `state_dict`.

    Args:
        model: the conditioned teacher.
        conditioning: c, (B, frames, features).

    Example:
        >>> import torch
        >>> from raydistill.teachers.samplernn import SampleRNNConfig
        >>> sizes = {"frame_sizes": (8, 4), "hidden": 6, "width": 5, "history": 6}
        >>> teacher = SampleRNNConfig(features=3, hop=8, **sizes).build((16,))
        >>> teacher.given(torch.zeros(5, 4, 3))
        GivenTeacher(model='SampleRNN', event_shape=(32,), conditioning=(5, 4, 3), parameters=0)
    """

    def __init__(self, model: ConditionedTeacher, conditioning: Tensor) -> None:
        super().__init__()
        self._model, self.conditioning = [model], conditioning
        self.event_shape = (conditioning.shape[1] * model.hop,)

    def extra_repr(self) -> str:
        return summary(
            self,
            model=type(self._model[0]).__name__,
            event_shape=self.event_shape,
            conditioning=tuple(self.conditioning.shape),
        )

    @property
    def conditional(self) -> Conditional:  # type: ignore[override]
        """The scalar map between a sample and its noise."""
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
        # One example at a time: examples that have converged leave the batch, and the conditioning
        # of the others would no longer match them.
        parts = [
            super(GivenTeacher, GivenTeacher(self._model[0], c[None]))._decode_jacobi(
                part[None], tolerance, max_sweeps
            )
            for part, c in zip(z, self.conditioning, strict=True)
        ]
        return torch.cat(parts)

    def _decode_cached(self, z: Tensor) -> Tensor:
        return self._model[0].decode_given(z, self.conditioning)
