"""The device that a command computes on."""

from __future__ import annotations

import torch

from raydistill.config.errors import ConfigError


def open_device(name: str) -> torch.device:
    """The device of a name such as cpu, cuda or cuda:1.

    Raises:
        ConfigError: there is no such device, or none that works here.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"device: {name!r} cannot be used here ({reason}); give cpu, or see `raydistill doctor`"
        ) from None
    return device
