"""What a student is trained on: the paper's four objectives, and the power loss."""

from raydistill.objectives.base import Batch, Draws, Objective, ObjectiveOutput, distance
from raydistill.objectives.distillation import (
    OBJECTIVES,
    DistillationLoss,
    Extra,
    ObjectiveConfig,
    objective_class,
)
from raydistill.objectives.oracle import Oracle, OracleConfig
from raydistill.objectives.power_loss import PowerLoss, PowerLossConfig
from raydistill.objectives.reconstruction import (
    NoisyConfig,
    XReconstruction,
    XReconstructionConfig,
    ZReconstruction,
    ZReconstructionConfig,
)
from raydistill.objectives.reverse_kl import ReverseKL, ReverseKLConfig

__all__ = [
    "OBJECTIVES",
    "Batch",
    "DistillationLoss",
    "Draws",
    "Extra",
    "NoisyConfig",
    "Objective",
    "ObjectiveConfig",
    "ObjectiveOutput",
    "Oracle",
    "OracleConfig",
    "PowerLoss",
    "PowerLossConfig",
    "ReverseKL",
    "ReverseKLConfig",
    "XReconstruction",
    "XReconstructionConfig",
    "ZReconstruction",
    "ZReconstructionConfig",
    "distance",
    "objective_class",
]
