"""Radial force: whether reverse KL pushes a flow student's samples outward or inward.

Proposition 1 gives the probability of an outward push for a Gaussian teacher at the start of the
training; here the force is measured, for any teacher and any flow student.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raydistill.students.base import FlowStudent
from raydistill.teachers.base import Teacher


def radial_force(student: FlowStudent, teacher: Teacher, z: Tensor) -> Tensor:
    """z . grad_z [log p_T(S(z)) - log p_S(S(z))] of each example, (B,), nats.

    Above 0 where lowering the reverse KL moves the sample away from where z = 0 lands (section
    3.1, Proposition 1): only those samples spread the student out. The gradient is that of the path
    derivative, seen from the latent space.

    Args:
        z: prior draws, (B, *event_shape).
    """
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        pushed = student.forward_with_log_det(z)
        own = student.prior_log_prob(z) - pushed.log_det
        gap = teacher.log_prob(pushed.x) - own
        (gradient,) = torch.autograd.grad(gap.sum(), z)
    return (z * gradient).flatten(1).sum(1).detach()


def summarise_radial_force(force: Tensor, dimension: int) -> dict[str, float]:
    """The share of samples pushed outward, and quantiles of the force.

    Args:
        force: radial forces, (B,), nats.
        dimension: of one example; quantiles are divided by it.

    Returns:
        `outward_fraction`, and `radial_force_low`, `_median` and `_high`: the 5%, 50% and 95%
        quantiles in nats a dimension.
    """
    levels = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64, device=force.device)
    low, median, high = (force.double() / dimension).quantile(levels).tolist()
    return {
        "outward_fraction": float((force > 0).double().mean()),
        "radial_force_low": low,
        "radial_force_median": median,
        "radial_force_high": high,
    }
