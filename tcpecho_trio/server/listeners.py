"""The doors of a server: TCP, TLS and Unix endpoints, and sockets that it was given.

Each is opened by a task that then accepts there until it is cancelled. TCP goes through
:class:`~tcpecho_trio.server.accepting.Doorway`, that is ``trio.serve_tcp``; everything else
through ``trio.serve_listeners``.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.display import shown
from tcpecho_trio.errors import CannotListen
from tcpecho_trio.server.accepting import Doorway, duplicate, keep_alive, let_in_the_last
from tcpecho_trio.server.admission import Arrivals
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.tls import Tls
from tcpecho_trio.server.unix_socket import listening_at

Opened = tuple[list[trio.SocketListener], str]
"""The listeners of an endpoint, and its name with the real port."""


class Doors:
    """Opens endpoints, and lets in whoever comes.

    Args:
      arrivals: receives the connections.
      tls: what clients of ``tls://`` endpoints shake hands with.
      clients: the nursery in which connections are served; outlives the accepting.
      unix_mode: permissions of the Unix sockets' files.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        tls: Tls | None,
        clients: trio.Nursery,
        *,
        unix_mode: int | None,
    ) -> None:
        self._arrivals = arrivals
        self._tls = tls
        self._clients = clients
        self._unix_mode = unix_mode

    async def open(  # noqa: ASYNC114, ASYNC128  started() is called where the sockets are opened
        self,
        endpoint: Endpoint,
        *,
        task_status: trio.TaskStatus[Opened] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept at an endpoint until cancelled.

        Raises:
          CannotListen: it could not be opened.
        """
        try:
            if endpoint.scheme is Scheme.UNIX:
                await self._open_unix(endpoint, task_status)
            else:
                await self._open_tcp(endpoint, task_status)
        except (OSError, UnicodeError) as error:
            raise CannotListen.because(
                error, endpoint.host, endpoint.port, endpoint.path
            ) from error

    async def inherit(  # noqa: ASYNC114
        self,
        listener: trio.abc.Listener[Any],
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept at a socket that somebody else has opened, until cancelled."""
        handler, name = self._arrivals.handler(self._tls), "inherited"
        if isinstance(listener, trio.SocketListener):
            address = listener.socket.getsockname()
            if listener.socket.family == socket.AF_UNIX:
                # Bytes where it is an abstract name (unix(7)).
                handler, name = self._arrivals.handler(path=address), f"unix://{shown(address)}"
            else:
                name = format_address(address)
                keep_alive(listener.socket)
        task_status.started(name)
        # Nobody is let in last here: the socket stays open with whoever opened it, and those who
        # wait at it are the next server's.
        await trio.serve_listeners(handler, [listener], handler_nursery=self._clients)

    async def _open_tcp(self, endpoint: Endpoint, status: trio.TaskStatus[Opened]) -> None:
        tls = self._tls if endpoint.scheme is Scheme.TLS else None
        doorway = Doorway(self._arrivals.handler(tls), self._clients)

        def opened(listeners: list[trio.SocketListener]) -> None:
            port = listeners[0].socket.getsockname()[1]
            status.started((listeners, str(replace(endpoint, port=port))))

        await doorway.open(endpoint.host, endpoint.port, opened)

    async def _open_unix(self, endpoint: Endpoint, status: trio.TaskStatus[Opened]) -> None:
        handler = self._arrivals.handler(path=endpoint.path)
        with (
            listening_at(endpoint.path, self._unix_mode) as listener,
            duplicate(listener) as listening,
        ):
            status.started(([listener], str(endpoint)))
            try:
                await trio.serve_listeners(handler, [listener], handler_nursery=self._clients)
            finally:
                let_in_the_last(listening, handler, self._clients)
