"""Flows over sequences of any length that are given conditioning: x = S(z; c).

`student.given(c)` binds a batch of conditioning and returns an ordinary `FlowStudent`, so that
objectives need not know about conditioning. The teacher's counterpart is
`raydistill.teachers.conditioned`.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from raydistill.conditionals.priors import NORMAL
from raydistill.config.shapes import check_conditioning, mean_conditioning
from raydistill.networks.summary import summary
from raydistill.students.base import FlowStudent, Pushforward, Steps


class ConditionedFlow(FlowStudent):
    """A causal flow x = S(z; c): x_t depends on z_1 ... z_t, and is affine in z_t.

    z and x have shape (B, N) in samples, c has shape (B, N / hop, features): one vector of
    standardised features for each frame of `hop` samples. Called without conditioning, it takes
    c = 0, which is the mean of standardised features.

    Attributes:
        features: how many numbers condition one frame.
        hop: samples in a frame.

    Example:
        >>> import torch
        >>> from raydistill.students.wavenet_flow import WaveNetFlowConfig
        >>> config = WaveNetFlowConfig(flows=2, channels=4, layers=2, features=3, hop=8)
        >>> student = config.build((16,))
        >>> c = torch.zeros(5, 4, 3)  # five sequences of four frames
        >>> student.given(c)(torch.zeros(5, 32)).shape
        torch.Size([5, 32])
    """

    features: int
    hop: int

    @abstractmethod
    def steps_given(self, z: Tensor, conditioning: Tensor) -> Steps:
        """x = S(z; c) with log dx_t / dz_t, both of the shape of z, (B, N)."""

    @abstractmethod
    def inverse_given(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """z = S^-1(x; c), one sample after another, without gradient."""

    def given(self, conditioning: Tensor) -> GivenFlow:
        """The flow z -> S(z; c) for a batch of conditioning c of shape (B, frames, features).

        Raises:
            ValueError: c has the wrong shape.
        """
        check_conditioning(conditioning, self.features)
        return GivenFlow(self, conditioning)

    def steps(self, z: Tensor) -> Steps:
        return self.steps_given(z, mean_conditioning(z, self.hop, self.features))

    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        return _pushforward(self.steps(z))

    def diagonal(self, z: Tensor) -> Tensor:
        return self.steps(z).log_derivative.exp()

    def inverse(self, x: Tensor) -> Tensor:
        return self.inverse_given(x, mean_conditioning(x, self.hop, self.features))

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return NORMAL.log_prob(z).sum(1)


class GivenFlow(FlowStudent):
    """A conditioned flow with its conditioning bound: z -> S(z; c).

    It takes batches of the size B of its conditioning. The model is referred to, not owned: its
    weights are neither parameters of this module nor in its `state_dict`.

    Args:
        model: the conditioned flow.
        conditioning: c, (B, frames, features).

    Example:
        >>> import torch
        >>> from raydistill.students.wavenet_flow import WaveNetFlowConfig
        >>> config = WaveNetFlowConfig(flows=2, channels=4, layers=2, features=3, hop=8)
        >>> config.build((16,)).given(torch.zeros(5, 4, 3))
        GivenFlow(model='WaveNetFlow', event_shape=(32,), conditioning=(5, 4, 3), parameters=0)
    """

    def __init__(self, model: ConditionedFlow, conditioning: Tensor) -> None:
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

    def steps(self, z: Tensor) -> Steps:
        return self._model[0].steps_given(z, self.conditioning)

    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        return _pushforward(self.steps(z))

    def diagonal(self, z: Tensor) -> Tensor:
        return self.steps(z).log_derivative.exp()

    def inverse(self, x: Tensor) -> Tensor:
        return self._model[0].inverse_given(x, self.conditioning)

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return self._model[0].prior_log_prob(z)


def _pushforward(steps: Steps) -> Pushforward:
    """A triangular Jacobian's log-determinant is the sum of the logarithms of its diagonal."""
    return Pushforward(steps.x, steps.log_derivative.sum(1))
