from __future__ import annotations

from typing import Any

import pytest
import torch

from raydistill.kernels.vectors import TILE_ROWS
from raydistill.objectives import Batch, ReverseKL, ReverseKLConfig
from raydistill.students.streaming import Streamer, synthesise
from raydistill.students.wavenet_flow import WaveNetFlow, WaveNetFlowConfig
from raydistill.teachers.samplernn import SampleRNNConfig

FRAMES, HOP, FEATURES = 4, 6, 3
LONG = 31
"""Frames in which every layer's memory is moved to the front more than once."""
SMALL: dict[str, Any] = {
    "flows": 3,
    "channels": 4,
    "layers": 2,
    "kernel": 2,
    "dilation_base": 2,
    "features": FEATURES,
    "hop": HOP,
}

SIZES: list[dict[str, Any]] = [
    {},
    {"kernel": 3, "layers": 3},
    {"flows": 1, "channels": 11},
    {"channels": 16, "hop": 2 * TILE_ROWS + 3},
]
"""The last has whole tiles of samples in a frame, and some left over."""


def make(**fields: Any) -> WaveNetFlow:
    torch.manual_seed(0)
    config = WaveNetFlowConfig(**(SMALL | fields))
    student = config.build((FRAMES * config.hop,), centre=0.5, spread=3.0)
    with torch.no_grad():
        for parameter in student.parameters():
            # Wider ones would be so ill-conditioned that no inverse could be exact.
            parameter.add_(min(0.3, 1.2 / student.config.channels) * torch.randn_like(parameter))
    return student.double()


def drawn(
    batch: int = 2, frames: int = FRAMES, hop: int = HOP
) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    z = torch.randn(batch, frames * hop, generator=random, dtype=torch.float64)
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


@pytest.mark.parametrize("fields", SIZES, ids=str)
def test_the_inverse_undoes_it(fields: dict[str, Any]) -> None:
    model = make(**fields)
    z, conditioning = drawn(hop=model.hop)
    student = model.given(conditioning)
    steps = student.steps(z)
    assert steps.log_derivative.std() > 0.01
    assert (student.inverse(steps.x) - z).abs().max() < 1e-10


CHUNKS = [(1,) * LONG, (3, 1, 7, LONG - 11), (1, LONG - 1), (LONG,)]


@pytest.mark.parametrize("fields", SIZES, ids=str)
@pytest.mark.parametrize("chunks", CHUNKS, ids=lambda chunks: f"{len(chunks)} chunks")
def test_streaming_is_the_whole_pass(chunks: tuple[int, ...], fields: dict[str, Any]) -> None:
    student = make(**fields)
    z, conditioning = drawn(frames=LONG, hop=student.hop)
    streamer, found = Streamer(student, batch=2), []
    for noise, frames in zip(
        z.split([student.hop * count for count in chunks], dim=1),
        conditioning.split(list(chunks), dim=1),
        strict=True,
    ):
        found.append(streamer.push(noise, frames))
    whole = student.given(conditioning)(z)
    assert (torch.cat(found, dim=1) - whole).abs().max() < 1e-12


@pytest.mark.parametrize("chunks", CHUNKS, ids=lambda chunks: f"{len(chunks)} chunks")
def test_torch_continues_where_it_stopped(chunks: tuple[int, ...]) -> None:
    """What streams where there is no compiled loop."""
    z, conditioning = drawn(frames=LONG)
    student = make()
    states, at = student.start(2), 0
    whole = student.given(conditioning).steps(z)
    for frames in chunks:
        end = at + frames
        noise = z[:, at * HOP : end * HOP]
        steps, states = student.continue_from(noise, conditioning[:, at:end], states)
        expected = whole.x[:, at * HOP : end * HOP]
        assert (steps.x - expected).abs().max() < 1e-12
        at = end
    reaches = [layer.reach for layer in student.wavenets[0].gated]
    assert [kept.shape[3] for kept in states[0].inputs] == reaches


@pytest.mark.parametrize("threads", [1, 2, 3, 40])
def test_parts_on_several_threads_are_the_whole_pass(threads: int) -> None:
    student = make(kernel=3, layers=3)
    z, conditioning = drawn(frames=LONG)
    assert 2 * student.config.receptive_field < z.shape[1]
    whole = student.given(conditioning)(z)
    x = synthesise(student, z, conditioning, threads)
    assert x.shape == whole.shape
    assert (x - whole).abs().max() < 1e-12


def test_a_stream_does_not_grow() -> None:
    streamer = Streamer(make())
    assert streamer._kernel is not None
    arena, before = streamer._kernel._arena, streamer._kernel._arena.nbytes
    for _ in range(50):
        streamer.push(torch.zeros(1, HOP).double(), torch.zeros(1, 1, FEATURES).double())
    assert streamer._kernel._arena is arena
    assert arena.nbytes == before


@pytest.mark.slow
def test_in_single_precision_streaming_and_inverse_keep_its_digits() -> None:
    """At the laptop's size: six flows of five layers."""
    torch.manual_seed(0)
    student = WaveNetFlowConfig().build((2400,))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    z, conditioning = torch.randn(2, 4000), torch.randn(2, 100, 27)
    streamer, given = Streamer(student, batch=2), student.given(conditioning)
    whole = given(z).detach()
    pieces = zip(z.split(400, dim=1), conditioning.split(10, dim=1), strict=True)
    streamed = torch.cat([streamer.push(noise, frames) for noise, frames in pieces], dim=1)
    assert whole.std() > 0.1
    assert (streamed - whole).abs().max() < 1e-6 * whole.abs().max()
    assert (given.inverse(whole) - z).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("z", "conditioning", "said"),
    [
        ((1, 7), (1, 1, FEATURES), r"samples: shape \(1, 7\) does not fit; give whole frames"),
        ((1, 0), (1, 0, FEATURES), r"samples: shape \(1, 0\)"),
        ((2, HOP), (2, 1, FEATURES), r"samples: shape \(2, 6\) .* \(1, a multiple of 6\)"),
        ((1, HOP), (1, 2, FEATURES), r"conditioning: .* 6 samples .* expected \(1, 1, 3\)"),
        ((1, HOP), (1, 1, 4), r"conditioning: shape \(1, 1, 4\)"),
    ],
    ids=str,
)
def test_chunks_that_do_not_fit_are_refused(
    z: tuple[int, ...], conditioning: tuple[int, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Streamer(make()).push(torch.zeros(z), torch.zeros(conditioning))


def test_no_threads_are_too_few() -> None:
    with pytest.raises(ValueError, match="threads: 0 is too few; give 1 or more"):
        synthesise(make(), *drawn(), threads=0)


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_an_inverse_with_too_many_or_too_few_frames_is_refused(frames: int) -> None:
    """Rather than written beyond its end."""
    with pytest.raises(ValueError, match="does not fit 24 samples in frames of 6"):
        make().inverse_given(torch.zeros(2, FRAMES * HOP), torch.zeros(2, frames, FEATURES))


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
