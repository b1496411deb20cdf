"""The score grad_x log p_S of an autoregressive flow, which the path derivative needs.

Reference:
    Roeder et al., "Sticking the Landing: Simple, Lower-Variance Gradient Estimators for
    Variational Inference", arXiv:1703.09194.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raydistill.students.base import FlowStudent

TOLERANCE = 1e-4
"""Largest change by the last step, as a fraction of the score's largest element."""


def triangular_score(student: FlowStudent, z: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """The score grad_x log p_S at x = S(z), for a flow with a triangular Jacobian J = dS/dz.

    By the chain rule the score s solves J^T s = g, where g = grad_z [log p(z) - log |det J|]. With
    D the diagonal of J, the iteration

        s <- s + D^-1 (g - J^T s)

    is exact after as many steps as there are dimensions, because J - D is strictly triangular and
    so nilpotent; in practice it takes few. Each step is one backward pass through S.

    Args:
        student: a flow that implements `diagonal`.
        z: (B, *event_shape).
        tolerance: the iteration ends when no element changes by more than this fraction of the
            largest element.

    Returns:
        The score, of the shape of z.

    Raises:
        FloatingPointError: the iteration did not end after as many steps as there are dimensions,
            which only rounding errors can cause.

    Example:
        >>> import torch
        >>> from raydistill.students.pixelcnn_flow import PixelCNNFlowConfig
        >>> from raydistill.students.score import triangular_score
        >>> student = PixelCNNFlowConfig(channels=4).build((1, 4, 4), spread=2.0)
        >>> z = torch.ones(1, 1, 4, 4)
        >>> score = triangular_score(student, z)  # untrained, x = 2 z: the score is -z / 2
        >>> torch.allclose(score, -0.5 * z)
        True
    """
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        pushed = student.forward_with_log_det(z)
        log_density = student.prior_log_prob(z) - pushed.log_det
        (g,) = torch.autograd.grad(log_density.sum(), z, retain_graph=True)
    scale = student.diagonal(z.detach()).reciprocal()
    score = scale * g
    for _ in range(z[0].numel() + 1):
        (j_transposed_s,) = torch.autograd.grad(pushed.x, z, score, retain_graph=True)
        step = scale * (g - j_transposed_s)
        score = score + step
        if bool(step.abs().max() <= tolerance * score.abs().max()):
            return score
    raise FloatingPointError(
        f"the score of {type(student).__name__} did not settle within {z[0].numel()} steps; train "
        "with objective.estimator 'plain', or with a lower learning rate"
    )
