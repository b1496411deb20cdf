"""Conditionals: the scalar maps between one dimension of x and its noise, one file a family."""

from raydistill.conditionals.base import Conditional, Noise
from raydistill.conditionals.gaussian import GaussianConditional
from raydistill.conditionals.normal_quantile import LOG_TWO_PI

__all__ = ["LOG_TWO_PI", "Conditional", "GaussianConditional", "Noise"]
