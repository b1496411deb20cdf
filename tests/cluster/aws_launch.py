"""Take cluster.yaml as far as nodes on a mock of AWS; run by test_aws.py, apart from any network.

Prints what was created as JSON. `ray up` then calls the address that the mock has invented, which
belongs to somebody: this refuses to run where there is a way out.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import yaml
from moto.server import ThreadedMotoServer
from ray.autoscaler._private.commands import _bootstrap_config
from ray.autoscaler._private.providers import _get_node_provider
from ray.autoscaler._private.util import prepare_config

ROOT = Path(__file__).resolve().parents[2]
REGION, SECONDS = "us-east-1", 60.0


def fill_in(folder: Path) -> Path:
    """An account with what docs/cluster_aws.md asks for, and cluster.yaml filled in with it."""
    ec2, iam = boto3.client("ec2"), boto3.client("iam")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = []
    for index, zone in enumerate("ab"):
        subnet = ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
        subnets.append(subnet)
    group = ec2.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)["GroupId"]
    key = folder / "key.pem"
    key.write_text(ec2.create_key_pair(KeyName="mine")["KeyMaterial"])
    key.chmod(0o600)
    for name in ("head", "worker"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    values = {
        "FILL_IN_BUCKET": "bucket",
        "FILL_IN_REGION": REGION,
        "FILL_IN_AMI": ec2.describe_images()["Images"][0]["ImageId"],
        "FILL_IN_SECURITY_GROUP": group,
        "FILL_IN_SUBNET_OF_ONE_ZONE": subnets[0],
        "FILL_IN_SUBNET_OF_ANOTHER": subnets[1],
        "FILL_IN_HEAD_INSTANCE_PROFILE": "head",
        "FILL_IN_WORKER_INSTANCE_PROFILE": "worker",
        "FILL_IN_KEY_PAIR": "mine",
        "FILL_IN_PATH_OF_PRIVATE_KEY": str(key),
    }
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    file = folder / "cluster.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def instances() -> list[dict[str, Any]]:
    """What has been started."""
    found = boto3.client("ec2").describe_instances()["Reservations"]
    return [instance for reservation in found for instance in reservation["Instances"]]


def raise_head(file: Path) -> None:
    """`ray up`, until it has a head and tries to reach it."""
    command = [str(Path(sys.executable).parent / "ray"), "up", "-y", "--no-config-cache", str(file)]
    up = subprocess.Popen(
        command, cwd=ROOT, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
    )
    until = time.monotonic() + SECONDS
    while not instances() and up.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    os.killpg(up.pid, signal.SIGKILL)
    up.wait()


def launch_workers(file: Path) -> None:
    """One worker of each type, as the head's autoscaler starts them."""
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    config = _bootstrap_config(prepare_config(config), no_config_cache=True)
    provider = _get_node_provider(config["provider"], config["cluster_name"], use_cache=False)
    for name, node in config["available_node_types"].items():
        if name != config["head_node_type"]:
            tags = {"ray-node-type": "worker", "ray-user-node-type": name}
            provider.create_node(dict(node["node_config"]), tags, 1)


def shown(instance: dict[str, Any]) -> dict[str, Any]:
    """What the test looks at."""
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    return {
        "type": tags["ray-user-node-type"],
        "instance": instance["InstanceType"],
        "subnet": instance["SubnetId"],
        "profile": instance["IamInstanceProfile"]["Arn"].rpartition("/")[2],
        "groups": [group["GroupName"] for group in instance["SecurityGroups"]],
        "market": instance.get("InstanceLifecycle", "on demand"),
    }


def main() -> None:
    """See the module."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        sys.exit("there is a network here besides loopback")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    file = fill_in(Path(os.environ["HOME"]))
    raise_head(file)
    launch_workers(file)
    groups = boto3.client("ec2").describe_security_groups()["SecurityGroups"]
    created = {
        "file": str(file),
        "nodes": [shown(instance) for instance in instances()],
        "subnets": [s["SubnetId"] for s in boto3.client("ec2").describe_subnets()["Subnets"]
                    if s["CidrBlock"].startswith("10.0.")],
        "groups": {g["GroupName"]: g["IpPermissions"] for g in groups},
    }  # fmt: skip
    print(json.dumps(created))
    server.stop()


if __name__ == "__main__":
    main()
