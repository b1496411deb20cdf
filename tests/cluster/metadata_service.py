"""The metadata service of a machine on AWS, version 2, on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "a-token"
ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"


class Metadata:
    """What is announced; changed while it is served.

    Attributes:
        pages: by path; what is not there is answered with 404.
        tokens: how often a token was asked for.
        expired: whether the next question is answered with 401.
    """

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.tokens, self.expired = 0, False
        self.url = ""


@contextmanager
def serve_metadata() -> Iterator[Metadata]:
    """Serve while the block runs."""
    metadata = Metadata()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            assert self.path == "/latest/api/token"
            assert int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) > 0
            metadata.tokens += 1
            self.answer(200, TOKEN)

        def do_GET(self) -> None:
            wanted, metadata.expired = metadata.expired, False
            if wanted or self.headers["X-aws-ec2-metadata-token"] != TOKEN:
                self.answer(401, "")
            elif self.path in metadata.pages:
                self.answer(200, metadata.pages[self.path])
            else:
                self.answer(404, "")

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *values: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    metadata.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield metadata
    finally:
        server.shutdown()
        server.server_close()
