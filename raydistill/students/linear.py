"""The linear student of sections 3.2 and 4.1.1: x = b + A z, with a full or triangular matrix A."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from raydistill.conditionals import LOG_TWO_PI
from raydistill.config.shapes import vector_length
from raydistill.networks.summary import summary
from raydistill.seeding import generator
from raydistill.students.base import FlowStudent, Pushforward, StudentConfig
from raydistill.theory.gaussians import Gaussian, apply

Structure = Literal["full", "lower_triangular"]


class LinearStudentConfig(StudentConfig):
    """Structure of the matrix A, and where its training starts.

    Attributes:
        structure: `full` as in the paper, or `lower_triangular`: a linear inverse autoregressive
            flow. Pairs (x, z) identify the teacher's matrix R itself and not only its distribution,
            so give a triangular student a triangular teacher.
        start: `identity`, so that p_S starts as N(0, I) as in Proposition 1; or `random`, with
            entries from N(0, 1/T).

    Example:
        >>> from raydistill.students.linear import LinearStudentConfig
        >>> LinearStudentConfig(structure="lower_triangular").build((4,))
        LinearStudent(kind='linear', structure='lower_triangular', event_shape=(4,), parameters=20)
    """

    kind: Literal["linear"] = "linear"
    is_flow: ClassVar[bool] = True
    has_score: ClassVar[bool] = True
    is_gaussian: ClassVar[bool] = True
    structure: Structure = "full"
    start: Literal["identity", "random"] = "identity"

    def check(self, event_shape: tuple[int, ...]) -> None:
        vector_length("student.kind", event_shape)

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> LinearStudent:
        """Build one student; a random start is drawn from torch's global generator."""
        self.check(event_shape)
        matrix = spread * self._start(event_shape[0], int(torch.randint(1 << 31, ())))
        return LinearStudent(torch.full(event_shape, centre), matrix.float(), self.structure)

    def build_stack(self, event_shape: tuple[int, ...], seeds: Sequence[int]) -> LinearStudent:
        """Build K independent students, one a seed, as one student of event shape (K, T).

        It computes in float64: float32 would lose digits to the condition number of the teacher.
        """
        self.check(event_shape)
        matrices = torch.stack([self._start(event_shape[0], seed) for seed in seeds])
        return LinearStudent(matrices.new_zeros(matrices.shape[:-1]), matrices, self.structure)

    def _start(self, dimension: int, seed: int) -> Tensor:
        if self.start == "identity":
            return torch.eye(dimension, dtype=torch.float64)
        random = generator("cpu", "linear student", seed)
        shape = (dimension, dimension)
        entries = torch.randn(shape, generator=random, dtype=torch.float64)
        if self.structure == "lower_triangular":  # the diagonal holds a flow's scales: positive
            entries = entries.tril(-1) + entries.diagonal().abs().diag()
        return entries / math.sqrt(dimension)


class LinearStudent(FlowStudent):
    """x = b + A z, so that p_S = N(b, A A^T) with density and score in closed form.

    Args:
        bias: b, (..., T); leading dimensions are independent students.
        matrix: A, (..., T, T).
        structure: `lower_triangular` ignores the entries above the diagonal.

    Example:
        >>> import torch
        >>> from raydistill.students.linear import LinearStudent
        >>> student = LinearStudent(torch.zeros(2), torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
        >>> student
        LinearStudent(kind='linear', structure='full', event_shape=(2,), parameters=6)
        >>> x = student(torch.tensor([[1.0, 1.0]]))
        >>> x.tolist()
        [[2.0, 2.0]]
        >>> student.inverse(x).tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, bias: Tensor, matrix: Tensor, structure: Structure = "full") -> None:
        super().__init__()
        self.event_shape = tuple(bias.shape)
        self.structure = structure
        self.bias = nn.Parameter(bias.clone())
        self.matrix = nn.Parameter(matrix.clone())

    def extra_repr(self) -> str:
        shape = self.event_shape
        return summary(self, kind="linear", structure=self.structure, event_shape=shape)

    @property
    def factor(self) -> Tensor:
        """The matrix A as it is used, (..., T, T): lower triangular where `structure` says so."""
        return self.matrix if self.structure == "full" else self.matrix.tril()

    def forward_with_log_det(self, z: Tensor) -> Pushforward:
        factor = self.factor
        if self.structure == "full":
            log_det = torch.linalg.slogdet(factor).logabsdet
        else:
            log_det = factor.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
        return Pushforward(self.bias + apply(factor, z), log_det.sum().expand(z.shape[0]))

    def forward(self, z: Tensor) -> Tensor:
        return self.bias + apply(self.factor, z)

    @torch.no_grad()
    def inverse(self, x: Tensor) -> Tensor:
        right = (x - self.bias).movedim(0, -1)
        solved: Tensor
        if self.structure == "full":
            solved = torch.linalg.solve(self.factor, right)
        else:
            solved = torch.linalg.solve_triangular(self.factor, right, upper=False)
        return solved.movedim(-1, 0)

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + LOG_TWO_PI).flatten(1).sum(1)

    @torch.no_grad()
    def score(self, z: Tensor) -> Tensor:
        # log p_S(x) = log p(A^-1 (x - b)) + const, so its gradient is -A^-T z.
        solved: Tensor = torch.linalg.solve(self.factor.mT, z.movedim(0, -1))
        return -solved.movedim(-1, 0)

    def gaussian(self) -> Gaussian:
        return Gaussian(self.bias, self.factor)
