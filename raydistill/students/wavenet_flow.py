"""The vocoder's student: a chain of inverse autoregressive flows, each with a WaveNet.

Each flow maps a sequence u to

    shift(u_1 ... u_{t-1}) + exp(log_scale(u_1 ... u_{t-1})) u_t,

where a stack of gated, dilated, causal convolutions computes shift and log-scale. No flow reverses
time, so the whole chain is causal too, and x_t is affine in z_t given the past: p(x_t | past) is a
Gaussian, as in ClariNet.

Activations are (B, channels, 1, N) in channels-last memory, the layout in which convolutions of so
few channels are fastest. The conditioning is projected once for each frame, not for each sample.

References:
    van den Oord et al., "WaveNet: A Generative Model for Raw Audio", arXiv:1609.03499.
    van den Oord et al., "Parallel WaveNet: Fast High-Fidelity Speech Synthesis", arXiv:1711.10433.
    Ping et al., "ClariNet: Parallel Wave Generation in End-to-End Text-to-Speech",
    arXiv:1807.07281.
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
    """Size of the chain of flows.

    Attributes:
        flows: how many flows follow one another.
        channels: width of a flow's activations.
        layers: gated convolutions in a flow.
        kernel: taps of a convolution.
        dilation_base: the taps of layer i (from 0) are dilation_base^i samples apart.
        max_log_scale: bound of |log_scale| of each flow, approached smoothly (by tanh).
        features: how many numbers condition one frame.
        hop: samples in a frame.

    Example:
        >>> from raydistill.students.wavenet_flow import WaveNetFlowConfig
        >>> config = WaveNetFlowConfig(flows=2, layers=3, kernel=3, dilation_base=3)
        >>> config.dilations
        (1, 3, 9)
        >>> config.receptive_field
        54
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
        """Distance between neighbouring taps of each layer of a flow, in samples."""
        return tuple(self.dilation_base**layer for layer in range(self.layers))

    @property
    def receptive_field(self) -> int:
        """How many samples of z before z_t reach x_t."""
        return self.flows * (1 + (self.kernel - 1) * sum(self.dilations))

    def check(self, event_shape: tuple[int, ...]) -> None:
        sequence_length("student.kind", event_shape, self.hop)

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> WaveNetFlow:
        return WaveNetFlow(self, event_shape, centre=centre, spread=spread)


@dataclass(frozen=True)
class FlowState:
    """What one flow keeps between two chunks of a sequence.

    Attributes:
        last: the last sample of u before the chunk, (B, 1).
        inputs: for each layer, the inputs that its taps still reach, (B, channels, 1, reach); views
            into the activations of the previous chunk.
    """

    last: Tensor
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class FlowParams:
    """What one flow computes from a chunk u (B, N).

    Attributes:
        shift: (B, N).
        log_scale: (B, N), in nats.
        state: what the flow keeps for the next chunk.
    """

    shift: Tensor
    log_scale: Tensor
    state: FlowState


class GatedConv(nn.Module):
    """A gated residual layer: h + a * sigmoid(b), with (a, b) a dilated causal convolution of h.

    A gated linear unit (Dauphin et al., arXiv:1612.08083) stands in for WaveNet's
    tanh(a) * sigmoid(b) followed by a 1x1 convolution, which took half of the time of a step.

    Args:
        channels: width C of h.
        kernel: taps of the convolution.
        dilation: distance between neighbouring taps, in samples.
        features: how many numbers condition one frame.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, features: int) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.conv = nn.Conv2d(channels, 2 * channels, (1, kernel), dilation=(1, dilation))
        self.condition = nn.Linear(features, 2 * channels, bias=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, h: Tensor, whole: Tensor, conditioning: Tensor) -> Tensor:
        """The layer's output for a chunk, (B, C, 1, N).

        Args:
            h: inputs of the chunk, (B, C, 1, N).
            whole: the same after the inputs before them, (B, C, 1, reach + N).
            conditioning: frames of the chunk, (B, frames, features).
        """
        halves = self.conv(whole)
        given = self.condition(conditioning).transpose(1, 2)[..., None]
        # Adding in place is safe: the backward pass of a convolution does not use its result.
        halves[:, :, 0].unflatten(2, (conditioning.shape[1], -1)).add_(given)
        return gated_residual(h, halves)


class WaveNet(nn.Module):
    """The network of one flow: shift and log-scale of u_t from u_1 ... u_{t-1}.

    The head starts at zero, so that the flow starts as the identity.

    Args:
        config: size of the network.
    """

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
        """The state before the first sample of a batch of sequences: zeros at every layer."""
        zeros = self.head.weight.new_zeros
        inputs = tuple(
            zeros(batch, self.channels, 1, layer.reach).contiguous(
                memory_format=torch.channels_last
            )
            for layer in self.gated
        )
        return FlowState(zeros(batch, 1), inputs)

    def forward(self, u: Tensor, conditioning: Tensor, state: FlowState) -> FlowParams:
        """Shift and log-scale of the next chunk.

        Args:
            u: (B, N).
            conditioning: (B, frames, features), N / frames samples to a frame.
            state: what the previous chunk left.
        """
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
        """The gated layers, typed."""
        return list(self.layers)  # type: ignore[arg-type]


class WaveNetFlow(ConditionedFlow):
    """The chain of flows; at the start of training x = centre + spread * z.

    Args:
        config: size of the chain.
        event_shape: (N,), length of the training windows in samples; sequences may have any length.
        centre, spread: mean and standard deviation of the training samples.

    Example:
        >>> import torch
        >>> from raydistill.students.wavenet_flow import WaveNetFlowConfig
        >>> config = WaveNetFlowConfig(flows=2, channels=4, layers=2, features=3, hop=8)
        >>> student = config.build((16,))
        >>> print(student.extra_repr())
        kind='wavenet_flow', flows=2, channels=4, ..., event_shape=(16,), parameters=588
        >>> z, c = torch.randn(1, 40), torch.randn(1, 5, 3)  # a second of five frames
        >>> steps = student.given(c).steps(z)
        >>> steps.x.shape, steps.log_derivative.shape
        (torch.Size([1, 40]), torch.Size([1, 40]))
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
        """The states of all flows before the first sample of a batch of sequences."""
        return tuple(flow.start(batch) for flow in self.wavenets)

    def steps_given(self, z: Tensor, conditioning: Tensor) -> Steps:
        return self.continue_from(z, conditioning, self.start(z.shape[0]))[0]

    def continue_from(
        self, z: Tensor, conditioning: Tensor, states: tuple[FlowState, ...]
    ) -> tuple[Steps, tuple[FlowState, ...]]:
        """S on the next chunk z (B, N) with its frames, and the states after it."""
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
        """z = S^-1(x; c): flow by flow, sample by sample, in a compiled loop on the CPU."""
        return self.kernel(len(x), x.dtype).inverse((x - self.centre) / self.spread, conditioning)

    def kernel(self, batch: int, dtype: torch.dtype) -> WaveNetKernel:
        """The compiled loop over samples, with a copy of the weights that the flows have now.

        Args:
            batch: how many sequences it computes side by side.
            dtype: type of the samples.
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
        """The networks of the flows, typed."""
        return list(self.flows)  # type: ignore[arg-type]


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
