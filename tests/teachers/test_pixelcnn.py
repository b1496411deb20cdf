"""The PixelCNN++ teacher: three exact decoders of one causal network."""

from __future__ import annotations

import re

import pytest
import torch
from scipy import stats

from raydistill.networks.pixelcnn.image_map import raster_order
from raydistill.teachers.autoregressive import FREEZE
from raydistill.teachers.base import DecodingError
from raydistill.teachers.pixelcnn import PixelCNNConfig, PixelCNNTeacher
from tests.helpers import jacobian, normal, tiny_teacher

SIZES = [
    ((1, 8, 8), 1, 1),
    ((1, 8, 8), 2, 2),
    ((1, 8, 8), 1, 3),
    ((3, 4, 4), 1, 3),  # the coarsest image is a single pixel
    ((3, 4, 4), 2, 2),
    ((2, 6, 6), 1, 1),
]
every_size = pytest.mark.parametrize(
    ("shape", "blocks", "stages"), SIZES, ids=lambda value: str(value).replace(" ", "")
)


@every_size
def test_sequential_cached_and_jacobi_agree(
    shape: tuple[int, int, int], blocks: int, stages: int
) -> None:
    teacher = tiny_teacher(shape, blocks=blocks, stages=stages)
    z = normal(3, *shape)
    sequential = teacher.decode(z, "sequential")
    cached = teacher.decode(z, "cached")
    torch.testing.assert_close(cached, sequential, rtol=0.0, atol=1e-10)
    exact = teacher.decode(z, "jacobi", tolerance=0.0)
    torch.testing.assert_close(exact, sequential, rtol=0.0, atol=1e-10)
    for tolerance in (1e-2, 1e-5):
        near = teacher.decode(z, "jacobi", tolerance=tolerance)
        assert float((near - sequential).abs().max()) <= tolerance


def test_default_method_is_cached(teacher: PixelCNNTeacher) -> None:
    z = normal(2, *teacher.event_shape)
    assert torch.equal(teacher.decode(z), teacher.decode(z, "cached"))
    assert set(teacher.decode_methods) == {"cached", "sequential", "jacobi"}


@pytest.mark.parametrize("method", ["cached", "sequential", "jacobi"])
def test_decoding_does_not_depend_on_memory_layout(method: str) -> None:
    """Codes of a convolutional student are channels-last; a slice of pairs is not contiguous."""
    teacher = tiny_teacher((3, 4, 4))
    z = normal(4, 3, 4, 4)
    expected = teacher.decode(z, "cached")
    layouts = [
        z.contiguous(memory_format=torch.channels_last),
        z.repeat_interleave(2, dim=0)[::2],
        z.transpose(2, 3).contiguous().transpose(2, 3),
    ]
    for layout in layouts:
        assert torch.equal(layout, z)
        found = teacher.decode(layout, method, **({"tolerance": 0.0} if method == "jacobi" else {}))
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 4)])
def test_changing_a_pixel_changes_nothing_before_or_at_it(shape: tuple[int, int, int]) -> None:
    """By finite changes, which a gradient could miss: the recursion f(z_t; x_<t) of each t."""
    teacher = tiny_teacher(shape)
    order, count = teacher.decoding_order(), teacher.dimension
    z, x = normal(1, *shape, seed=1), normal(1, *shape, seed=2)
    changed = x.expand(count, *shape).clone().view(count, -1)
    changed[torch.arange(count), order] += 2.0
    with torch.no_grad():
        before = teacher.sweep(z.expand(count, *shape), x.expand(count, *shape))
        after = teacher.sweep(z.expand(count, *shape), changed.view(count, *shape))
    moved = (after - before).view(count, -1)[:, order].abs()
    assert float(moved.tril(0).max()) < 1e-12  # row t: the outputs at or before t
    later = moved.triu(1).amax(dim=1)
    assert bool((later[:-1] > 1e-6).all())


@pytest.mark.parametrize(
    ("shape", "blocks", "stages"), [((1, 8, 8), 1, 2), ((1, 12, 12), 1, 3), ((3, 8, 8), 2, 2)]
)
def test_last_dimension_sees_the_first(
    shape: tuple[int, int, int], blocks: int, stages: int
) -> None:
    teacher = tiny_teacher(shape, blocks=blocks, stages=stages)
    order = teacher.decoding_order()
    x = normal(1, *shape).requires_grad_()
    last = teacher.encode(x).z.flatten()[order[-1]]
    (gradient,) = torch.autograd.grad(last, x)
    assert float(gradient.flatten()[order[0]].abs()) > 0.0


