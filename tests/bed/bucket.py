"""The bucket of the bed: an S3-compatible server behind a proxy that fails when told to.

Both run on the switch, where hosts reach the proxy alone. The server remembers every version of
every object, so that a test can ask afterwards what was written, and how often.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3

from tests.bed.bed import ROOT, SWITCH, Bed, address
from tests.bed.hosts import Host
from tests.bed.waiting import wait_for
from tests.s3.faults import Faults, Passed, Rule

NAME = "experiments"
FOLDER = "raydistill"
"""Where sweeps live by default."""
SERVER = "http://127.0.0.1:9000"
PROXY = f"http://{address(SWITCH)}:9001"
CLONE_NEWNET = 0x40000000

Result = TypeVar("Result")


def shell() -> str:
    """Lines of a host's ~/.bashrc by which its programs find the bucket."""
    values = Faults(PROXY).environment
    return "".join(f"export {name}={value}\n" for name, value in values.items())


def storage(folder: str = FOLDER) -> str:
    """The storage path of a folder of the bucket."""
    return f"s3://{NAME}/{folder}"


@dataclass(frozen=True)
class Bucket:
    """The bucket, past the proxy, and the proxy's faults.

    Attributes:
        host: on which both run.
    """

    host: Host

    def names(self, below: str = "") -> list[str]:
        """Names of the objects below a folder."""

        def listed(client: Any) -> list[str]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=NAME, Prefix=below)
            return [item["Key"] for page in pages for item in page.get("Contents", ())]

        return self._ask(listed)

    def ever(self, below: str) -> list[str]:
        """Names of the objects that are or have been below a folder."""

        def listed(client: Any) -> set[str]:
            pages = client.get_paginator("list_object_versions").paginate(Bucket=NAME, Prefix=below)
            return {version["Key"] for page in pages for version in page.get("Versions", ())}

        return sorted(self._ask(listed))

    def read(self, key: str) -> bytes:
        """An object's content."""
        content: bytes = self._ask(lambda s3: s3.get_object(Bucket=NAME, Key=key)["Body"].read())
        return content

    def versions(self, key: str) -> list[bytes]:
        """All that an object has ever been, in the order of writing; nothing to ask for often.

        The server copies every version to list them, and never lets go of the copies.
        """

        def read(client: Any) -> list[bytes]:
            pages = client.get_paginator("list_object_versions").paginate(Bucket=NAME, Prefix=key)
            ids = [
                version["VersionId"]
                for page in pages
                for version in page.get("Versions", ())
                if version["Key"] == key
            ]
            return [
                client.get_object(Bucket=NAME, Key=key, VersionId=one)["Body"].read()
                for one in reversed(ids)
            ]

        return self._ask(read)

    def inject(self, *rules: Rule) -> None:
        """Replace the proxy's rules; none lets everything pass."""
        within(self.host, lambda: Faults(PROXY).inject(*rules))

    def passed(self) -> list[Passed]:
        """What has passed the proxy."""
        return within(self.host, lambda: Faults(PROXY).passed())

    def _ask(self, question: Callable[[Any], Result]) -> Result:
        return within(self.host, lambda: question(_client()))


def open_bucket(bed: Bed) -> Bucket:
    """Start an empty bucket on the switch of a bed; it ends with the bed."""
    switch = bed.network.switch
    start = f"cd {ROOT} && exec python -m"
    switch.start(f"{start} tests.s3.server --port 9000 --stay", bed.log("s3"))
    switch.start(
        f"{start} tests.s3.faults {SERVER} --host {switch.address} --port 9001 --stay",
        bed.log("s3-proxy"),
    )
    for name in ("s3", "s3-proxy"):
        wait_for(
            lambda name=name: "http://" in bed.log(name).read_text(), f"the log of {name}", 30.0
        )

    def create(client: Any) -> None:
        client.create_bucket(Bucket=NAME)
        client.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})

    within(switch, lambda: create(_client()))
    return Bucket(switch)


def _client() -> Any:
    return boto3.client(
        "s3", endpoint_url=SERVER, region_name="us-east-1",
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip


def within(host: Host, work: Callable[[], Result]) -> Result:
    """What a function of this process comes to in the network of a host."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def move_and_work() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        network = os.open(f"/proc/{host.pid}/ns/net", os.O_RDONLY)
        try:
            if libc.setns(network, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            results.append(work())
        except BaseException as error:  # noqa: BLE001  (raised below, in the caller's thread)
            errors.append(error)
        finally:
            os.close(network)

    thread = threading.Thread(target=move_and_work)  # only a thread moves, and it ends there
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
