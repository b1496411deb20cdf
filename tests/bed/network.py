"""A bridge in a network namespace of its own, and the cables between it and the hosts.

Nothing of it is in the machine's own network: the hosts have no route out, and none leads to them.
"""

from __future__ import annotations

import subprocess

from tests.bed.hosts import Host

ADDRESSES = "198.51.100"  # of documentation (RFC 5737)
BRIDGE = "bridge"


class Network:
    """A switch that hosts are plugged into.

    Args:
        switch: a host that has the bridge and nothing else.
    """

    def __init__(self, switch: Host) -> None:
        self.switch = switch
        self._inside(switch, "ip", "link", "add", BRIDGE, "type", "bridge")
        self._inside(switch, "ip", "address", "add", f"{switch.address}/24", "dev", BRIDGE)
        self._inside(switch, "ip", "link", "set", BRIDGE, "up")

    def connect(self, host: Host) -> None:
        """Lay a cable from the bridge to a host that has none yet, and give it its address."""
        self._inside(
            self.switch, "ip", "link", "add", host.name, "type", "veth",
            "peer", "name", "eth0", "netns", str(host.pid),
        )  # fmt: skip
        self._inside(self.switch, "ip", "link", "set", host.name, "master", BRIDGE, "up")
        self._inside(host, "ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        self._inside(host, "ip", "link", "set", "eth0", "up")

    def disconnect(self, host: Host) -> None:
        """Take away the cable of a host that is no more; the kernel would, but in its own time."""
        self._inside(self.switch, "ip", "link", "delete", host.name, check=False)

    def part(self, host: Host) -> None:
        """Lose everything to and from a host, silently: its own link stays up."""
        self._inside(self.switch, "ip", "link", "set", host.name, "nomaster")

    def join(self, host: Host) -> None:
        """End a partition."""
        self._inside(self.switch, "ip", "link", "set", host.name, "master", BRIDGE)

    @staticmethod
    def _inside(
        host: Host, *command: str, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["nsenter", "--target", str(host.pid), "--net", *command],
            check=check, capture_output=True,
        )  # fmt: skip