def test_every_output_sees_its_whole_past() -> None:
    """At a size whose pyramid reaches everywhere; smaller ones miss the far left of a row."""
    teacher = tiny_teacher((1, 8, 8), blocks=2)
    seen = jacobian(lambda x: teacher.encode(x).z, normal(1, 8, 8))
    assert bool((seen[torch.ones(64, 64).tril().bool()] != 0.0).all())


def test_jacobi_that_meets_its_cap_raises(teacher: PixelCNNTeacher) -> None:
    z = normal(2, *teacher.event_shape)
    with pytest.raises(DecodingError, match=r"max_sweeps = 2 .*raise max_sweeps"):
        teacher.decode(z, "jacobi", max_sweeps=2)


def test_jacobi_stops_as_soon_as_nothing_moves() -> None:
    """Independent dimensions are exact after one sweep; the second sees that nothing moved."""
    torch.manual_seed(0)
    teacher = PixelCNNConfig(channels=4).build((1, 8, 8), centre=0.7, spread=1.3).double()
    z = normal(2, 1, 8, 8)
    x = teacher.decode(z, "jacobi", max_sweeps=2)
    torch.testing.assert_close(x, teacher.standardise.restore(z))


def test_jacobi_does_not_return_what_is_not_a_number(teacher: PixelCNNTeacher) -> None:
    z = normal(2, *teacher.event_shape)
    z[0, 0, 0, 0] = float("nan")
    with pytest.raises(DecodingError):
        teacher.decode(z, "jacobi")


