"""The vocoder's student: inverse autoregressive WaveNet flows (van den Oord et al., 2018).

Each flow maps u to shift(u_<t) + exp(log_scale(u_<t)) u_t by a stack of gated dilated causal
convolutions. No flow turns time around, so that the composite is causal too and, given its past,
x_t is affine in z_t: a Gaussian, as in ClariNet (Ping et al., 2018).

Activations are (B, channels, 1, N) in channels-last memory, in which the convolutions of these few
channels are fastest; the conditioning is projected once a frame and never repeated to samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from raydistill.config.shapes import sequence_length
from raydistill.kernels.activations.api import gated_residual
from raydistill.kernels.wavenet.run import (
    FlowSizes,
    FlowWeights,
    LayerWeights,
    Projection,
    WaveNetKernel,
)
from raydistill.students.base import Steps, StudentConfig
from raydistill.students.conditioned import ConditionedFlow


class WaveNetFlowConfig(StudentConfig):
    """Size of the flow student.

    Attributes:
        flows: one after another.
        channels: of a flow's activations.
        layers: gated convolutions of a flow.
        kernel: taps of each.
        dilation_base: layer i has its taps dilation_base^i samples apart.
        max_log_scale: bound of each flow's log-scale, approached smoothly on both sides.
        features, hop: numbers of conditioning a frame, and its samples.
    """

    kind: Literal["wavenet_flow"] = "wavenet_flow"
    is_flow: ClassVar[bool] = True
    gaussian_steps: ClassVar[bool] = True
    flows: int = Field(default=6, ge=1, le=32)
    channels: int = Field(default=16, ge=1, le=1024)
    layers: int = Field(default=5, ge=1, le=30)
    kernel: int = Field(default=3, ge=2, le=9)
    dilation_base: int = Field(default=3, ge=1, le=8)
    max_log_scale: float = Field(default=3.0, gt=0.0, le=20.0)
    features: int = Field(default=27, ge=1)
    hop: int = Field(default=40, ge=1)

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of the layers of a flow."""
        return tuple(self.dilation_base**layer for layer in range(self.layers))

    @property
    def receptive_field(self) -> int:
        """Samples of z before z_t on which x_t depends."""
        return self.flows * (1 + (self.kernel - 1) * sum(self.dilations))

    def check(self, event_shape: tuple[int, ...]) -> None:
        sequence_length("student.kind", event_shape, self.hop)

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> WaveNetFlow:
        return WaveNetFlow(self, event_shape, centre=centre, spread=spread)


@dataclass(frozen=True)
class FlowState:
    """What one flow remembers of the samples before a chunk.

    Attributes:
        last: the sample before it, (B, 1).
        inputs: of each layer the inputs that its taps still reach, (B, channels, 1, reach); a view
            of the memory of the last chunk.
    """

    last: Tensor
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class FlowParams:
    """Shift and log-scale of each sample of a chunk, (B, N), and what is remembered after it."""

    shift: Tensor
    log_scale: Tensor
    state: FlowState


