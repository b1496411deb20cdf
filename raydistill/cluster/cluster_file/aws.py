"""The rules of a cluster on AWS: what Ray's own choice would leave open, closed or running."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raydistill.cluster.cluster_file.problems import Config, Problem

ORPHAN = "raydistill.cluster.orphan"
SPOT_NOTICE = "raydistill.cluster.spot_notice"


def provider_settings(config: Config) -> Iterator[Problem]:
    """The region is named, and no security group is left for Ray to make."""
    provider = config["provider"]
    if not _is_given(provider.get("region")):
        yield Problem("provider.region", None, "name the one that your subnet and bucket are in")
    if "security_group" in provider:
        remedy = "its rules join a port 22 open to the world: use SecurityGroupIds instead"
        yield Problem("provider.security_group", provider["security_group"], remedy)


@dataclass(frozen=True)
class NodeSetting:
    """A setting of EC2 that every type of node must have, since Ray's own choice will not do."""

    key: str
    kind: type
    remedy: str


NODE_SETTINGS = (
    NodeSetting("SecurityGroupIds", list, "list yours, or Ray's opens port 22 to the world"),
    NodeSetting("IamInstanceProfile", dict, "give Name or Arn, or S3 refuses the node's results"),
    NodeSetting("ImageId", str, "name a current one, or Ray takes an Ubuntu 18.04"),
)


def node_settings(config: Config) -> Iterator[Problem]:
    """Every type of node has its own security group, instance profile and image."""
    for name, node in config["available_node_types"].items():
        for setting in NODE_SETTINGS:
            value = node["node_config"].get(setting.key)
            if not isinstance(value, setting.kind) or not _is_given(value):
                field = f"available_node_types.{name}.node_config.{setting.key}"
                yield Problem(field, value, setting.remedy)


def _is_given(value: object) -> bool:
    if isinstance(value, dict):
        return _is_given(value.get("Name") or value.get("Arn"))
    if isinstance(value, list):
        return bool(value) and all(_is_given(item) for item in value)
    return isinstance(value, str) and bool(value.strip())


def several_zones(config: Config) -> Iterator[Problem]:
    """Spot workers have a subnet in more than one zone to go to."""
    for name, node in config["available_node_types"].items():
        subnets = node["node_config"].get("SubnetIds")
        field = f"available_node_types.{name}.node_config.SubnetIds"
        if not isinstance(subnets, list) or not subnets:
            yield Problem(field, subnets, "list yours, one a zone")
        elif _is_spot(node) and len(set(map(str, subnets))) < 2:
            remedy = "where its zone has no spot capacity no worker starts: list one a zone"
            yield Problem(field, subnets, remedy)


def head_for_drivers(config: Config) -> Iterator[Problem]:
    """The head offers no processor to trials, which would starve the search and Ray's services."""
    name = config["head_node_type"]
    cpus = config["available_node_types"][name].get("resources", {}).get("CPU")
    if cpus != 0:
        remedy = "trials would run beside the search and take it down with them: give CPU: 0"
        yield Problem(f"available_node_types.{name}.resources.CPU", cpus, remedy)


def workers_end_themselves(config: Config) -> Iterator[Problem]:
    """Workers notice that their head is gone, and that AWS takes them."""
    commands = config["worker_start_ray_commands"]
    for module, loss in (
        (ORPHAN, "workers of a dead head cost money for ever"),
        (SPOT_NOTICE, "what trials did since their last checkpoint is lost with a spot worker"),
    ):
        if not any(module in line for line in commands):
            remedy = f"{loss}: start `python -m {module}` after `ray start`, as cluster.yaml does"
            yield Problem(f"worker_start_ray_commands ({module})", None, remedy)
    for name, node in config["available_node_types"].items():
        if name == config["head_node_type"]:
            continue
        behaviour = node["node_config"].get("InstanceInitiatedShutdownBehavior")
        if behaviour != "terminate":
            field = f"available_node_types.{name}.node_config.InstanceInitiatedShutdownBehavior"
            remedy = "a worker that powers itself off would keep its disk: give terminate"
            yield Problem(field, behaviour, remedy)


def _is_spot(node: Config) -> bool:
    options = node["node_config"].get("InstanceMarketOptions")
    return isinstance(options, dict) and options.get("MarketType") == "spot"


RULES = (
    provider_settings,
    node_settings,
    several_zones,
    head_for_drivers,
    workers_end_themselves,
)
