"""Start or join Ray, with the environment that its processes get."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import yaml

from raydistill.cluster.design.resources import ClusterCapacity
from raydistill.cluster.ray_environment import (
    check_temporary_folder,
    requested_address,
)
from raydistill.cluster.token import provide_token
from raydistill.config.errors import ConfigError

BOOTSTRAP = "ray_bootstrap_config.yaml"
"""In HOME; what `ray up` leaves on the head of a cluster: its resolved configuration."""

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
from ray.exceptions import RayError  # noqa: E402

# It announces that token authentication is on, and that trials lack Tune's own result files.
for _logger in ("ray", "ray.tune.analysis.experiment_analysis", "ray._private"):
    logging.getLogger(_logger).setLevel(logging.ERROR)


def connect(address: str | None) -> ClusterCapacity:
    """Join the cluster at an address, the one that this machine is part of, or start Ray here.

    Args:
        address: from the command line; None stands for RAY_ADDRESS if that is set.

    Raises:
        ConfigError: nothing answers at the address, or Ray cannot start here.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    requested = requested_address(address)
    if not requested.starts_here:
        requested.check_answers()
    if ray.is_initialized():
        return _capacity("")
    if requested.starts_here:
        check_temporary_folder()
        provide_token()
    os.environ.update({k: v for k, v in WORKER_ENVIRONMENT.items() if k not in os.environ})
    try:
        context = ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": WORKER_ENVIRONMENT} if address else None,
        )
    except (ConnectionError, ValueError, RuntimeError, OSError, RayError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if requested.starts_here:
            raise ConfigError(
                f"address: Ray cannot start on this machine ({reason}); mend what it names, or "
                "give the --address of a running cluster"
            ) from None
        raise requested.no_answer(reason) from None
    return _capacity(context.dashboard_url or "")


def _capacity(dashboard: str) -> ClusterCapacity:
    total = ray.cluster_resources()
    return ClusterCapacity(
        max(total.get("CPU", 0.0), _autoscaler_limit("CPU")),
        max(total.get("GPU", 0.0), _autoscaler_limit("GPU")),
        dashboard,
    )


def _autoscaler_limit(resource: str) -> float:
    """How much of a resource the autoscaler may add, where this machine is a cluster's head.

    A cluster that scales from zero has at first nothing but its head. What its configuration lets
    it start counts as there, or every trial would be refused.

    Args:
        resource: `CPU` or `GPU`.

    Returns:
        The sum over all types of nodes; 0 where there is no such configuration.
    """
    try:
        config = yaml.safe_load((Path.home() / BOOTSTRAP).read_text(encoding="utf-8"))
        kinds = config["available_node_types"].values()
        return sum(
            float(kind.get("resources", {}).get(resource, 0.0)) * int(kind.get("max_workers", 0))
            for kind in kinds
        )
    except (
        OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError
    ):  # fmt: skip
        return 0.0
