"""A proxy before an S3 server that counts what passes, and breaks what it is told to.

Rules are switched while it runs, by `Faults` or by plain HTTP on its own port:

    PUT    /-/rules    a JSON list of rules, which replaces those before; see `Rule`
    GET    /-/log      a JSON list of what has passed; see `Passed`
    DELETE /-/log      forget it
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from tests.s3.server import S3Server, end_with_parent, serve

Action = Literal["refuse", "delay", "cut_upload", "cut_download", "lose_answer", "drop"]
"""Answer 503 SlowDown; wait, then pass on; take half of the upload, then hang up; send half of the
download, then hang up; pass on, then hang up instead of answering; hang up at once."""

SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>injected</Message></Error>'
LARGEST = 2**30
OF_ONE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length", "expect")


@dataclass
class Rule:
    """What to do with requests that fit; the first rule that fits counts.

    Attributes:
        action: see `Action`.
        pattern: a regular expression, searched for in `KIND /bucket/key`; see `Passed.kind`.
        times: how many requests it meets; None meets all.
        after: how many that fit pass unharmed first.
        seconds: of a delay.
        rate: bytes a second of a delayed request's bodies, as of a narrow line; 0 sets no limit.
    """

    action: Action
    pattern: str = ""
    times: int | None = None
    after: int = 0
    seconds: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True)
class Passed:
    """A request that came by.

    Attributes:
        kind: its method, but LIST for a listing, and `PUT-IF` for a conditional one.
        path: /bucket/key.
        status: of the answer; 0 where there was none.
        up, down: bytes of the bodies.
        action: of the rule that it met; empty where there was none.
    """

    kind: str
    path: str
    status: int
    up: int
    down: int
    action: str


@dataclass(frozen=True)
class Faults(S3Server):
    """A proxy that runs; programs use it as if it were the server."""

    def inject(self, *rules: Rule) -> None:
        """Replace the rules; none lets everything pass."""
        self._control("PUT", "rules", json.dumps([asdict(rule) for rule in rules]).encode())

    def passed(self) -> list[Passed]:
        """What has come by since `forget`."""
        return [Passed(**one) for one in json.loads(self._control("GET", "log"))]

    def counts(self) -> dict[str, int]:
        """Requests by kind since `forget`."""
        return dict(sorted(Counter(one.kind for one in self.passed()).items()))

    def forget(self) -> None:
        """Begin to count anew."""
        self._control("DELETE", "log")

    def _control(self, method: str, what: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.endpoint}/-/{what}", body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: bytes = answer.read()
        return content


@contextlib.contextmanager
def faults_before(server: S3Server) -> Iterator[Faults]:
    """A proxy before a server, on a free port of the loopback, while the block runs."""
    with serve("tests.s3.faults", server.endpoint) as proxy:
        yield Faults(proxy.endpoint)


class Proxy:
    """The proxy's rules and log."""

    def __init__(self, upstream: str, session: ClientSession) -> None:
        self.upstream, self.session = upstream, session
        self.rules: list[Rule] = []
        self.log: list[Passed] = []

    async def set_rules(self, request: web.Request) -> web.Response:
        self.rules = [Rule(**values) for values in await request.json()]
        return web.Response()

    async def show_log(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(one) for one in self.log])

    async def forget(self, request: web.Request) -> web.Response:
        self.log.clear()
        return web.Response()

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        kind, path = kind_of(request), request.rel_url.path
        rule = self._rule_for(f"{kind} {path}")
        action = rule.action if rule else ""
        if rule and action == "delay":
            await asyncio.sleep(rule.seconds)
        if action == "drop":
            return self._hang_up(request, Passed(kind, path, 0, 0, 0, action))
        if action == "cut_upload":
            length = (request.content_length or 0) // 2
            half = await request.content.readexactly(length)
            return self._hang_up(request, Passed(kind, path, 0, len(half), 0, action))
        body = await request.read()
        if action == "refuse":
            self.log.append(Passed(kind, path, 503, len(body), len(SLOW_DOWN), action))
            return web.Response(status=503, body=SLOW_DOWN, content_type="application/xml")
        async with self.session.request(
            request.method,
            URL(self.upstream + request.raw_path, encoded=True),
            headers=_carried(request.headers),
            data=body or None,
            allow_redirects=False,
        ) as found:
            content = await found.read()
            headers = _carried(found.headers)
            headers["Content-Length"] = str(found.headers.get("Content-Length", len(content)))
            status = found.status
        if rule and rule.rate > 0.0:
            await asyncio.sleep((len(body) + len(content)) / rule.rate)
        if action == "lose_answer":
            return self._hang_up(request, Passed(kind, path, 0, len(body), 0, action))
        answer = web.StreamResponse(status=status, headers=headers)
        await answer.prepare(request)
        if action == "cut_download":
            half = content[: len(content) // 2]
            await answer.write(half)
            return self._hang_up(request, Passed(kind, path, 0, len(body), len(half), action))
        if content:
            await answer.write(content)
        await answer.write_eof()
        self.log.append(Passed(kind, path, status, len(body), len(content), action))
        return answer

    def _rule_for(self, text: str) -> Rule | None:
        for rule in self.rules:
            if rule.times == 0 or not re.search(rule.pattern, text):
                continue
            if rule.after > 0:
                rule.after -= 1
                continue
            if rule.times is not None:
                rule.times -= 1
            return rule
        return None

    def _hang_up(self, request: web.Request, passed: Passed) -> web.Response:
        self.log.append(passed)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def kind_of(request: web.Request) -> str:
    """See `Passed.kind`."""
    if request.method == "GET" and ("list-type" in request.query or "prefix" in request.query):
        return "LIST"
    conditional = "If-None-Match" in request.headers or "If-Match" in request.headers
    return "PUT-IF" if request.method == "PUT" and conditional else request.method


def _carried(headers: Any) -> dict[str, str]:
    """Headers without those that concern one connection alone."""
    return {n: v for n, v in headers.items() if n.lower() not in OF_ONE_CONNECTION}


async def run(upstream: str, host: str, port: int) -> None:
    """Serve until the process ends."""
    connector = TCPConnector(limit=0)
    session = ClientSession(
        connector=connector, auto_decompress=False, timeout=ClientTimeout(total=None)
    )
    async with session:
        proxy = Proxy(upstream, session)
        application = web.Application(client_max_size=LARGEST)
        application.router.add_put("/-/rules", proxy.set_rules)
        application.router.add_get("/-/log", proxy.show_log)
        application.router.add_delete("/-/log", proxy.forget)
        application.router.add_route("*", "/{path:.*}", proxy.pass_on)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        assert runner.addresses
        print(f"http://{host}:{runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream", help="address of the S3 server, http://HOST:PORT")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--stay", action="store_true", help="run on when the standard input has ended"
    )
    settings = parser.parse_args()
    if not settings.stay:
        end_with_parent()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(settings.upstream, settings.host, settings.port))
    sys.exit(0)


if __name__ == "__main__":
    main()
