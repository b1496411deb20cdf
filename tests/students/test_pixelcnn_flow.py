"""The flow student: what it starts as, and how it is refused."""

from __future__ import annotations

import math

import pytest
import torch

from raydistill.students.pixelcnn_flow import PixelCNNFlow, PixelCNNFlowConfig
from tests.helpers import normal


def test_untrained_flow_is_the_gaussian_of_the_data() -> None:
    torch.manual_seed(0)
    student = PixelCNNFlowConfig(channels=4).build((3, 4, 4), centre=-2.0, spread=3.0).double()
    z = normal(2, 3, 4, 4)
    pushed = student.forward_with_log_det(z)
    torch.testing.assert_close(pushed.x, -2.0 + 3.0 * z)
    expected = torch.full((2,), 48 * math.log(3.0), dtype=torch.float64)
    torch.testing.assert_close(pushed.log_det, expected, rtol=1e-6, atol=0.0)


def test_sides_that_cannot_be_halved_are_refused() -> None:
    config = PixelCNNFlowConfig(stages=3)
    for attempt in (config.check, config.build, lambda shape: PixelCNNFlow(config, shape)):
        with pytest.raises(ValueError, match=r"^student\.stages: 3 .*14x14; give at most 2$"):
            attempt((1, 14, 14))
    PixelCNNFlowConfig(stages=2).check((1, 14, 14))


def test_inverse_has_no_gradient_and_leaves_its_input_alone() -> None:
    student = PixelCNNFlowConfig(channels=4).build((1, 4, 4)).double()
    x = normal(2, 1, 4, 4).requires_grad_()
    given = x.detach().clone()
    assert not student.inverse(x).requires_grad
    assert torch.equal(x.detach(), given)
