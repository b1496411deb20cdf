"""The conditionals that a teacher's configuration can name by their `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raydistill.conditionals.categorical import CategoricalConfig
from raydistill.conditionals.gaussian import GaussianConditionalConfig
from raydistill.conditionals.logistic import LogisticMixtureConfig, SigmoidalFlowConfig

AnyConditionalConfig = Annotated[
    GaussianConditionalConfig | LogisticMixtureConfig | SigmoidalFlowConfig | CategoricalConfig,
    Field(discriminator="kind"),
]
"""A configuration of a conditional, told apart by `kind`."""

KINDS = ("gaussian", "logistic_mixture", "sigmoidal_flow", "categorical")
