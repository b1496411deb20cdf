"""What a model prints at a prompt: its facts on one line, above torch's tree of its modules."""

from __future__ import annotations

from torch import nn

from raydistill.config.base import FrozenConfig


def parameter_count(module: nn.Module) -> int:
    """How many numbers of a module are trained, shared ones counted once.

    Example:
        >>> from torch import nn
        >>> from raydistill.networks.summary import parameter_count
        >>> parameter_count(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in module.parameters())


def summary(module: nn.Module, **facts: object) -> str:
    """The text for a model's `extra_repr`: configuration, given facts, number of parameters.

    Args:
        module: the model. Where it keeps its configuration as `config`, all fields of that are
            shown, its kind among them.
        facts: what else to show, by name.

    Example:
        >>> from torch import nn
        >>> from raydistill.networks.summary import summary
        >>> summary(nn.Linear(30, 40), event_shape=(30,))
        'event_shape=(30,), parameters=1,240'
    """
    config = getattr(module, "config", None)
    fields = dict(config) if isinstance(config, FrozenConfig) else {}
    shown = [f"{name}={value!r}" for name, value in (fields | facts).items()]
    return ", ".join([*shown, f"parameters={parameter_count(module):,}"])
