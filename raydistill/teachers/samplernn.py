"""SampleRNN (Mehri et al., 2017) with a Gaussian conditional, the vocoder's teacher.

Section 4.1.4 of the paper. Three tiers: a GRU over frames, which hears the conditioning; a GRU over
parts of a frame; and a perceptron over the last samples, with a linear predictor beside it. Each
tier is given what the one above makes of the past. The features of a frame are used for all of its
samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from raydistill.conditionals import GaussianConditional
from raydistill.config.shapes import sequence_length
from raydistill.kernels.samplernn import decode as samplernn_kernel
from raydistill.teachers.base import TeacherConfig
from raydistill.teachers.conditioned import ConditionedTeacher


class SampleRNNConfig(TeacherConfig):
    """Size of a SampleRNN.

    Attributes:
        frame_sizes: samples of a frame of the upper and of the middle tier.
        hidden: units of each GRU.
        width: of the perceptron.
        history: samples that it sees.
        features, hop: numbers of conditioning a frame, and its samples.
        min_log_scale, max_log_scale: bounds of log sigma of standardised samples.
    """

    kind: Literal["samplernn"] = "samplernn"
    gaussian_steps: ClassVar[bool] = True
    decoding_only: ClassVar[tuple[str, ...]] = ("raydistill.kernels.samplernn",)
    frame_sizes: tuple[int, int] = (40, 8)
    hidden: int = Field(default=128, ge=1, le=4096)
    width: int = Field(default=64, ge=1, le=4096)
    history: int = Field(default=32, ge=1, le=1024)
    features: int = Field(default=27, ge=1)
    hop: int = Field(default=40, ge=1)
    min_log_scale: float = Field(default=-5.0, ge=-30.0, le=0.0)
    max_log_scale: float = Field(default=1.0, ge=0.0, le=30.0)

    def check(self, event_shape: tuple[int, ...]) -> None:
        sequence_length("teacher.model.kind", event_shape, self.hop)
        upper, middle = self.frame_sizes
        if middle < 1 or upper % middle or self.hop % upper:
            raise ValueError(
                f"teacher.model.frame_sizes: {self.frame_sizes} do not divide one another and the "
                f"{self.hop} samples of a frame of features; give for example ({self.hop}, "
                f"{max(1, self.hop // 5)})"
            )

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> SampleRNN:
        return SampleRNN(self, event_shape, centre=centre, spread=spread)


@dataclass(frozen=True)
class Carried:
    """What a SampleRNN remembers of each sequence of a batch.

    Attributes:
        past: the last samples, standardised, (B, SampleRNN.past).
        upper, middle: states of the GRUs, (B, hidden).
    """

    past: Tensor
    upper: Tensor
    middle: Tensor


@dataclass(frozen=True)
class Heard:
    """Parameters of the conditionals, (B, N, 2), and what is remembered after them."""

    params: Tensor
    carried: Carried


class SampleRNN(ConditionedTeacher):
    """See the module.

    Args:
        config: its size.
        event_shape: (N,), what `decode` takes without conditioning; sequences may have any length.
        centre, spread: mean and standard deviation of the training samples.
    """

    conditional: GaussianConditional

    def __init__(
        self,
        config: SampleRNNConfig,
        event_shape: tuple[int, ...],
        *,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        config.check(event_shape)
        self.config, self.event_shape = config, event_shape
        self.features, self.hop = config.features, config.hop
        self.centre, self.spread = centre, spread
        low, high = (
            bound + math.log(spread) for bound in (config.min_log_scale, config.max_log_scale)
        )
        self.conditional = GaussianConditional(low, high)
        upper, middle = config.frame_sizes
        hidden, width = config.hidden, config.width
        self.condition = nn.Linear(config.features, hidden)
        self.hear_upper = nn.Linear(upper, hidden, bias=False)
        self.gru_upper = nn.GRU(hidden, hidden, batch_first=True)
        self.spread_upper = nn.Linear(hidden, upper // middle * hidden)
        self.hear_middle = nn.Linear(middle, hidden, bias=False)
        self.gru_middle = nn.GRU(hidden, hidden, batch_first=True)
        self.spread_middle = nn.Linear(hidden, middle * width)
        self.hear = nn.Linear(config.history, width, bias=False)
        self.inner = nn.Linear(width, width)
        self.head = nn.Linear(width, 2)
        self.predictor = nn.Linear(config.history, 2, bias=False)
        for weights in (self.head.weight, self.head.bias, self.predictor.weight):
            nn.init.zeros_(weights)

    @property
    def past(self) -> int:
        """Samples that have to be remembered."""
        return max(*self.config.frame_sizes, self.config.history)

    def start(self, batch: int) -> Carried:
        """What is remembered before the first sample: nothing."""
        zeros = self.head.weight.new_zeros
        hidden = self.config.hidden
        return Carried(zeros(batch, self.past), zeros(batch, hidden), zeros(batch, hidden))

    def hear_from(self, x: Tensor, conditioning: Tensor, carried: Carried) -> Heard:
        """Parameters of samples x (B, N) that follow what is remembered.

        Args:
            x: on the data's scale; N is a multiple of `hop`.
            conditioning: (B, N / hop, features).
            carried: see there.
        """
        upper, middle = self.config.frame_sizes
        batch, length = x.shape
        whole = torch.cat([carried.past, (x - self.centre) / self.spread], dim=1)

        def before(count: int) -> Tensor:
            """Frames of the samples before each frame of `count`, (B, N / count, count)."""
            first = self.past - count
            return whole[:, first : first + length].view(batch, -1, count)

        given = self.condition(conditioning)
        given = given.repeat_interleave(self.hop // upper, dim=1) + self.hear_upper(before(upper))
        slow, upper_state = self.gru_upper(given, carried.upper[None])
        given = self.spread_upper(slow).view(batch, length // middle, -1)
        given = given + self.hear_middle(before(middle))
        fast, middle_state = self.gru_middle(given, carried.middle[None])
        given = self.spread_middle(fast).view(batch, length, -1)
        history = self.config.history
        window = whole[:, self.past - history : -1].unfold(1, history, 1)
        hidden = F.relu(given + self.hear(window))
        params = self.head(F.relu(self.inner(hidden))) + self.predictor(window)
        after = Carried(whole[:, -self.past :], upper_state[0], middle_state[0])
        return Heard(self._on_scale(params), after)

    def params(self, x: Tensor, conditioning: Tensor) -> Tensor:
        return self.hear_from(x, conditioning, self.start(len(x))).params

    def _on_scale(self, params: Tensor) -> Tensor:
        """From standardised samples to the data's scale."""
        if self.centre == 0.0 and self.spread == 1.0:
            return params
        mean, log_scale = params.unbind(-1)
        scaled = self.centre + self.spread * mean, log_scale + math.log(self.spread)
        return torch.stack(scaled, dim=-1)

    @torch.no_grad()
    def decode_given(self, z: Tensor, conditioning: Tensor) -> Tensor:
        """A compiled loop over samples on the CPU, wherever z is."""
        x = samplernn_kernel.decode(
            samplernn_kernel.SampleRNNSizes(
                self.config.frame_sizes,
                self.config.hidden,
                self.config.hop,
                self.config.min_log_scale,
                self.config.max_log_scale,
            ),
            dict(self.named_parameters()),
            z,
            conditioning,
        )
        return self.centre + self.spread * x
