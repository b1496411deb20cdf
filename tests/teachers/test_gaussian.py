"""Gaussian teachers: how R is made, stacks of them, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import MultivariateNormal

from raydistill.teachers.gaussian import GaussianTeacher, GaussianTeacherConfig
from tests.helpers import normal


def test_log_prob_is_the_multivariate_normal_s() -> None:
    teacher = GaussianTeacherConfig().build_stack((6,), range(3))
    x = normal(10, 3, 6)
    member = MultivariateNormal(
        teacher.mean, covariance_matrix=teacher.factor @ teacher.factor.mT
    ).log_prob(x)
    torch.testing.assert_close(teacher.log_prob(x), member.sum(1), rtol=1e-8, atol=1e-8)


def test_samples_have_the_stated_moments() -> None:
    teacher = GaussianTeacherConfig(mean=2.0).build((3,)).double()
    x = teacher.sample(200_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.mean(0), teacher.mean, rtol=0.0, atol=0.03)
    expected = teacher.factor @ teacher.factor.mT
    torch.testing.assert_close(torch.cov(x.T), expected, rtol=0.05, atol=0.05)
    assert bool((teacher.mean == 2.0).all())


def test_the_paper_s_entries_are_standard_normal_and_scaled_ones_smaller() -> None:
    drawn = [
        torch.stack(
            [GaussianTeacherConfig(matrix=matrix).gaussian(40, s).factor for s in range(20)]
        )
        for matrix in ("standard", "scaled")
    ]
    assert float(drawn[0].std()) == pytest.approx(1.0, abs=0.02)
    assert float(drawn[0].mean()) == pytest.approx(0.0, abs=0.02)
    torch.testing.assert_close(drawn[1], drawn[0] / math.sqrt(40))


def test_a_chosen_condition_and_chosen_eigenvalues() -> None:
    factor = GaussianTeacherConfig(matrix="spectrum", condition=50.0).gaussian(9, 3).factor
    singular = torch.linalg.svdvals(factor)
    assert float(singular[0] / singular[-1]) == pytest.approx(50.0)
    assert float(singular.log().sum()) == pytest.approx(0.0, abs=1e-10)
    chosen = (0.5, 1.0, 4.0)
    config = GaussianTeacherConfig(matrix="spectrum", eigenvalues=chosen)
    found = torch.linalg.svdvals(config.gaussian(3, 0).factor).square()
    assert found.flip(0).tolist() == pytest.approx(chosen)
    # Another seed is another rotation of the same spectrum.
    other, same = config.gaussian(3, 1).factor, config.gaussian(3, 0).factor
    assert not torch.allclose(other @ other.mT, same @ same.mT)


def test_one_dimension_of_a_spectrum() -> None:
    factor = (
        GaussianTeacherConfig(matrix="spectrum", condition=10.0, scale=2.0).gaussian(1, 0).factor
    )
    assert bool(factor.isfinite().all())


def test_a_given_covariance_is_the_teacher_s() -> None:
    rows = ((4.0, 1.0), (1.0, 2.0))
    factor = GaussianTeacherConfig(matrix="covariance", covariance=rows).gaussian(2, 0).factor
    torch.testing.assert_close(factor @ factor.mT, torch.tensor(rows, dtype=torch.float64))


def test_the_triangular_form_is_the_same_distribution() -> None:
    plain, triangular = (
        GaussianTeacherConfig(triangular=choice).gaussian(8, 5).factor for choice in (False, True)
    )
    torch.testing.assert_close(triangular @ triangular.mT, plain @ plain.mT)
    assert torch.equal(triangular, triangular.tril())


def test_a_stack_is_its_members() -> None:
    config = GaussianTeacherConfig()
    stack = config.build_stack((5,), (7, 3))
    z = normal(4, 2, 5)
    for k, seed in enumerate((7, 3)):
        alone = config.build_stack((5,), (seed,))
        torch.testing.assert_close(stack.decode(z)[:, k], alone.decode(z[:, k : k + 1])[:, 0])
        torch.testing.assert_close(stack.encode(z).z[:, k], alone.encode(z[:, k : k + 1]).z[:, 0])
    assert stack.dimension == 10


BAD: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"matrix": "spectrum"}, ("teacher.matrix", "teacher.condition", "teacher.eigenvalues")),
    ({"condition": 3.0}, ("teacher.condition", "'standard'", "'spectrum'")),
    (
        {"matrix": "spectrum", "eigenvalues": (1.0, 0.0)},
        ("teacher.eigenvalues", "0 is not positive", "positive definite"),
    ),
    (
        {"matrix": "spectrum", "eigenvalues": (1.0, -2.0)},
        ("teacher.eigenvalues", "-2 is not positive"),
    ),
    (
        {"matrix": "covariance", "covariance": ((1.0, 2.0), (2.0, 1.0))},
        ("teacher.covariance", "smallest eigenvalue -1", "positive definite"),
    ),
    (
        {"matrix": "covariance", "covariance": ((1.0, 1.0), (1.0, 1.0))},
        ("teacher.covariance", "smallest eigenvalue", "positive definite"),
    ),
    (
        {"matrix": "covariance", "covariance": ((1.0, 0.5), (0.0, 1.0))},
        ("teacher.covariance", "symmetric"),
    ),
    ({"matrix": "covariance", "covariance": ((1.0, 0.0),)}, ("row 0 has 2 entries", "give")),
    ({"matrix": "covariance", "covariance": ()}, ("teacher.covariance", "empty")),
    ({"matrix": "covariance"}, ("teacher.covariance", "give both or neither")),
    ({"mean": math.nan}, ("mean", "finite")),
    ({"scale": 0.0}, ("scale", "greater than 0")),
]


@pytest.mark.parametrize(("values", "words"), BAD, ids=str)
def test_what_is_no_covariance_is_refused(values: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        GaussianTeacherConfig(**values)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("mean", "factor", "words"),
    [
        (torch.zeros(2), torch.eye(3), ("shape (3, 3)", "(2,)")),
        (torch.zeros(2), torch.ones(2, 2), ("condition number", "positive definite")),
        (torch.zeros(2), torch.full((2, 2), math.nan), ("factor", "NaN")),
        (torch.tensor([0.0, math.inf]), torch.eye(2), ("mean", "infinity")),
        (torch.zeros(0), torch.zeros(0, 0), ("T at least 1",)),
    ],
    ids=str,
)
def test_a_singular_or_broken_teacher_is_refused(
    mean: torch.Tensor, factor: torch.Tensor, words: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        GaussianTeacher(mean, factor)
    for word in words:
        assert word in str(caught.value)


def test_a_spectrum_of_another_dimension_is_refused() -> None:
    config = GaussianTeacherConfig(matrix="spectrum", eigenvalues=(1.0, 2.0))
    with pytest.raises(ValueError, match=r"teacher.eigenvalues: 2 values do not fit dimension 3"):
        config.check((3,))
    with pytest.raises(ValueError, match=r"needs vectors"):
        config.check((1, 8, 8))


def test_decode_refuses_the_wrong_shape_and_method() -> None:
    teacher = GaussianTeacherConfig().build((3,))
    with pytest.raises(ValueError, match=r"z: shape \(2, 4\)"):
        teacher.decode(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="'sequential' is not one of exact"):
        teacher.decode(torch.zeros(2, 3), "sequential")
