"""Flows over sequences of any length under conditioning: x = S(z; c)."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from raydistill.conditionals.priors import NORMAL
from raydistill.config.shapes import check_conditioning, mean_conditioning
from raydistill.students.base import FlowStudent, Pushforward, Steps


class ConditionedFlow(FlowStudent):
    """x = S(z; c), causal: x_t depends on z_1 ... z_t, and is affine in z_t.

    z and x are (B, N), c is (B, N / hop, features). Without conditioning it takes c = 0, the mean
    of standardised features.

    Attributes:
        features: numbers a frame.
        hop: samples a frame.
    """

    features: int
    hop: int

    @abstractmethod
    def steps_given(self, z: Tensor, conditioning: Tensor) -> Steps:
        """x with log dx_t / dz_t, both of the shape of z (B, N)."""

    @abstractmethod
    def inverse_given(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """z = S^-1(x; c), sequential by nature, no gradient."""

    def given(self, conditioning: Tensor) -> GivenFlow:
        """S(. ; c) for a batch of conditioning (B, F, features).

        Raises:
            ValueError: it has the wrong shape.
        """
        check_conditioning(conditioning, self.features)
        return GivenFlow(self, conditioning)

    def steps(self, z: Tensor) -> Steps:
        return self.steps_given(z, mean_conditioning(z, self.hop, self.features))

    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        return _summed(self.steps(z))

    def diagonal(self, z: Tensor) -> Tensor:
        return self.steps(z).log_derivative.exp()

    def inverse(self, x: Tensor) -> Tensor:
        return self.inverse_given(x, mean_conditioning(x, self.hop, self.features))

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return NORMAL.log_prob(z).sum(1)


class GivenFlow(FlowStudent):
    """A conditioned flow with its conditioning, for batches as large as its.

    Args:
        model: the student; its weights are not this module's own.
        conditioning: (B, F, features).
    """

    def __init__(self, model: ConditionedFlow, conditioning: Tensor) -> None:
        super().__init__()
        self._model, self.conditioning = [model], conditioning
        self.event_shape = (conditioning.shape[1] * model.hop,)

    def steps(self, z: Tensor) -> Steps:
        return self._model[0].steps_given(z, self.conditioning)

    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        return _summed(self.steps(z))

    def diagonal(self, z: Tensor) -> Tensor:
        return self.steps(z).log_derivative.exp()

    def inverse(self, x: Tensor) -> Tensor:
        return self._model[0].inverse_given(x, self.conditioning)

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return self._model[0].prior_log_prob(z)


def _summed(steps: Steps) -> Pushforward:
    return Pushforward(steps.x, steps.log_derivative.sum(1))