class GatedConv(nn.Module):
    """h + a * sigmoid(b) with (a, b) a dilated causal convolution of h.

    A gated linear unit instead of WaveNet's tanh(a) * sigmoid(b) and 1x1 convolution: half of the
    time of a step goes into those.

    Args:
        channels: of h.
        kernel, dilation: its taps.
        features: of the conditioning.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, features: int) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.conv = nn.Conv2d(channels, 2 * channels, (1, kernel), dilation=(1, dilation))
        self.condition = nn.Linear(features, 2 * channels, bias=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, h: Tensor, whole: Tensor, conditioning: Tensor) -> Tensor:
        """h (B, C, 1, N), also as the end of `whole` (B, C, 1, reach + N), with its frames."""
        halves = self.conv(whole)
        given = self.condition(conditioning).transpose(1, 2)[..., None]
        # In place: the convolution does not need its result again.
        halves[:, :, 0].unflatten(2, (conditioning.shape[1], -1)).add_(given)
        if torch.compiler.is_exporting():
            # The compiled loop would be an operator that plain PyTorch does not know.
            return h + F.glu(halves, dim=1)
        return gated_residual(h, halves)


class WaveNet(nn.Module):
    """Shift and log-scale of one flow, from what came before each sample."""

    def __init__(self, config: WaveNetFlowConfig) -> None:
        super().__init__()
        self.channels, self.bound = config.channels, config.max_log_scale
        self.enter = nn.Conv2d(1, config.channels, 1)
        self.layers = nn.ModuleList(
            GatedConv(config.channels, config.kernel, dilation, config.features)
            for dilation in config.dilations
        )
        self.inner = nn.Conv2d(config.channels, config.channels, 1)
        self.head = nn.Conv2d(config.channels, 2, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def start(self, batch: int) -> FlowState:
        """Before the first sample there is nothing, at every layer."""
        zeros = self.head.weight.new_zeros
        inputs = tuple(
            zeros(batch, self.channels, 1, layer.reach).contiguous(
                memory_format=torch.channels_last
            )
            for layer in self.gated
        )
        return FlowState(zeros(batch, 1), inputs)

    def forward(self, u: Tensor, conditioning: Tensor, state: FlowState) -> FlowParams:
        """The next samples u (B, N) with their frames (B, F, features)."""
        before = torch.cat([state.last, u[:, :-1]], dim=1)
        h = self.enter(before[:, None, None].contiguous(memory_format=torch.channels_last))
        kept = []
        for layer, past in zip(self.gated, state.inputs, strict=True):
            whole = torch.cat([past, h], dim=3)
            kept.append(whole[..., -layer.reach :])
            h = layer(h, whole, conditioning)
        params = self.head(F.relu(self.inner(F.relu(h))))
        log_scale = self.bound * torch.tanh(params[:, 1, 0] / self.bound)
        return FlowParams(params[:, 0, 0], log_scale, FlowState(u[:, -1:], tuple(kept)))

    def weights(self) -> FlowWeights:
        """Its weights as the compiled loop takes them."""
        layers = tuple(
            LayerWeights(layer.conv.weight, _bias(layer.conv), layer.condition.weight)
            for layer in self.gated
        )
        enter, inner, head = (
            Projection(conv.weight, _bias(conv)) for conv in (self.enter, self.inner, self.head)
        )
        return FlowWeights(enter, layers, inner, head)

    @property
    def gated(self) -> list[GatedConv]:
        """Its gated convolutions."""
        return list(self.layers)  # type: ignore[arg-type]


class WaveNetFlow(ConditionedFlow):
    """See the module. It starts as x = centre + spread * z.

    Args:
        config: its size.
        event_shape: (N,) of the windows that it is trained on; sequences may have any length.
        centre, spread: mean and standard deviation of the training samples.
    """

    def __init__(
        self,
        config: WaveNetFlowConfig,
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
        self.flows = nn.ModuleList(WaveNet(config) for _ in range(config.flows))

    def start(self, batch: int) -> tuple[FlowState, ...]:
        """What the flows remember before the first sample."""
        return tuple(flow.start(batch) for flow in self.wavenets)

    def steps_given(self, z: Tensor, conditioning: Tensor) -> Steps:
        return self.continue_from(z, conditioning, self.start(len(z)))[0]

    def continue_from(
        self, z: Tensor, conditioning: Tensor, states: tuple[FlowState, ...]
    ) -> tuple[Steps, tuple[FlowState, ...]]:
        """The next chunk z (B, N) with its frames, and what is remembered after it."""
        u, total, after = z, torch.zeros_like(z), []
        for flow, state in zip(self.wavenets, states, strict=True):
            params = flow(u, conditioning, state)
            u = params.shift + torch.exp(params.log_scale) * u
            total = total + params.log_scale
            after.append(params.state)
        steps = Steps(self.centre + self.spread * u, total + math.log(self.spread))
        return steps, tuple(after)

    @torch.no_grad()
    def inverse_given(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """Flow by flow, one sample after another, in a compiled loop on the CPU."""
        return self.kernel(len(x), x.dtype).inverse((x - self.centre) / self.spread, conditioning)

    def kernel(self, batch: int, dtype: torch.dtype) -> WaveNetKernel:
        """The compiled loop over samples with the weights that the flows have now.

        Args:
            batch: streams side by side.
            dtype: of the samples.
        """
        config = self.config
        sizes = FlowSizes(
            config.flows,
            config.layers,
            config.kernel,
            config.channels,
            config.dilations,
            config.hop,
            config.max_log_scale,
        )
        return WaveNetKernel(sizes, [flow.weights() for flow in self.wavenets], batch, dtype)

    @property
    def wavenets(self) -> list[WaveNet]:
        """The networks of the flows."""
        return list(self.flows)  # type: ignore[arg-type]


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
