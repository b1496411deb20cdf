"""The vocoder's teacher: SampleRNN with a Gaussian conditional (section 4.1.4).

Three tiers, each of which passes its output down to the next:

- upper: a GRU over frames of samples; it also takes the conditioning of each frame;
- middle: a GRU over shorter frames;
- lower: a perceptron over the last samples, plus a linear predictor, which outputs mean and
  log-scale of the next sample.

Reference:
    Mehri et al., "SampleRNN: An Unconditional End-to-End Neural Audio Generation Model",
    arXiv:1612.07837.
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
        frame_sizes: samples in a frame of the upper tier, and of the middle tier.
        hidden: units of each GRU.
        width: units of the perceptron.
        history: how many past samples the perceptron and the linear predictor see.
        features: how many numbers condition one frame.
        hop: samples in a frame of conditioning.
        min_log_scale, max_log_scale: bounds of the log-scale of standardised samples.

    Example:
        >>> from raydistill.teachers.samplernn import SampleRNNConfig
        >>> SampleRNNConfig(frame_sizes=(40, 7)).check((400,))
        Traceback (most recent call last):
        ...
        ValueError: teacher.model.frame_sizes: (40, 7) do not divide one another and the 40 ...
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
    """The state that a SampleRNN carries from one window of a sequence to the next.

    Attributes:
        past: the last samples, standardised, (B, SampleRNN.past).
        upper, middle: hidden states of the two GRUs, (B, hidden).
    """

    past: Tensor
    upper: Tensor
    middle: Tensor


@dataclass(frozen=True)
class Heard:
    """What a SampleRNN outputs for a window.

    Attributes:
        params: parameters of the conditionals, (B, N, 2).
        carried: the state after the window.
    """

    params: Tensor
    carried: Carried


class SampleRNN(ConditionedTeacher):
    """p_T(x | c): samples x given the past and the conditioning c, in three tiers.

    Args:
        config: size of the network.
        event_shape: (N,), length in samples of what `sample` draws without conditioning; sequences
            may have any length that is a multiple of `hop`.
        centre, spread: mean and standard deviation of the training samples.

    Example:
        >>> import torch
        >>> from raydistill.teachers.samplernn import SampleRNNConfig
        >>> sizes = {"frame_sizes": (8, 4), "hidden": 6, "width": 5, "history": 6}
        >>> teacher = SampleRNNConfig(features=3, hop=8, **sizes).build((16,))
        >>> print(teacher.extra_repr())
        kind='samplernn', frame_sizes=(8, 4), hidden=6, ..., event_shape=(16,), parameters=908
        >>> x, c = torch.randn(1, 32), torch.randn(1, 4, 3)  # four frames of eight samples
        >>> z = teacher.given(c).encode(x).z
        >>> torch.allclose(teacher.given(c).decode(z), x, atol=1e-4)
        True
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
        """How many past samples the tiers need."""
        return max(*self.config.frame_sizes, self.config.history)

    def start(self, batch: int) -> Carried:
        """The state before the first sample of a batch of sequences: zeros."""
        zeros = self.head.weight.new_zeros
        hidden = self.config.hidden
        return Carried(zeros(batch, self.past), zeros(batch, hidden), zeros(batch, hidden))

    def hear_from(self, x: Tensor, conditioning: Tensor, carried: Carried) -> Heard:
        """Parameters of the conditionals of the next window of a batch of sequences.

        Args:
            x: the window, (B, N) on the scale of the data; N is a multiple of `hop`.
            conditioning: (B, N / hop, features).
            carried: the state after the previous window.
        """
        upper, middle = self.config.frame_sizes
        batch, length = x.shape
        whole = torch.cat([carried.past, (x - self.centre) / self.spread], dim=1)

        def before(count: int) -> Tensor:
            """For each frame of `count` samples the frame before it, (B, N / count, count)."""
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
        return self.hear_from(x, conditioning, self.start(x.shape[0])).params

    def _on_scale(self, params: Tensor) -> Tensor:
        """Parameters for standardised samples turned into parameters on the scale of the data."""
        if self.centre == 0.0 and self.spread == 1.0:
            return params
        mean, log_scale = params.unbind(-1)
        scaled = self.centre + self.spread * mean, log_scale + math.log(self.spread)
        return torch.stack(scaled, dim=-1)

    @torch.no_grad()
    def decode_given(self, z: Tensor, conditioning: Tensor) -> Tensor:
        """x = T^-1(z; c), in a compiled loop over samples on the CPU, whatever the device of z."""
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
