"""What a machine must have for the test bed, and what it lacks."""

from __future__ import annotations

import os
import shutil
import subprocess

PROGRAMS = {
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "rsync": "rsync",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
}
"""Program -> the Debian package that has it."""

SEARCHED = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Where programs are looked for: sshd is on the path of few shells."""

REQUIRED = "RAYDISTILL_BED"
"""Set to `required`, this variable turns the skipping of the bed's tests into an error."""


def missing() -> list[str]:
    """What the bed lacks on this machine, each with its remedy; empty if it can start."""
    if os.geteuid() != 0:
        return ["root: namespaces and their bridge are made by root alone; run as root"]
    lacking = [
        f"{program}: not found; apt-get install {package}"
        for program, package in PROGRAMS.items()
        if shutil.which(program, path=SEARCHED) is None
    ]
    return lacking or _refused_namespaces()


def _refused_namespaces() -> list[str]:
    """Whether the kernel, or the container around us, lets namespaces, mounts and bridges be."""
    script = (
        "mount -t tmpfs none /tmp && ip link add bridge type bridge && "
        "ip link add one type veth peer name other"
    )
    tried = subprocess.run(
        ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode == 0:
        return []
    return [f"namespaces: refused ({tried.stderr.strip()}); run on a machine or VM of its own"]
