"""The PixelCNN++ teacher of sections 4.1.2 and 4.1.3, sized by its configuration."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

from raydistill.conditionals import Conditional
from raydistill.conditionals.configs import SOURCES, AnyConditionalConfig
from raydistill.conditionals.gaussian import GaussianConditionalConfig
from raydistill.shapes import image_shape
from raydistill.standardise import Standardise
from raydistill.teachers import activations, pixelcnn_cache, pixelcnn_layers, pixelcnn_network
from raydistill.teachers.base import AutoregressiveTeacher, Encoding, TeacherConfig
from raydistill.teachers.pixelcnn_cache import run_incrementally
from raydistill.teachers.pixelcnn_network import PixelCNNNetwork
from raydistill.winograd import layer as winograd

Direction = Literal["from_noise", "to_noise"]


class PixelCNNConfig(TeacherConfig):
    """Size and conditional of a PixelCNN++.

    The paper's: channels 32, blocks 3, stages 3 at 28x28, a single Gaussian.
    """

    kind: Literal["pixelcnn"] = "pixelcnn"
    channels: int = Field(default=16, ge=1, le=1024)
    blocks: int = Field(default=1, ge=1, le=16)
    stages: int = Field(default=2, ge=1, le=5)
    conditional: AnyConditionalConfig = GaussianConditionalConfig()

    @property
    def normal_prior(self) -> bool:
        return self.conditional.normal_prior

    def check(self, event_shape: tuple[int, ...]) -> None:
        shape = image_shape("teacher.model.kind", event_shape)
        require_divisible("teacher.model.stages", self.stages, shape)
        if shape[0] > 1 and not self.conditional.movable:
            raise ValueError(
                f"teacher.model.conditional.kind: {self.conditional.kind!r} models grey images, "
                f"not {shape[0]} dependent channels; give gaussian, logistic_mixture or "
                "sigmoidal_flow"
            )

    def build(
        self, event_shape: tuple[int, ...], *, centre: float = 0.0, spread: float = 1.0
    ) -> PixelCNNTeacher:
        self.check(event_shape)
        shape = image_shape("teacher.model.kind", event_shape)
        return PixelCNNTeacher(self, shape, centre=centre, spread=spread)

    def sources(self) -> tuple[ModuleType, ...]:
        return (
            *super().sources(),
            *activations.sources(),
            *winograd.sources(),
            pixelcnn_layers,
            pixelcnn_network,
            *SOURCES,
        )


class PixelCNNSize(Protocol):
    """What a configuration of a teacher or a flow student says of its network."""

    @property
    def channels(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def stages(self) -> int: ...


class AutoregressiveImageMap(torch.nn.Module):
    """PixelCNN++ outputs as scalar maps between two images a and b: b_t = map(a_t; source_<t).

    Teacher and flow student are the same network read in opposite directions: the teacher's
    parameters depend on x and its fast direction is x -> z; the student's depend on z and its fast
    direction is z -> x.

    Args:
        size: the network's.
        shape: (C, H, W) with H = W.
        conditional: the scalar map.
    """

    def __init__(
        self, size: PixelCNNSize, shape: tuple[int, int, int], conditional: Conditional
    ) -> None:
        super().__init__()
        self.image_shape, self.conditional = shape, conditional
        depth = shape[0]
        self.couplings = depth * (depth - 1) // 2
        self.network = PixelCNNNetwork(
            depth,
            depth * conditional.num_params + self.couplings,
            channels=size.channels,
            blocks=size.blocks,
            stages=size.stages,
        )
        assert self.network.output.bias is not None
        with torch.no_grad():
            start = conditional.initial_params().repeat(depth)
            self.network.output.bias[: len(start)] = start

    def forward(self, source: Tensor) -> Tensor:
        """Parameters (B, C, H, W, num_params) of every dimension given the ones before it."""
        # The likelihood is computed in the source's own precision even where autocast ran the
        # network in bfloat16: a log-scale rounded to 8 bits shifts bits/dim.
        output: Tensor = self.network(source).to(source.dtype)
        depth, count = self.image_shape[0], self.conditional.num_params
        params: Tensor = output[:, : depth * count].unflatten(1, (depth, count)).movedim(2, -1)
        if not self.couplings:
            return params
        shifts = self._channel_shifts(output[:, depth * count :], source)
        return self.conditional.shift(params, shifts)

    def _channel_shifts(self, coefficients: Tensor, source: Tensor) -> Tensor:
        """What a pixel's earlier channels add to the means of its later ones, (B, C, ...)."""
        shifts, used = [torch.zeros_like(source[:, 0])], 0
        for channel in range(1, self.image_shape[0]):
            weights = coefficients[:, used : used + channel]
            shifts.append((weights * source[:, :channel]).sum(1))
            used += channel
        return torch.stack(shifts, dim=1)

    def pixel_params(self, output: Tensor, pixel: Tensor, channel: int) -> Tensor:
        """Parameters (B, num_params) of one channel from one pixel's raw output (B, outputs).

        `pixel` (B, C) holds the channels of the source that come before `channel`.
        """
        depth, count = self.image_shape[0], self.conditional.num_params
        params = output[:, channel * count : (channel + 1) * count]
        if channel == 0:
            return params
        start = depth * count + channel * (channel - 1) // 2
        shift = (output[:, start : start + channel] * pixel[:, :channel]).sum(1)
        return self.conditional.shift(params, shift)

    @torch.no_grad()
    def unroll(self, given: Tensor, direction: Direction) -> Tensor:
        """The image b, (B, C, H, W), with b_t = map(given_t; b_1 ... b_{t-1}), incrementally.

        The map is the conditional's `from_noise` or `to_noise`. A conditional that the fused kernel
        knows is unrolled in one compiled loop, another with one call of Python a pixel; on a GPU,
        or without numba, the network too runs in Python.
        """
        fused = load_fused()
        if fused is None or not fused.can_fuse(self.network, given):
            run = run_incrementally
        else:
            scalar = fused.scalar_map(self.conditional, direction)
            if scalar is not None:
                result: Tensor = fused.decode_fused(self.network, given, scalar)
                return result
            run = fused.run_fused
        apply = getattr(self, f"_{direction}")
        result = torch.empty_like(given)

        def emit(row: int, column: int, output: Tensor) -> Tensor:
            pixel = given.new_empty(given.shape[:2])
            for channel in range(given.shape[1]):
                params = self.pixel_params(output, pixel, channel)
                pixel[:, channel] = apply(given[:, channel, row, column], params)
            result[:, :, row, column] = pixel
            return pixel

        run(self.network, len(given), given.shape[1], given.shape[-1], emit)
        return result

    def _from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        return self.conditional.from_noise(z, params)

    def _to_noise(self, x: Tensor, params: Tensor) -> Tensor:
        return self.conditional.to_noise(x, params).z


