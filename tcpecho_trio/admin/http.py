"""HTTP/1.1 for one connection: h11 for the protocol, Trio for the wire.

h11 knows the grammar and the order of things; here is what it leaves to us: when to read, how long
to wait, how much to take, and how to close. Every wait has a deadline or minds the write timeout,
so a client that stops in the middle of a request, or of a reply, is gone after some seconds.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from time import perf_counter
from typing import Any, Protocol, runtime_checkable
from urllib.parse import unquote_to_bytes

import h11
import trio

from tcpecho_trio.server import write_timeout
from tcpecho_trio.server.closing import linger
from tcpecho_trio.server.turns import Turns

HEAD_BYTES = 16 * 1024
"""Bytes of a request line and its headers; browsers and proxies send at most 8 KiB."""

BODY_BYTES = 64 * 1024
"""Bytes of a request's body: no request of ours needs more than a few faults."""

REQUEST_TIME = 10.0
"""Seconds from a request's first byte to its last; for the first one of a connection, from the
moment at which that was accepted."""

IDLE_TIME = 60.0
"""Seconds that a connection is kept for its next request. Prometheus scrapes once a minute at
most, by default."""

WRITE_TIME = 10.0
"""Seconds in which a client has to take some of what is sent to it."""

CLOSE_TIME = 1.0
"""Seconds that a client gets to read the last reply before the connection is closed."""

