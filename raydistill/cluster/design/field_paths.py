"""Dotted paths of the fields of a trial configuration that sweeps vary."""

from __future__ import annotations

OBJECTIVE_KIND = "objective.kind"
ESTIMATOR = "objective.estimator"
NOISE_LEVEL = "objective.noise_level"
L1_WEIGHT = "objective.l1_weight"
LEARNING_RATE = "optimiser.learning_rate"
IMAGE_SIZE = "data.size"
DIMENSION = "dimension"
POWER_WEIGHT = "power.weight"
