"""The bridge from a PixelCNN++ network and a conditional to the compiled decoder.

Importing this module imports numba, which only decoding on a CPU needs.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from raydistill.conditionals import Conditional, GaussianConditional
from raydistill.conditionals.categorical import CategoricalConditional
from raydistill.conditionals.logistic import LogisticMixtureConditional, SigmoidalFlowConditional
from raydistill.kernels.pixelcnn import decode
from raydistill.kernels.pixelcnn.decode import Emit
from raydistill.kernels.pixelcnn.scalars import (
    CATEGORICAL_FROM_LOG_ODDS,
    GAUSSIAN_FROM_NOISE,
    GAUSSIAN_TO_NOISE,
    MIXTURE_FROM_LOG_ODDS,
    ScalarMap,
)
from raydistill.networks.pixelcnn.folded_weights import folded_matrices
from raydistill.networks.pixelcnn.network import PixelCNNNetwork


def can_decode(network: PixelCNNNetwork, given: Tensor) -> bool:
    """Whether weights and data are on the CPU, both in float32 or both in float64."""
    weight = network.output.weight
    return (
        weight.device.type == given.device.type == "cpu"
        and weight.dtype == given.dtype
        and weight.dtype in (torch.float32, torch.float64)
    )


def decode_compiled(network: PixelCNNNetwork, given: Tensor, scalar: ScalarMap) -> Tensor:
    """Decode with the network's current weights; see `kernels.pixelcnn.decode.decode`."""
    return decode.decode(_compiled(network), given, scalar)


def run_compiled(
    network: PixelCNNNetwork, batch: int, in_channels: int, size: int, emit: Emit
) -> None:
    """The same as `cache.run_incrementally`, with the network compiled."""
    decode.run(_compiled(network), batch, in_channels, size, emit)


def _compiled(network: PixelCNNNetwork) -> decode.Network:
    channels = network.output.weight.shape[1] // 2
    with torch.no_grad():
        matrices = folded_matrices(network)
    return decode.Network(channels, network.blocks, network.stages, matrices)


def scalar_map(
    conditional: Conditional, direction: Literal["from_noise", "to_noise"]
) -> ScalarMap | None:
    """The compiled form of `conditional.from_noise` or `to_noise`; None where there is none."""
    count = conditional.num_params
    if type(conditional) is GaussianConditional:
        kind = GAUSSIAN_FROM_NOISE if direction == "from_noise" else GAUSSIAN_TO_NOISE
        high = conditional.max_log_scale
        bounds = (conditional.min_log_scale, math.inf if high is None else high)
        return ScalarMap(kind, count, bounds)
    if direction == "to_noise":
        return None
    if type(conditional) is LogisticMixtureConditional:
        mixture, prepare = conditional.mixture, conditional.prior.to_log_odds
        moved = (mixture.components, mixture.components)
        return ScalarMap(MIXTURE_FROM_LOG_ODDS, count, (mixture.min_log_scale,), prepare, moved)
    if type(conditional) is SigmoidalFlowConditional:
        # The z of a sigmoidal flow are log-odds, which need no preparation.
        mixture = conditional.mixture
        moved = (mixture.components, mixture.components)
        return ScalarMap(MIXTURE_FROM_LOG_ODDS, count, (mixture.min_log_scale,), moved=moved)
    if type(conditional) is CategoricalConditional:
        constants = (conditional.centre, conditional.spread)
        prepare = conditional.prior.to_log_odds
        return ScalarMap(CATEGORICAL_FROM_LOG_ODDS, count, constants, prepare, (0, 0))
    return None
