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
"""Largest change by an example's last step; see `triangular_score`."""


def triangular_score(student: FlowStudent, z: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """The score grad_x log p_S at x = S(z), for a flow with a triangular Jacobian J = dS/dz.

    By the chain rule the score s solves J^T s = g, where g = grad_z [log p(z) - log |det J|]. With
    D the diagonal of J, the iteration

        s <- s + D^-1 (g - J^T s)

    is exact after as many steps as there are dimensions, because J - D is strictly triangular and
    so nilpotent; in practice it takes few. Each step is one backward pass through S. Examples end
    one by one, so that none depends on what it shares a batch with.

    Args:
        student: a flow that implements `diagonal`.
        z: (B, *event_shape).
        tolerance: an example ends when D times its change is nowhere larger than this fraction of
            1 plus the largest element of D times its score.

    Returns:
        The score, of the shape of z.

    Raises:
        FloatingPointError: an example did not end after as many steps as there are dimensions,
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
    diagonal = student.diagonal(z.detach())
    scale = diagonal.reciprocal()
    score = scale * g
    going = torch.ones(len(z), dtype=torch.bool, device=z.device)
    for _ in range(z[0].numel() + 1):
        (j_transposed_s,) = torch.autograd.grad(pushed.x, z, score, retain_graph=True)
        step = scale * (g - j_transposed_s)
        score = torch.where(going.view(-1, *[1] * (z.ndim - 1)), score + step, score)
        # D times a score is of the size of z, about 1: a smaller change than `tolerance` is lost in
        # the draw of z, whatever the unit of x; where the score is large it is one of its digits.
        change, size = _largest(diagonal * step), _largest(diagonal * score)
        # False for what is not a number, which so never ends.
        going = going & ~(change <= tolerance * (1.0 + size))
        if not bool(going.any()):
            return score
    raise FloatingPointError(
        f"the score of {type(student).__name__} did not settle within {z[0].numel()} steps; train "
        "with objective.estimator 'plain', or with a lower learning rate"
    )


def _largest(x: Tensor) -> Tensor:
    """The largest element of each example, in absolute value, (B,)."""
    return x.abs().flatten(1).amax(1)
