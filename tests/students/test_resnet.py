"""The ResNet student: its receptive field spans z, or its configuration is refused."""

from __future__ import annotations

import pytest
import torch

from raydistill.students.resnet import ResNetConfig, ResNetStudent
from tests.helpers import jacobian, normal, randomise

SIZES = [
    # shape, patch, least number of blocks
    ((1, 8, 8), 1, 3),
    ((1, 7, 7), 1, 2),
    ((3, 8, 8), 2, 1),
    ((1, 12, 12), 2, 2),
    ((1, 12, 12), 1, 5),
    ((3, 12, 12), 2, 2),
    ((1, 12, 12), 4, 1),
]
every_size = pytest.mark.parametrize(
    ("shape", "patch", "least"), SIZES, ids=lambda value: str(value).replace(" ", "")
)


def build(shape: tuple[int, int, int], patch: int, blocks: int) -> ResNetStudent:
    torch.manual_seed(0)
    width = shape[0] * patch**2 + 1
    config = ResNetConfig(channels=width, blocks=blocks, patch=patch)
    return randomise(config.build(shape, centre=0.7, spread=1.3))


@every_size
def test_least_number_of_blocks_sees_all_of_z(
    shape: tuple[int, int, int], patch: int, least: int
) -> None:
    student = build(shape, patch, least)
    assert bool((jacobian(student, normal(*shape)) != 0.0).all())


@every_size
def test_one_block_fewer_does_not_and_is_refused(
    shape: tuple[int, int, int], patch: int, least: int
) -> None:
    student = build(shape, patch, least)
    del student.blocks[-1]
    seen = jacobian(student, normal(*shape)) != 0.0
    if shape[-1] // patch > 3:  # input and output convolutions alone span three patches
        assert not bool(seen.all())
    if least > 1:
        with pytest.raises(ValueError, match=rf"^student\.blocks: {least - 1} .*at least {least}"):
            ResNetConfig(channels=64, blocks=least - 1, patch=patch).check(shape)
        with pytest.raises(ValueError, match=r"^student\.blocks"):
            ResNetConfig(channels=64, blocks=least - 1, patch=patch).build(shape)


def test_patch_that_does_not_divide_the_side_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^student\.patch: 4 .*side 14; give a divisor, or 1$"):
        ResNetConfig(patch=4).check((1, 14, 14))


@pytest.mark.parametrize(("shape", "folded"), [((1, 8, 8), 16), ((3, 8, 8), 48)])
def test_width_that_would_compress_the_noise_is_refused(
    shape: tuple[int, int, int], folded: int
) -> None:
    with pytest.raises(ValueError, match=rf"^student\.channels: {folded - 1} .*least {folded}$"):
        ResNetConfig(channels=folded - 1, patch=4).check(shape)
    ResNetConfig(channels=folded, patch=4).check(shape)


@pytest.mark.parametrize("patch", [1, 2])
def test_patches_are_put_back_where_they_were(patch: int) -> None:
    """Untouched branches and a centre tap copy z: space-to-depth is undone by its inverse."""
    shape = (3, 8, 8)
    folded = shape[0] * patch**2
    student = ResNetConfig(channels=folded, blocks=3, patch=patch).build(shape).double()
    with torch.no_grad():
        for layer in (student.input, student.output):
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[:, :, 1, 1] = torch.eye(folded)
    z = normal(2, *shape)
    expected = torch.nn.functional.silu(z)  # the one nonlinearity that is left
    torch.testing.assert_close(student(z), expected)


def test_residual_branches_start_at_the_identity() -> None:
    """However many blocks, the untrained student is its input and output convolution."""
    torch.manual_seed(0)
    student = ResNetConfig(channels=8, blocks=4, patch=1).build((1, 8, 8)).double()
    z = normal(2, 1, 8, 8)
    expected = student(z)
    del student.blocks[:]
    assert torch.equal(student(z), expected)


def test_centre_and_spread_are_those_of_the_data() -> None:
    values = []
    for centre, spread in ((0.0, 1.0), (-3.0, 2.0)):
        torch.manual_seed(0)
        student = ResNetConfig(channels=8).build((1, 8, 8), centre=centre, spread=spread)
        values.append(student(normal(2, 1, 8, 8).float()))
    torch.testing.assert_close(values[1], -3.0 + 2.0 * values[0])
