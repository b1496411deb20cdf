"""`raydistill dashboard`: TensorBoard and optuna-dashboard on one sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from raydistill.config.errors import ConfigError


@dataclass(frozen=True)
class DashboardSettings:
    """Open TensorBoard and optuna-dashboard on a sweep, on loopback, until Ctrl-C.

    Attributes:
        storage_path: folder or URI of the sweeps, or of one sweep; by default what
            RAYDISTILL_STORAGE names, or results.
        name: the sweep; by default the newest.
        tensorboard_port: on 127.0.0.1.
        optuna_port: on 127.0.0.1.
        period: of a sweep in a bucket, seconds between two copies.
    """

    storage_path: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="STORAGE")] = (
        None
    )
    name: str | None = None
    tensorboard_port: int = 6006
    optuna_port: int = 8080
    period: float = 30.0


def dashboard(settings: DashboardSettings) -> int:
    """Start both and wait.

    Returns:
        0; 1 if one of them ended by itself.

    Raises:
        ConfigError: an option cannot be, or there is no such sweep.
        StorageError: the storage path cannot be read.
    """
    from raydistill.cluster.dashboards import serve
    from raydistill.cluster.watching.find import find_sweep

    if not settings.period > 0.0:
        raise ConfigError(f"period: {settings.period} s between copies; give more than 0")
    sweep = find_sweep(settings.storage_path, settings.name)
    return serve(sweep, settings.tensorboard_port, settings.optuna_port, settings.period)
