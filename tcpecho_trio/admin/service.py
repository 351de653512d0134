"""HTTP beside the server, for those who run it: health, metrics, an API, events, and a page.

::

    Admin.run()
      ├─ the backend's watch
      └─ nursery: connections      one task a client of ours; at most CONNECTIONS
           └─ HttpConnection.run()     a WebSocket becomes a stream that the server accepts

It stands beside the server and not in it: all that it knows of the server it asks a
:class:`~tcpecho_trio.admin.backend.Backend`. It answers until the server has ended, and
then waits half a second at most for its readers. What it costs in memory and descriptors is
bounded, however many clients it has and whatever they do; and all requests together get half of
the event loop's time at most.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from tcpecho_trio.admin.api import Api, busy
from tcpecho_trio.admin.backend import Backend
from tcpecho_trio.admin.endpoint import CONNECTIONS, AdminEndpoint
from tcpecho_trio.admin.http import REQUEST_TIME, WRITE_TIME, HttpConnection, Outcome, Request
from tcpecho_trio.admin.security import HEADERS, Guard
from tcpecho_trio.errors import AdminError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server.accepting import keep_alive
from tcpecho_trio.server.opening import ABSENT, PORT_ATTEMPTS, addresses_of, free_port
from tcpecho_trio.server.tls import Tls
from tcpecho_trio.server.turns import Turns
from tcpecho_trio.server.unix_socket import listening_at
from tcpecho_trio.server.write_timeout import WriteTimeout

LASTING = {"events": 64, "conversations": 128}
"""Connections that are not for one request, and so take nobody's place and give it to nobody: a
class of thirty has two pages each, and four conversations."""

END_TIME = 0.5
"""Seconds that readers get for the last events once the server has ended."""

UNIX_MODE = 0o600
"""Permissions of a Unix socket's file, unless others are asked for: who may connect may end the
server."""


class Admin:
    """The administrator's endpoint of one server.

    Args:
      endpoint: where to listen.
      backend: the server.
      token: what callers have to show; None for no token.
      tls: what to shake hands with at an ``https://`` endpoint.
      unix_mode: permissions of a Unix socket's file.
    """

    def __init__(
        self,
        endpoint: AdminEndpoint,
        backend: Backend,
        *,
        token: str | None = None,
        tls: Tls | None = None,
        unix_mode: int | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._backend = backend
        self._tls = tls if endpoint.tls else None
        self._unix_mode = UNIX_MODE if unix_mode is None else unix_mode
        names = (*endpoint.names, *([endpoint.host.lower()] if endpoint.host else ()))
        guard = Guard(names, token, tls=endpoint.tls)
        self._api = Api(backend, guard)
        # Connections that give way to others, in the order of their last request; and those that
        # last, with what they are.
        self._turns = Turns()
        self._passing: dict[trio.CancelScope, None] = {}
        self._lasting: dict[trio.CancelScope, str] = {}

    async def run(  # noqa: ASYNC114, ASYNC128  started() is called where the sockets are opened
        self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answer until cancelled; tell where once clients can connect.

        Raises:
          AdminError: the endpoint could not be opened.
        """
        endpoint = self._endpoint
        try:
            async with self._listening() as (listeners, name), open_nursery(OSError) as nursery:
                nursery.start_soon(self._backend.run)
                task_status.started(name)
                await trio.serve_listeners(self._serve, listeners, handler_nursery=nursery)
        except (OSError, UnicodeError) as error:
            raise AdminError.because(error, str(endpoint)) from error

    async def finish(self) -> None:
        """The server has ended: let readers have the last events. Waits a moment at most."""
        self._backend.feed.end()
        with trio.move_on_after(END_TIME):
            await self._backend.feed.wait_left()

    @asynccontextmanager
    async def _listening(self) -> AsyncGenerator[tuple[list[trio.SocketListener], str], None]:
        endpoint = self._endpoint
        if endpoint.path:
            with listening_at(endpoint.path, self._unix_mode) as listener:
                yield [listener], str(endpoint)
            return
        for attempts_left in reversed(range(PORT_ATTEMPTS)):
            addresses = await addresses_of(endpoint.host, endpoint.port)
            try:
                port = endpoint.port or await free_port(addresses)
                listeners = await _open(addresses, port)
                break
            except OSError as error:
                if endpoint.port or error.errno != errno.EADDRINUSE or not attempts_left:
                    raise
        async with contextlib.AsyncExitStack() as stack:
            for listener in listeners:
                await stack.enter_async_context(listener)
            yield listeners, endpoint.named(port)

    async def _serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; no failure of it leaves this."""
        if len(self._passing) + len(self._lasting) >= CONNECTIONS and self._passing:
            oldest = next(iter(self._passing))
            del self._passing[oldest]
            oldest.cancel()
        scope = trio.CancelScope()
        self._passing[scope] = None
        try:
            with scope:
                await self._converse(stream, scope)
        except (trio.BrokenResourceError, trio.TooSlowError, WriteTimeout, OSError):
            pass  # it has gone, or was too slow
        except Exception as error:  # noqa: BLE001  our bug: it costs this connection only
            self._backend.report(error)
        finally:
            self._passing.pop(scope, None)
            self._lasting.pop(scope, None)

    async def _converse(self, bare: trio.SocketStream, scope: trio.CancelScope) -> None:
        stream: trio.abc.Stream = bare
        if self._tls is not None:
            stream = trio.SSLStream(
                bare, self._tls.context, server_side=True, https_compatible=True
            )
            with trio.fail_after(REQUEST_TIME):
                await stream.do_handshake()

        async def respond(request: Request) -> Outcome:
            outcome = await self._api.respond(request)
            self._passing.pop(scope, None)
            self._lasting.pop(scope, None)
            kind = getattr(outcome, "lasts_as", None)
            if kind is not None:
                if Counter(self._lasting.values())[kind] < LASTING[kind]:
                    self._lasting[scope] = kind
                    return outcome
                outcome = busy(f"there are {LASTING[kind]} {kind} already")
            self._passing[scope] = None
            return outcome

        await HttpConnection(stream, bare, respond, HEADERS, self._turns).run()


async def _open(addresses: list[str], port: int) -> list[trio.SocketListener]:
    """Listen on every address that this machine has.

    Raises:
      OSError: none of the addresses is here, or one of them could not be opened.
    """
    listeners: list[trio.SocketListener] = []
    absent: OSError | None = None
    try:
        for address in addresses:
            try:
                listeners += await trio.open_tcp_listeners(port, host=address)
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
                absent = error
        if not listeners and absent is not None:
            raise absent
    except BaseException:  # a cancellation, too: nobody else knows of these sockets
        for listener in listeners:
            listener.socket.close()
        raise
    for listener in listeners:
        keep_alive(listener.socket)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Whoever vanishes while we send is gone as soon as whoever stops reading.
            milliseconds = int(WRITE_TIME * 1000)
            listener.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listeners