class PixelCNNTeacher(AutoregressiveTeacher):
    """log p_T(x) with T exact and parallel, T^-1 sequential, cached or by Jacobi iteration.

    Args:
        config: the network's size.
        shape: (C, H, W) of x.
        centre, spread: mean and standard deviation of the training data; the network sees
            (x - centre) / spread.

    Raises:
        ValueError: the image is not square, or its side not divisible by 2^(stages - 1).
    """

    def __init__(
        self,
        config: PixelCNNConfig,
        shape: tuple[int, int, int],
        *,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        config.check(shape)
        self.event_shape = shape
        self.conditional = config.conditional.build(centre=centre, spread=spread)
        self.map = AutoregressiveImageMap(config, shape, self.conditional)
        self.standardise = Standardise(centre, spread)

    @property
    def decode_methods(self) -> tuple[str, ...]:
        return ("cached", "sequential", "jacobi")

    def encode(self, x: Tensor) -> Encoding:
        normal = self.standardise(x)
        noise = self.conditional.to_noise(normal, self.map(normal))
        log_det = noise.log_derivative.flatten(1).sum(1)
        return Encoding(noise.z, log_det + self.standardise.log_det(self.dimension))

    def sweep(self, z: Tensor, x: Tensor) -> Tensor:
        params = self.map(self.standardise(x))
        return self.standardise.restore(self.conditional.from_noise(z, params))

    def decoding_order(self) -> Tensor:
        return raster_order(self.event_shape)

    def decoding_sources(self) -> tuple[ModuleType, ...]:
        fused = load_fused()
        compiled = fused.sources() if fused else ()
        return (*super().decoding_sources(), pixelcnn_cache, *compiled)

    def _decode_cached(self, z: Tensor) -> Tensor:
        return self.standardise.restore(self.map.unroll(z, "from_noise"))


@cache
def load_fused() -> ModuleType | None:
    """The fused decoder; None without numba, which only decoding needs and pays for importing."""
    try:
        return importlib.import_module("raydistill.teachers.fused")
    except ImportError:
        return None


def raster_order(shape: tuple[int, ...]) -> Tensor:
    """Flat indices into (C, H, W): pixels row by row, channels within a pixel."""
    indices = torch.arange(torch.Size(shape).numel()).view(shape)
    return indices.permute(1, 2, 0).reshape(-1)


def require_divisible(field: str, stages: int, shape: tuple[int, int, int]) -> None:
    """Raise ValueError unless the image can be halved `stages - 1` times."""
    _, height, width = shape
    if height != width:
        raise ValueError(
            f"{field}: a PixelCNN++ needs square images, not {height}x{width}; crop or pad the data"
        )
    if height % (1 << (stages - 1)):
        fitting = 1
        while height % (1 << fitting) == 0 and fitting < stages:
            fitting += 1
        raise ValueError(
            f"{field}: {stages} needs square images with a side divisible by {1 << (stages - 1)}, "
            f"not {height}x{width}; give at most {fitting}"
        )
