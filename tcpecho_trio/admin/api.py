"""What can be asked of the administrator's endpoint, and what is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import trio

from tcpecho_trio.admin.backend import Backend, Client
from tcpecho_trio.admin.feed import EventStream
from tcpecho_trio.admin.http import (
    Headers,
    Outcome,
    Request,
    Response,
    Send,
    json_response,
    problem,
)
from tcpecho_trio.admin.metrics import Metrics
from tcpecho_trio.admin.pages import Pages
from tcpecho_trio.admin.security import OPEN, Guard
from tcpecho_trio.admin.websocket import INTRODUCED, accepted_headers

MAX_FAULTS = 20
"""Faults at a time."""

NO_STORE: Headers = (("Cache-Control", "no-store"),)

LONGEST = 100
"""Characters that may be looked for: longer than any address."""

LIMIT = re.compile(r"[0-9]{1,9}", re.ASCII)

Handler = Callable[[Request], Awaitable[Outcome]]

CLIENT_PATH = re.compile(r"/api/clients/([1-9][0-9]{0,17})", re.ASCII)


class Api:
    """Answers requests about one server.

    Args:
      backend: the server.
      guard: says who may ask.
    """

    def __init__(self, backend: Backend, guard: Guard) -> None:
        self._backend = backend
        self._metrics = Metrics()
        self._guard = guard
        self._pages = Pages()
        self._routes: dict[str, dict[str, Handler]] = {
            "/healthz": {"GET": self._health},
            "/readyz": {"GET": self._readiness},
            "/metrics": {"GET": self._scrape},
            "/api/status": {"GET": self._status},
            "/api/clients": {"GET": self._clients},
            "/api/drain": {"POST": self._drain},
            "/api/faults": {"GET": self._faults, "PUT": self._change_faults},
            "/api/session": {"POST": self._session},
            "/events": {"GET": self._events},
            "/ws": {"GET": self._upgrade},
        }

    async def respond(self, request: Request) -> Outcome:
        """Answer a request. A bug of ours costs this request only."""
        try:
            return await self._respond(request)
        except Exception as error:  # noqa: BLE001  the page's trouble is not the server's
            self._backend.report(error)
            return problem(500, "a bug of ours; the journal has more")

    async def _respond(self, request: Request) -> Outcome:
        path = request.path
        page = path in self._pages
        refusal = self._guard.check(request, public=page or path in OPEN)
        if refusal is not None:
            return refusal
        methods = self._routes.get(path)
        if page:
            methods = {"GET": self._page}
        elif CLIENT_PATH.fullmatch(path):
            methods = {"DELETE": self._dismiss}
        if methods is None:
            return problem(404, "there is nothing at this path")
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None or (request.method == "HEAD" and path in ("/events", "/ws")):
            allowed = ", ".join(methods) + (", HEAD" if "GET" in methods else "")
            return problem(405, f"{allowed} are known here", headers=[("Allow", allowed)])
        return await handler(request)

    async def _page(self, request: Request) -> Outcome:
        return self._pages.get(request)

    async def _health(self, _: Request) -> Outcome:
        return Response(200, b"ok\n", headers=NO_STORE)

    async def _readiness(self, _: Request) -> Outcome:
        reason = self._backend.not_ready
        return Response(503 if reason else 200, f"{reason or 'ready'}\n".encode(), headers=NO_STORE)

    async def _scrape(self, request: Request) -> Outcome:
        exposition = await self._backend.exposition()
        body, media = self._metrics.written(exposition, request.headers.get("accept", ""))
        return Response(200, body, media, NO_STORE)

    async def _status(self, _: Request) -> Outcome:
        return json_response(await self._backend.status(), headers=NO_STORE)

    async def _clients(self, request: Request) -> Outcome:
        options = dict(parse_qsl(request.query))
        limit = options.get("limit")
        if limit is not None and not LIMIT.fullmatch(limit):
            return problem(422, "limit is a number of at most nine digits")
        if request.method == "HEAD":
            return Response(200, type=ClientList.type, headers=NO_STORE)
        return ClientList(self._backend, _wanted(options), None if limit is None else int(limit))

    async def _dismiss(self, request: Request) -> Outcome:
        number = int(request.path.rpartition("/")[2])
        if not await self._backend.dismiss(number):
            return problem(404, f"there is no client {number}")
        return Response(204, type="")

    async def _drain(self, _: Request) -> Outcome:
        await self._backend.drain()
        return Response(202, type="")

    async def _faults(self, _: Request) -> Outcome:
        return json_response({"faults": await self._backend.faults()}, headers=NO_STORE)

    async def _change_faults(self, request: Request) -> Outcome:
        try:
            wanted = json.loads(request.body)
        except (ValueError, RecursionError):
            return problem(400, "the body is no JSON")
        specs = wanted.get("faults") if isinstance(wanted, dict) else None
        if specs is None or not _are_texts(specs) or len(wanted) != 1:
            return problem(422, 'an object is expected: {"faults": ["delay:200ms@0.1"]}')
        if len(specs) > MAX_FAULTS:
            return problem(422, f"at most {MAX_FAULTS} faults at a time")
        try:
            await self._backend.change_faults(specs)
        except ValueError as error:
            return problem(422, str(error))
        return await self._faults(request)

    async def _session(self, request: Request) -> Outcome:
        if not self._guard.has_token(request):
            return problem(401, "that is not the token of --admin-token-file")
        return Response(204, type="", headers=[self._guard.cookie])

    async def _events(self, request: Request) -> Outcome:
        return EventStream(self._backend.feed, _wanted(dict(parse_qsl(request.query))))

    async def _upgrade(self, request: Request) -> Outcome:
        headers = request.headers
        wanted = {token.strip().lower() for token in headers.get("connection", "").split(",")}
        if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in wanted:
            more = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
            return problem(426, "a WebSocket is needed here", headers=more)
        if headers.get("sec-websocket-version") != "13":
            return problem(426, "version 13 only", headers=[("Sec-WebSocket-Version", "13")])
        key = headers.get("sec-websocket-key")
        if key is None or request.body:
            return problem(400, "there is no key")
        if self._backend.silent is not None:
            return busy(self._backend.silent)
        protocols = headers.get("sec-websocket-protocol", "").split(",")
        introduced = INTRODUCED in (protocol.strip() for protocol in protocols)
        accepted = accepted_headers(key, introduced=introduced)
        return WebSocketUpgrade(self._backend, accepted, introduced=introduced)


class WebSocketUpgrade:
    """A conversation that is about to begin."""

    lasts_as = "conversations"

    def __init__(self, backend: Backend, headers: Headers, *, introduced: bool) -> None:
        self._backend = backend
        self._introduced = introduced
        self.headers = headers

    async def converse(
        self, stream: trio.abc.Stream, bare: trio.SocketStream, begun: bytes
    ) -> None:
        """Have the server talk until that is over."""
        await self._backend.converse(stream, bare, begun, introduced=self._introduced)


class ClientList:
    """The answer to ``GET /api/clients``, written down bit by bit: there may be ten thousand.

    Args:
      backend: the server.
      contains: what is looked for.
      limit: how many are listed at most; None for all.
    """

    type = "application/json"

    def __init__(self, backend: Backend, contains: str, limit: int | None) -> None:
        self._backend = backend
        self._contains = contains
        self._limit = limit

    async def stream(self, send: Send) -> None:
        """Send the list, and how many there are."""
        comma = '{"clients": ['

        async def take(clients: list[Client]) -> None:
            nonlocal comma
            await send((comma + ", ".join(map(json.dumps, clients))).encode())
            comma = ", "

        await self._backend.list_clients(self._contains, self._limit, take)
        total = await self._backend.count_clients(self._contains)
        await send((comma.removesuffix(", ") + f'], "total": {total}}}').encode())


def _wanted(options: dict[str, str]) -> str:
    """What the clients are looked for by that a request is about."""
    return options.get("contains", "")[:LONGEST]


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def busy(detail: str) -> Response:
    """There is no place, now."""
    return problem(503, detail, headers=[("Retry-After", "2")])