def test_jacobi_lets_converged_examples_go_and_keeps_converged_prefixes(
    teacher: PixelCNNTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    tolerance = 1e-3
    z = normal(6, *teacher.event_shape)
    z[:3, :, 2:] *= 30.0  # not all take as long
    expected = teacher.decode(z)
    sweep, seen = teacher.sweep, []

    def record(z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        seen.append(x.clone())
        return sweep(z, x)

    monkeypatch.setattr(teacher, "sweep", record)
    together = teacher.decode(z, "jacobi", tolerance=tolerance)
    assert float((together - expected).abs().max()) < tolerance
    sizes = [len(x) for x in seen]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 6 > sizes[-1]

    seen.clear()
    teacher.decode(z[:1], "jacobi", tolerance=tolerance)
    path = torch.cat(seen).flatten(1)[:, teacher.decoding_order()]
    moved = path.diff(dim=0).abs()
    settled = (moved <= FREEZE * tolerance).long().cumprod(dim=1).bool()
    # Whatever has settled in one sweep moves in no later one.
    later = moved.flip(0).cummax(dim=0).values.flip(0)[1:]
    assert bool(settled[:-1].any())
    assert float(later[settled[:-1]].max()) == 0.0


def test_unknown_method_is_refused(teacher: PixelCNNTeacher) -> None:
    with pytest.raises(ValueError, match=r"^method: 'fast' .*cached, sequential, jacobi"):
        teacher.decode(normal(1, *teacher.event_shape), "fast")


@pytest.mark.parametrize("shape", [(1, 8), (2, 1, 4, 4), (2, 3, 8, 8), (64,)])
def test_codes_of_another_shape_are_refused(
    teacher: PixelCNNTeacher, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"^z: shape .*expected \(batch, 1, 8, 8\)"):
        teacher.decode(normal(*shape))


@pytest.mark.parametrize(
    ("stages", "shape", "remedy"),
    [(3, (1, 14, 14), 2), (2, (1, 7, 7), 1), (5, (1, 28, 28), 3), (4, (3, 12, 12), 3)],
)
def test_sides_that_cannot_be_halved_are_refused_with_a_remedy_that_works(
    stages: int, shape: tuple[int, int, int], remedy: int
) -> None:
    config = PixelCNNConfig(channels=2, stages=stages)
    message = rf"^teacher\.model\.stages: {stages} .*{shape[1]}x{shape[2]}; give at most {remedy}$"
    with pytest.raises(ValueError, match=message):
        config.check(shape)
    with pytest.raises(ValueError, match=message):
        PixelCNNTeacher(config, shape)
    fixed = PixelCNNConfig(channels=2, stages=remedy)
    fixed.check(shape)
    assert fixed.build(shape).encode(torch.zeros(1, *shape)).z.shape == (1, *shape)
    with pytest.raises(ValueError, match="stages"):  # "at most" is the most that fits
        PixelCNNConfig(channels=2, stages=remedy + 1).check(shape)


@pytest.mark.parametrize("stages", [1, 2])
def test_images_that_are_not_square_are_refused(stages: int) -> None:
    with pytest.raises(ValueError, match=r"square.*8x12") as caught:
        PixelCNNConfig(stages=stages).check((1, 8, 12))
    # No number of stages helps, so none may be advised.
    for advised in re.findall(r"give at most (\d+)", str(caught.value)):
        PixelCNNConfig(stages=int(advised)).check((1, 8, 12))


def test_decoding_leaves_the_module_untouched(teacher: PixelCNNTeacher) -> None:
    teacher.log_prob(normal(2, *teacher.event_shape)).sum().backward()
    weights = {name: value.clone() for name, value in teacher.state_dict().items()}
    gradients = {name: p.grad.clone() for name, p in teacher.named_parameters()}  # type: ignore[union-attr]
    z = normal(2, *teacher.event_shape)
    given = z.clone()
    for method in teacher.decode_methods:
        teacher.train()
        x = teacher.decode(z, method)
        assert not x.requires_grad
        assert teacher.training
    assert torch.equal(z, given)
    assert all(torch.equal(value, weights[name]) for name, value in teacher.state_dict().items())
    for name, parameter in teacher.named_parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradients[name])


def test_decoding_reads_the_weights_of_now(teacher: PixelCNNTeacher) -> None:
    """Folded weights may not outlive an update."""
    z = normal(2, *teacher.event_shape)
    before = teacher.decode(z)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(1.5)
    after = teacher.decode(z)
    assert float((after - before).abs().max()) > 1e-3
    torch.testing.assert_close(after, teacher.decode(z, "sequential"), rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("method", ["cached", "sequential", "jacobi"])
def test_samples_do_not_depend_on_their_batch(method: str) -> None:
    teacher = tiny_teacher((1, 4, 4))
    z = normal(4, 1, 4, 4)
    keywords = {"tolerance": 0.0} if method == "jacobi" else {}
    together = teacher.decode(z, method, **keywords)
    alone = torch.cat([teacher.decode(one, method, **keywords) for one in z.split(1)])
    torch.testing.assert_close(together, alone, rtol=0.0, atol=1e-10)
    turned = teacher.decode(z.flip(0), method, **keywords).flip(0)
    torch.testing.assert_close(together, turned, rtol=0.0, atol=1e-10)


def test_samples_are_those_of_the_density() -> None:
    """Codes of samples are standard normal, and samples are a function of the generator."""
    teacher = tiny_teacher((1, 4, 4)).float()
    x = teacher.sample(400, torch.Generator().manual_seed(1))
    same = teacher.sample(400, torch.Generator().manual_seed(1), "sequential")
    torch.testing.assert_close(x, same, rtol=1e-4, atol=1e-4)
    z = teacher.encode(x).z.detach().flatten().numpy()
    assert stats.kstest(z, "norm").pvalue > 0.01
    assert stats.kstest(x.flatten().numpy(), "norm").pvalue < 1e-6


def test_untrained_teacher_is_the_gaussian_of_the_data() -> None:
    """Its head starts at zero: N(centre, spread^2), whatever the rest of the network."""
    torch.manual_seed(0)
    teacher = PixelCNNConfig(channels=4).build((3, 4, 4), centre=-2.0, spread=3.0).double()
    x = normal(2, 3, 4, 4)
    density = torch.distributions.Normal(torch.tensor(-2.0).double(), 3.0)
    expected = density.log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(teacher.log_prob(x), expected)


def test_raster_order_goes_through_pixels_then_channels() -> None:
    assert raster_order((2, 2, 2)).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_border_is_told_from_a_black_pixel() -> None:
    """At an input of zeros, outputs near the border differ from those inside."""
    teacher = tiny_teacher((1, 8, 8))
    with torch.no_grad():
        params = teacher.map(torch.zeros(1, 1, 8, 8, dtype=torch.float64))
    inside = params[0, 0, 4:6, 4:6].flatten(0, 1)
    assert float((params[0, 0, 0, 0] - inside).abs().max()) > 1e-3