RECEIVE_SIZE = 16 * 1024
"""Bytes asked for at a time."""

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a handler sees it.

    Args:
      method: in capitals.
      path: without its query, percent-decoded; a byte that is not UTF-8 is a lone surrogate.
      query: what stands behind the question mark.
      headers: by name, in small letters; of two with one name, the last.
      body: all of it.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A response that is ready."""

    status: int = 200
    body: bytes = b""
    type: str = "text/plain; charset=utf-8"
    headers: Headers = ()


Send = Callable[[bytes], Awaitable[None]]
"""Sends a piece of a body, or of whatever else is spoken on the connection."""


class Streaming(Protocol):
    """A response whose body comes piece by piece."""

    type: str

    async def stream(self, send: Send) -> None:
        """Send the body; the connection ends with it, or goes on for the next request."""


@runtime_checkable
class Upgrade(Protocol):
    """A response after which the connection speaks something else."""

    headers: Headers
    """Of the 101, beside those of every upgrade."""

    async def converse(
        self, stream: trio.abc.Stream, bare: trio.SocketStream, begun: bytes
    ) -> None:
        """Speak it until its end; `begun` is what has been received of it."""


Outcome = Response | Streaming | Upgrade
Respond = Callable[[Request], Awaitable[Outcome]]
"""Answers a request; what it raises is our bug."""


def problem(status: int, detail: str, *, headers: Headers = ()) -> Response:
    """An error as JSON (RFC 9457)."""
    told = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return json_response(told, status=status, media="application/problem+json", headers=headers)


def json_response(
    value: Any,
    *,
    status: int = 200,
    media: str = "application/json",
    headers: Headers = (),
) -> Response:
    """Anything as JSON."""
    return Response(status, json.dumps(value).encode(), media, headers)


class HttpConnection:
    """One client's connection, request by request.

    Args:
      stream: to read from and write to; closed by its owner.
      bare: the socket below it.
      respond: answers requests.
      headers: of every response.
      turns: how much of the event loop's time all requests together may take.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        bare: trio.SocketStream,
        respond: Respond,
        headers: Headers,
        turns: Turns,
    ) -> None:
        self._stream = stream
        self._bare = bare
        self._respond = respond
        self._headers = headers
        self._turns = turns
        self._began = 0.0  # the work on what was read last
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)

    async def run(self) -> None:
        """Answer until one of both has enough.

        Raises:
          trio.BrokenResourceError: the client has gone.
          WriteTimeout: it does not read.
        """
        first = True
        while True:
            try:
                request = await self._receive_request(first=first)
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint, str(error))
                return
            except trio.TooSlowError:
                await self._refuse(408, f"the request was not complete after {REQUEST_TIME:g} s")
                return
            except _TooLongError:
                await self._refuse(413, f"the body may have {BODY_BYTES} bytes")
                return
            if request is None:
                return
            first = False
            outcome = await self._respond(request)
            if isinstance(outcome, Response):
                await self._send_response(outcome, request.method)
            elif isinstance(outcome, Upgrade):
                await self._switch(outcome)
                return
            else:
                await self._send_stream(outcome)
            if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is not h11.DONE:
                await self._close()
                return
            self._http.start_next_cycle()
            await self._take_turn()  # the next request may be here already

    async def _receive_request(self, *, first: bool) -> Request | None:
        """The next request; None when the client has none, or takes too long to begin one.

        Raises:
          h11.RemoteProtocolError: that was no HTTP.
          trio.TooSlowError: it began, and did not end in time.
          _TooLongError: the body is longer than any that we want.
        """
        idle = not (first or self._http.trailing_data[0])
        with trio.move_on_after(IDLE_TIME if idle else REQUEST_TIME) as waiting:
            event = await self._next_event(waiting if idle else None)
            if not isinstance(event, h11.Request):  # the end of input
                return None
            body = bytearray()
            while not isinstance(piece := await self._next_event(), h11.EndOfMessage):
                if not isinstance(piece, h11.Data):
                    return None
                body += piece.data
                if len(body) > BODY_BYTES:
                    raise _TooLongError
        if waiting.cancelled_caught:
            if self._http.trailing_data[0] or self._http.their_state is not h11.IDLE:
                raise trio.TooSlowError
            return None
        return _request(event, bytes(body))

    async def _next_event(self, idle: trio.CancelScope | None = None) -> Any:
        """What h11 makes of the input, once there is enough of it."""
        while True:
            event = self._http.next_event()
            if event is h11.PAUSED:
                return h11.EndOfMessage()  # it may be an upgrade; nothing of it belongs to HTTP
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            data = bytes(await self._stream.receive_some(RECEIVE_SIZE))
            if idle is not None:
                idle.deadline = trio.current_time() + REQUEST_TIME
                idle = None
            await self._take_turn()
            self._http.receive_data(data)

    async def _send(self, event: Any) -> None:
        if data := self._http.send(event):
            await self._write(data)

    async def _take_turn(self) -> None:
        await self._turns.wait()
        self._began = perf_counter()

    async def _write(self, data: bytes) -> None:
        """Send what the work since the last turn has come to."""
        if self._began:
            self._turns.spent(perf_counter() - self._began)
            self._began = 0.0
        await write_timeout.send_all(self._stream, data, WRITE_TIME)

    def _all_headers(self, media: str, more: Headers) -> list[tuple[str, str]]:
        date = format_datetime(datetime.now(UTC), usegmt=True)
        typed = [("Content-Type", media)] if media else []
        return [("Date", date), *typed, *self._headers, *more]

    async def _send_response(self, response: Response, method: str) -> None:
        headers = self._all_headers(response.type, response.headers)
        if response.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(response.body))))
        head = self._http.send(_head(response.status, headers))
        # Head and body in one send: else Nagle's algorithm may wait for the client's delayed ACK.
        body = b"" if method == "HEAD" else response.body
        data = (head or b"") + (self._http.send(h11.Data(data=body)) or b"" if body else b"")
        data += self._http.send(h11.EndOfMessage()) or b""
        await self._write(data)

    async def _send_stream(self, streaming: Streaming) -> None:
        headers = self._all_headers(streaming.type, [("X-Accel-Buffering", "no")])
        await self._send(_head(200, headers))

        async def send(data: bytes) -> None:
            await self._send(h11.Data(data=data))
            if not hasattr(streaming, "lasts_as"):
                await self._take_turn()

        await streaming.stream(send)
        await self._send(h11.EndOfMessage())

    async def _switch(self, upgrade: Upgrade) -> None:
        headers = self._all_headers("", upgrade.headers)
        headers += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        await self._send(h11.InformationalResponse(status_code=101, headers=headers))
        await upgrade.converse(self._stream, self._bare, self._http.trailing_data[0])

    async def _refuse(self, status: int, detail: str) -> None:
        """Say what was wrong with a request that was none, if it can still be said; close."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = problem(status, detail, headers=[("Connection", "close")])
            await self._send_response(response, "GET")
            await self._close()

    async def _close(self) -> None:
        """Let the client read what was sent: closing with unread input would reset it."""
        if isinstance(self._stream, trio.SocketStream):
            with trio.move_on_after(CLOSE_TIME):
                await linger(self._stream)


def _head(status: int, headers: list[tuple[str, str]]) -> h11.Response:
    reason = HTTPStatus(status).phrase.encode()
    return h11.Response(status_code=status, headers=headers, reason=reason)


class _TooLongError(Exception):
    """A body that nobody wants."""


def _request(event: h11.Request, body: bytes) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    target = event.target
    if not target.startswith(b"/") and b"://" in target:  # absolute-form (RFC 9112 §3.2.2)
        host, slash, rest = target.partition(b"://")[2].partition(b"/")
        headers["host"], target = host.decode("latin-1"), slash + rest
    path, _, query = target.partition(b"?")
    return Request(
        event.method.decode("latin-1"),
        unquote_to_bytes(path).decode("utf-8", "surrogateescape"),
        query.decode("latin-1"),
        headers,
        body,
    )
