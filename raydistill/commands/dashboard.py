"""`raydistill dashboard`: TensorBoard and optuna-dashboard on one sweep."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from raydistill.console import ExitStatus


@dataclass(frozen=True)
class DashboardSettings:
    """Open TensorBoard and optuna-dashboard on a sweep, on loopback, until Ctrl-C.

    Attributes:
        storage_path: local folder of the sweeps.
        name: the sweep; by default the newest.
        tensorboard_port: on 127.0.0.1.
        optuna_port: on 127.0.0.1.
    """

    storage_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORAGE")] = Path(
        "results"
    )
    name: str | None = None
    tensorboard_port: int = 6006
    optuna_port: int = 8080


def dashboard(settings: DashboardSettings) -> ExitStatus:
    """Start both and wait; refusals end the process with a status of their own."""
    from raydistill.cluster import dashboards

    dashboards.main(dashboards.DashboardSettings(**asdict(settings)))
    return ExitStatus.OK
