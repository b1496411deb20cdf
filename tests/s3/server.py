"""A real S3 server on a port of its own: moto's, in a process of its own.

moto checks the condition of a conditional write and writes in two steps, and serves in threads;
here one request is handled at a time, so that conditions hold as they do at S3.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """A server that runs, or a proxy before one.

    Attributes:
        endpoint: its address, http://HOST:PORT.
    """

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What programs need in their environment to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
        }

    def create_bucket(self, name: str) -> str:
        """Create a bucket; returns its URI."""
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request, timeout=30):
            return f"s3://{name}"


@contextlib.contextmanager
def serve(module: str, *arguments: str) -> Iterator[S3Server]:
    """Run a server of this package in a process of its own while the block runs.

    Args:
        module: `tests.s3.server` or `tests.s3.faults`.
        arguments: of its command line.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        assert endpoint.startswith("http://"), f"{module} did not start"
        yield S3Server(endpoint)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server on a free port of the loopback."""
    with serve("tests.s3.server") as server:
        yield server


def end_with_parent() -> None:
    """End this process when whoever started it has ended, and its standard input with it."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    if not sys.stdin.isatty():
        threading.Thread(target=wait, daemon=True).start()


Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


def one_at_a_time(application: Application) -> Application:
    """Handle one request after another; uploads arrive before it is their turn."""
    turn = threading.Lock()

    def handle(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ.get("CONTENT_LENGTH"):
            length = int(environ["CONTENT_LENGTH"])
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with turn:
            return application(environ, start)

    return handle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--bucket", action="append", default=[], help="created at once")
    parser.add_argument(
        "--stay", action="store_true", help="run on when the standard input has ended"
    )
    settings = parser.parse_args()

    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server(settings.host, settings.port, application, threaded=True)
    if not settings.stay:
        end_with_parent()
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    address = f"http://{settings.host}:{server.server_port}"
    for bucket in settings.bucket:
        S3Server(address).create_bucket(bucket)
    print(address, flush=True)
    serving.join()


if __name__ == "__main__":
    main()
