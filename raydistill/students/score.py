"""The score of an autoregressive flow at its own samples, for the path derivative."""

from __future__ import annotations

import torch
from torch import Tensor

from raydistill.students.base import FlowStudent

TOLERANCE = 1e-4
"""Of the score, as a share of its largest element."""


def triangular_score(student: FlowStudent, z: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """grad_x log p_S at x = S(z), for an S whose Jacobian J is triangular in some order.

    It is the solution s of J^T s = g with g = grad_z [log p(z) - log |det J|]. Off the diagonal D,
    J is nilpotent, so that s <- s + D^-1 (g - J^T s) ends at the solution after as many steps as
    there are dimensions, and in practice after few; a step is one pass backwards through S.

    Args:
        student: its log-determinant must be the sum of the logarithms of D.
        z: (B, *event_shape).
        tolerance: steps end when none changes an element by more than this share of the largest.

    Raises:
        FloatingPointError: not solved after as many steps as there are dimensions: the student has
            lost all digits of its own Jacobian.
    """
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        pushed = student.forward_with_log_det(z)
        log_density = student.prior_log_prob(z) - pushed.log_det
        (g,) = torch.autograd.grad(log_density.sum(), z, retain_graph=True)
    scale = student.diagonal(z.detach()).reciprocal()
    score = scale * g
    for _ in range(z[0].numel() + 1):
        (pulled,) = torch.autograd.grad(pushed.x, z, score, retain_graph=True)
        step = scale * (g - pulled)
        score = score + step
        if bool(step.abs().max() <= tolerance * score.abs().max()):
            return score
    raise FloatingPointError(
        f"the score of {type(student).__name__} did not settle within {z[0].numel()} steps; train "
        "with objective.estimator 'plain', or with a lower learning rate"
    )
