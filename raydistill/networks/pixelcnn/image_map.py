"""PixelCNN++ with a conditional as a map between images, shared by teacher and flow student."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Literal, Protocol

import torch
from torch import Tensor

from raydistill.conditionals import Conditional
from raydistill.networks.pixelcnn.cache import run_incrementally
from raydistill.networks.pixelcnn.network import PixelCNNNetwork

DECODING = (
    "raydistill.kernels.pixelcnn",
    "raydistill.networks.pixelcnn.cache",
    "raydistill.networks.pixelcnn.compiled_decoding",
)
"""Modules that only decoding uses: the incremental decoders, in torch and compiled."""

Direction = Literal["from_noise", "to_noise"]


class PixelCNNSize(Protocol):
    """The sizes of a network, as configurations of teachers and flow students have them."""

    @property
    def channels(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def stages(self) -> int: ...


class AutoregressiveImageMap(torch.nn.Module):
    """Parameters of a conditional for every pixel and channel, given the ones before it.

    Teacher and flow student are the same network, used in opposite directions. The teacher's
    parameters depend on x, so that x -> z is parallel; the student's depend on z, so that z -> x
    is. The other direction goes pixel by pixel; `unroll` does it for both.

    In colour images the means of a pixel's later channels depend linearly on its earlier channels,
    with coefficients that the network outputs (section 2.2 of the PixelCNN++ paper).

    Args:
        size: of the network.
        shape: (C, H, W) with H = W.
        conditional: the scalar map of each dimension.
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
        """Parameters (B, C, H, W, num_params) of each dimension from the source's earlier ones."""
        # Back to the source's precision where autocast ran the network in bfloat16: log-scales
        # rounded to 8 bits would change the likelihood in bits/dim.
        output: Tensor = self.network(source).to(source.dtype)
        depth, count = self.image_shape[0], self.conditional.num_params
        params: Tensor = output[:, : depth * count].unflatten(1, (depth, count)).movedim(2, -1)
        if not self.couplings:
            return params
        shifts = self._channel_shifts(output[:, depth * count :], source)
        return self.conditional.shift(params, shifts)

    def _channel_shifts(self, coefficients: Tensor, source: Tensor) -> Tensor:
        """What the earlier channels of a pixel add to the means of its later ones, (B, C, H, W)."""
        shifts, used = [torch.zeros_like(source[:, 0])], 0
        for channel in range(1, self.image_shape[0]):
            weights = coefficients[:, used : used + channel]
            shifts.append((weights * source[:, :channel]).sum(1))
            used += channel
        return torch.stack(shifts, dim=1)

    def pixel_params(self, output: Tensor, pixel: Tensor, channel: int) -> Tensor:
        """Parameters (B, num_params) of one channel of one pixel.

        Args:
            output: the network's output at that pixel, (B, out_channels).
            pixel: the source at that pixel, (B, C), of which channels before `channel` are read.
            channel: which channel.
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
        """The image b with b_t = map(given_t; b_1 ... b_{t-1}), pixel by pixel, without gradient.

        On a CPU it is one compiled loop if that knows the conditional; otherwise the compiled
        network calls Python for each pixel. On a GPU, or without numba, all of it runs in torch.

        Args:
            given: (B, C, H, W).
            direction: which of the conditional's two maps.

        Returns:
            b, (B, C, H, W).
        """
        compiled = load_compiled()
        if compiled is None or not compiled.can_decode(self.network, given):
            run = run_incrementally
        else:
            scalar = compiled.scalar_map(self.conditional, direction)
            if scalar is not None:
                result: Tensor = compiled.decode_compiled(self.network, given, scalar)
                return result
            run = compiled.run_compiled
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


@cache
def load_compiled() -> ModuleType | None:
    """The compiled decoder, imported when first needed; None without numba."""
    try:
        return importlib.import_module("raydistill.networks.pixelcnn.compiled_decoding")
    except ImportError:
        return None


def raster_order(shape: tuple[int, ...]) -> Tensor:
    """Flat indices into (C, H, W) in raster order: row by row, all channels of a pixel together.

    Example:
        >>> from raydistill.networks.pixelcnn.image_map import raster_order
        >>> raster_order((2, 1, 3)).tolist()
        [0, 3, 1, 4, 2, 5]
    """
    indices = torch.arange(torch.Size(shape).numel()).view(shape)
    return indices.permute(1, 2, 0).reshape(-1)


def require_divisible(field: str, stages: int, shape: tuple[int, int, int]) -> None:
    """Raise ValueError unless an image (C, H, W) is square and can be halved `stages - 1` times."""
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
