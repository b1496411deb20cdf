from __future__ import annotations

from typing import Any

import pytest
import torch

from raydistill.teachers.samplernn import SampleRNN, SampleRNNConfig
from raydistill.teachers.streams import SequenceLikelihood, StreamBatch

FRAMES, HOP, FEATURES = 3, 8, 4


def make(seed: int = 0, **fields: Any) -> SampleRNN:
    """A small one with weights far from their start."""
    values: dict[str, Any] = {
        "frame_sizes": (8, 4),
        "hidden": 6,
        "width": 5,
        "history": 6,
        "features": FEATURES,
        "hop": HOP,
    }
    torch.manual_seed(seed)
    model = SampleRNNConfig(**(values | fields)).build((FRAMES * HOP,), centre=0.3, spread=2.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double()


def noise(batch: int = 2, frames: int = FRAMES) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    z = torch.randn(batch, frames * HOP, generator=random, dtype=torch.float64)
    return z, torch.randn(batch, frames, FEATURES, generator=random, dtype=torch.float64)


SIZES = [
    {},
    {"frame_sizes": (8, 8)},
    {"frame_sizes": (4, 2), "history": 11},
    {"frame_sizes": (2, 1), "history": 1, "hidden": 3},
]


@pytest.mark.parametrize("fields", SIZES, ids=str)
def test_encode_undoes_decode_and_the_compiled_loop_is_the_sequential_one(
    fields: dict[str, Any],
) -> None:
    z, conditioning = noise()
    teacher = make(**fields).given(conditioning)
    x = teacher.decode(z)
    assert (teacher.encode(x).z - z).abs().max() < 1e-10
    assert (teacher.decode(z, "sequential") - x).abs().max() < 1e-10
    assert (teacher.decode(z, "jacobi", tolerance=1e-12) - x).abs().max() < 1e-9


def test_single_precision_keeps_the_round_trip_at_the_default_size() -> None:
    torch.manual_seed(0)
    model = SampleRNNConfig().build((2400,))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    z, conditioning = torch.randn(1, 4000), torch.randn(1, 100, 27)
    teacher = model.given(conditioning)
    with torch.no_grad():
        assert (teacher.encode(teacher.decode(z)).z - z).abs().max() < 1e-4


def test_the_log_determinant_is_that_of_the_jacobian_which_is_triangular() -> None:
    z, conditioning = noise(batch=1)
    teacher = make().given(conditioning)
    x = teacher.decode(z)
    jacobian = torch.autograd.functional.jacobian(lambda v: teacher.encode(v[None]).z[0], x[0])
    assert jacobian.triu(1).abs().max() == 0.0
    expected = jacobian.diagonal().log().sum()
    found = float(teacher.encode(x).log_det[0].detach())
    assert found == pytest.approx(float(expected), abs=1e-9)
    slopes = teacher.steps(x).log_derivative[0]
    assert torch.allclose(slopes, jacobian.diagonal().log(), atol=1e-9)


def test_the_prior_is_what_the_density_integrates_to() -> None:
    # Of one sample with nothing before it: a Gaussian of the first parameters.
    model = make(frame_sizes=(2, 1), hop=2)
    conditioning = torch.zeros(1, 1, FEATURES, dtype=torch.float64)
    grid = torch.linspace(-300.0, 300.0, 60_001, dtype=torch.float64)
    x = torch.stack([grid, torch.zeros_like(grid)], dim=1)
    steps = model.given(conditioning.expand(len(x), -1, -1)).steps(x)
    log_density = model.conditional.prior_log_prob(steps.z) + steps.log_derivative
    density = log_density.detach()[:, 0].exp()
    assert float(torch.trapezoid(density, grid)) == pytest.approx(1.0, abs=1e-6)


def test_carrying_the_state_over_windows_is_one_pass_over_all() -> None:
    model = make()
    _, conditioning = noise(frames=5)
    x = torch.randn(2, 5 * HOP, dtype=torch.float64)
    whole = model.params(x, conditioning)
    carried, parts = model.start(2), []
    for first, end in ((0, 1), (1, 3), (3, 5)):
        heard = model.hear_from(x[:, first * HOP : end * HOP], conditioning[:, first:end], carried)
        carried = heard.carried
        parts.append(heard.params)
    assert torch.equal(torch.cat(parts, dim=1).round(decimals=12), whole.round(decimals=12))


def test_streams_start_afresh_where_they_are_told_to() -> None:
    model = make()
    likelihood = SequenceLikelihood(model, streams=2)
    _, conditioning = noise(frames=2)
    x = torch.randn(2, 2 * HOP, dtype=torch.float64)
    fresh = torch.tensor([True, True])
    likelihood(StreamBatch(torch.randn_like(x), conditioning, fresh))
    kept = likelihood(StreamBatch(x, conditioning, torch.tensor([False, False]))).loss
    likelihood(StreamBatch(torch.randn_like(x), conditioning, fresh))
    forgot = likelihood(StreamBatch(x, conditioning, fresh)).loss
    alone = -model.given(conditioning).log_prob(x).mean() / x.shape[1]
    assert float(forgot) == pytest.approx(float(alone), abs=1e-12)
    assert float(kept) != pytest.approx(float(alone), abs=1e-6)


def test_streams_are_in_the_checkpoint() -> None:
    first = SequenceLikelihood(make(), streams=2)
    _, conditioning = noise(frames=2)
    x = torch.randn(2, 2 * HOP, dtype=torch.float64)
    batch = StreamBatch(x, conditioning, torch.tensor([False, False]))
    first(batch)
    second = SequenceLikelihood(make(seed=5), streams=2).double()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(batch).loss, second(batch).loss)


@pytest.mark.parametrize(
    ("fields", "shape", "said"),
    [
        ({"frame_sizes": (7, 3)}, (24,), "frame_sizes: (7, 3) do not divide"),
        ({"frame_sizes": (16, 8)}, (24,), "frame_sizes: (16, 8) do not divide"),
        ({}, (25,), "25 samples are no whole number of frames of 8"),
        ({}, (3, 8, 8), "needs sequences"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    fields: dict[str, Any], shape: tuple[int, ...], said: str
) -> None:
    config = SampleRNNConfig(**({"frame_sizes": (8, 4), "hop": HOP} | fields))
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        config.check(shape)


def test_conditioning_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="expected \\(batch, frames, 4\\)"):
        make().given(torch.zeros(1, 3, 5))
