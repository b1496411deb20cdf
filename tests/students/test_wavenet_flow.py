from __future__ import annotations

from typing import Any

import pytest
import torch

from raydistill.objectives import Batch, ReverseKL, ReverseKLConfig
from raydistill.students.streaming import Streamer
from raydistill.students.wavenet_flow import WaveNetFlow, WaveNetFlowConfig
from raydistill.teachers.samplernn import SampleRNNConfig

FRAMES, HOP, FEATURES = 4, 6, 3
SMALL: dict[str, Any] = {
    "flows": 3,
    "channels": 4,
    "layers": 2,
    "kernel": 2,
    "dilation_base": 2,
    "features": FEATURES,
    "hop": HOP,
}


def make(**fields: Any) -> WaveNetFlow:
    torch.manual_seed(0)
    student = WaveNetFlowConfig(**(SMALL | fields)).build((FRAMES * HOP,), centre=0.5, spread=3.0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return student.double()


def drawn(batch: int = 2, frames: int = FRAMES) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    z = torch.randn(batch, frames * HOP, generator=random, dtype=torch.float64)
    return z, torch.randn(batch, frames, FEATURES, generator=random, dtype=torch.float64)


def test_it_starts_as_the_scale_of_the_data() -> None:
    student = WaveNetFlowConfig(**SMALL).build((FRAMES * HOP,), centre=0.5, spread=3.0).double()
    z, conditioning = drawn()
    steps = student.given(conditioning).steps(z)
    assert torch.allclose(steps.x, 0.5 + 3.0 * z)
    assert torch.allclose(steps.log_derivative, torch.full_like(z, 3.0).log())


@pytest.mark.parametrize("fields", [{}, {"kernel": 3, "layers": 3}, {"flows": 1}], ids=str)
def test_the_jacobian_is_triangular_with_the_stated_diagonal(fields: dict[str, Any]) -> None:
    z, conditioning = drawn(batch=1)
    student = make(**fields).given(conditioning)
    jacobian = torch.autograd.functional.jacobian(lambda v: student(v[None])[0], z[0])
    steps = student.steps(z)
    assert jacobian.triu(1).abs().max() == 0.0
    assert torch.allclose(steps.log_derivative[0], jacobian.diagonal().log(), atol=1e-10)
    assert torch.allclose(student.diagonal(z)[0], jacobian.diagonal(), atol=1e-10)
    pushed = student.forward_with_log_det(z)
    assert float(pushed.log_det[0]) == pytest.approx(float(jacobian.logdet()), abs=1e-9)


def test_the_receptive_field_is_what_it_says() -> None:
    z, conditioning = drawn(batch=1, frames=5)
    student = make(flows=2)
    given = student.given(conditioning)
    jacobian = torch.autograd.functional.jacobian(lambda v: given(v[None])[0], z[0])
    reach = [int(t - row.nonzero()[0, 0]) for t, row in enumerate(jacobian)]
    assert max(reach) == student.config.receptive_field


def test_a_sample_is_affine_in_its_own_noise() -> None:
    z, conditioning = drawn(batch=1)
    student = make().given(conditioning)
    moved = [z.clone() for _ in range(3)]
    for step, one in enumerate(moved):
        one[0, 10] += step
    low, middle, high = (student(one)[0, 10] for one in moved)
    assert float(high - middle) == pytest.approx(float(middle - low), abs=1e-12)


def test_the_inverse_undoes_it() -> None:
    z, conditioning = drawn()
    student = make().given(conditioning)
    assert (student.inverse(student(z)) - z).abs().max() < 1e-10


@pytest.mark.parametrize("chunks", [(1, 1, 1, 1), (3, 1), (1, 2, 1), (4,)], ids=str)
def test_streaming_is_the_whole_pass(chunks: tuple[int, ...]) -> None:
    z, conditioning = drawn()
    student = make()
    streamer, found, at = Streamer(student, batch=2), [], 0
    for frames in chunks:
        end = at + frames
        found.append(streamer.push(z[:, at * HOP : end * HOP], conditioning[:, at:end]))
        at = end
    whole = student.given(conditioning)(z)
    assert (torch.cat(found, dim=1) - whole).abs().max() < 1e-12


def test_a_chunk_that_is_no_whole_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="7 samples do not fit 1 frames of 6"):
        Streamer(make()).push(torch.zeros(1, 7), torch.zeros(1, 1, FEATURES))


def test_kl_a_step_is_what_samples_of_it_average_to() -> None:
    """The closed form given the past against Monte Carlo over the noise of one sample."""
    random = torch.Generator().manual_seed(3)
    student = make()
    teacher = SampleRNNConfig(
        frame_sizes=(6, 3), hidden=4, width=4, history=5, features=FEATURES, hop=HOP
    ).build((FRAMES * HOP,))
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    teacher = teacher.double()
    count, last = 20_000, 2 * HOP - 1
    z, conditioning = drawn(batch=1, frames=2)
    z, conditioning = z.repeat(count, 1), conditioning.expand(count, -1, -1)
    z[:, last] = torch.randn(count, generator=random, dtype=torch.float64)
    batch = Batch(z, context=last)
    pair = teacher.given(conditioning), student.given(conditioning)
    with torch.no_grad():
        exact = ReverseKL(ReverseKLConfig(estimator="per_step"))(batch, *pair).loss
        sampled = ReverseKL(ReverseKLConfig(estimator="plain"))(batch, *pair)
    values = sampled.terms
    assert float(exact) > 0.01
    assert float(sampled.loss) == pytest.approx(float(exact), rel=0.05)
    assert float(values["cross_entropy"] - values["entropy"]) == pytest.approx(
        float(sampled.loss), abs=1e-9
    )


def test_without_context_both_estimates_are_those_of_whole_sequences() -> None:
    student = make()
    teacher = SampleRNNConfig(
        frame_sizes=(6, 3), hidden=4, width=4, history=5, features=FEATURES, hop=HOP
    ).build((FRAMES * HOP,))
    teacher = teacher.double()
    z, conditioning = drawn(batch=3)
    pair = teacher.given(conditioning), student.given(conditioning)
    objective = ReverseKL(ReverseKLConfig())
    whole = objective(Batch(z), *pair).loss
    by_steps = objective._steps(Batch(z), *pair).loss
    assert float(by_steps) == pytest.approx(float(whole), abs=1e-10)
