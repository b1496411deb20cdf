"""Start or join Ray, with the environment that its processes get."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from raydistill.cluster.control_groups import usable_cpus
from raydistill.cluster.design.resources import ClusterCapacity, NodeGroup
from raydistill.cluster.ray_environment import (
    check_temporary_folder,
    connect_to,
    requested_address,
)
from raydistill.cluster.token import provide_token
from raydistill.config.errors import ConfigError

FIRST_WORKER_SECONDS = 900.0
"""How long a machine may take to boot, install what it runs, and join."""

POLL_SECONDS = 2.0

# Trials are one thread each, a teacher has a few. Threads that spin for long burn several times the
# CPU on a loaded machine; threads that never spin make a small network slower on two cores than on
# one. A short spin costs neither.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "GOMP_SPINCOUNT": "20000",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
DRIVER_ENVIRONMENT = {
    # Trials write their own events, records and pictures; Tune's loggers would write them twice.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Between evaluations a trial reports progress without the searched metric.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # A failed attempt is told in one line, by the rule that counts it.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Many short reports of many trials are normal here.
    "TUNE_WARN_THRESHOLD_S": "10",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # The default of 2 s would be added to the end of every nested trial.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A worker that waits has imported everything: the next task need not start another.
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    # The sweep draws its own table; the older output engine keeps quiet when told to.
    "RAY_AIR_NEW_OUTPUT": "0",
}

for _name, _value in DRIVER_ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402  (reads the environment when it is imported)
from ray._private import services  # noqa: E402  (says whether `ray.init` would start or join)
from ray.exceptions import RayError  # noqa: E402

from raydistill.cluster.capacity import read_capacity  # noqa: E402

# It announces that token authentication is on, and that trials lack Tune's own result files.
for _logger in ("ray", "ray.tune.analysis.experiment_analysis", "ray._private"):
    logging.getLogger(_logger).setLevel(logging.ERROR)


def connect(
    address: str | None,
    on_wait: Callable[[str], None] = lambda text: None,
    patience: float = FIRST_WORKER_SECONDS,
) -> ClusterCapacity:
    """Join the cluster at an address, the one that this machine is part of, or start Ray here.

    Args:
        address: from the command line; None stands for RAY_ADDRESS if that is set.
        on_wait: told where nothing can run before a first worker has joined.
        patience: seconds to wait for that worker.

    Raises:
        ConfigError: nothing answers at the address, or Ray cannot start here.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    requested = requested_address(address)
    if not requested.starts_here:
        requested.check_answers()
    if ray.is_initialized():
        return _with_a_worker("", on_wait, patience)
    if requested.starts_here:
        check_temporary_folder()
        provide_token()
    os.environ.update({k: v for k, v in WORKER_ENVIRONMENT.items() if k not in os.environ})
    try:
        context = _join_or_start(address)
    except (ConnectionError, ValueError, RuntimeError, OSError, RayError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if requested.starts_here:
            raise ConfigError(
                f"address: Ray cannot start on this machine ({reason}); mend what it names, or "
                "give the --address of a running cluster"
            ) from None
        raise requested.no_answer(reason) from None
    return _with_a_worker(context.dashboard_url or "", on_wait, patience)


def look(address: str | None) -> ClusterCapacity:
    """The capacity that a sweep would have, for a plan: Ray is joined, but not started.

    Args:
        address: from the command line; None stands for RAY_ADDRESS if that is set.

    Raises:
        ConfigError: nothing answers at the address.
    """
    here = requested_address(address).starts_here
    if ray.is_initialized() or not here or _is_running(address):
        return connect(address, patience=0.0)
    return ClusterCapacity((NodeGroup(float(usable_cpus()), float(torch.cuda.device_count())),))


def _with_a_worker(
    dashboard: str, on_wait: Callable[[str], None], patience: float
) -> ClusterCapacity:
    """The capacity, once there is any: of a list of hosts nothing is known before one has joined.

    Whoever waits in vain is refused by `check_fits`, with what there is.
    """
    began = time.monotonic()
    while (found := read_capacity(dashboard)).cpus < 1.0:
        waited = time.monotonic() - began
        if waited >= patience:
            break
        if waited < POLL_SECONDS:
            on_wait("waiting for the cluster's first worker: its head has no CPU for trials")
        time.sleep(POLL_SECONDS)
    return found


def _join_or_start(address: str | None) -> Any:
    """What `ray.init` returns; where it starts Ray, with the CPUs that this process may use."""
    running = _is_running(address)
    return ray.init(
        address=address if running else "local",
        log_to_driver=False,
        logging_level=logging.ERROR,
        # A Ray that is started here has the environment of this process.
        runtime_env={"env_vars": WORKER_ENVIRONMENT} if running else None,
        num_cpus=None if running else usable_cpus(),
    )


def _is_running(address: str | None) -> bool:
    """Whether there is a Ray to join: one is started otherwise.

    One that is joined has counted its CPUs, and refuses another number. A head that was killed
    leaves its address behind, in a file by which Ray would look for it until it gives up.
    """
    found = services.canonicalize_bootstrap_address(address)
    if found is None or requested_address(address).value is not None:
        return found is not None
    try:
        connect_to(found)
    except OSError:
        logging.getLogger(__name__).warning(
            "the Ray that was started on this machine, at %s, does not answer any more; another is "
            "started",
            found,
        )
        return False
    return True
