"""The listening sockets of a server: TCP, TLS and Unix endpoints, and sockets that it was given.

Each endpoint is opened by a task that then accepts there until it is cancelled. TCP goes through
``trio.serve_tcp``, once for each address of the host; everything else through
``trio.serve_listeners``.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.display import shown
from tcpecho_trio.errors import CannotListen
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server.accepting import Acceptor, Handler, keep_alive
from tcpecho_trio.server.admission import Admission
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.tls import Tls
from tcpecho_trio.server.unix_socket import listening_at

Opened = tuple[list[trio.SocketListener], str]
"""The listeners of an endpoint, and its name with the real port."""

PORT_ATTEMPTS = 16
"""How often a free port is looked for: another program may take it before we listen on it
again, or it may be taken on only one of the host's addresses."""

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  only where the user asks for it
"""All addresses of this machine, each family on a socket of its own: Linux lets one IPv6 socket
take IPv4 clients, too, but other systems do not, and Trio never does."""

# An address that getaddrinfo(3) knows and this machine does not have: ``::1`` in /etc/hosts
# where IPv6 is switched off, as containers like it.
ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Listeners:
    """Opens endpoints, and accepts there.

    Args:
      admission: takes the connections.
      tls: what clients of ``tls://`` endpoints shake hands with.
      connections: the nursery in which connections are served; outlives the accepting.
      unix_mode: permissions of the Unix sockets' files.
    """

    def __init__(
        self,
        admission: Admission,
        tls: Tls | None,
        connections: trio.Nursery,
        *,
        unix_mode: int | None,
    ) -> None:
        self._admission = admission
        self._tls = tls
        self._connections = connections
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
        """Accept at a socket that somebody else has opened, until cancelled.

        Whoever is in its backlog at the end is not accepted: the socket stays open with whoever
        opened it, and they are the next server's.
        """
        name, unix = "inherited", False
        if isinstance(listener, trio.SocketListener):
            address = listener.socket.getsockname()
            if listener.socket.family == socket.AF_UNIX:
                # Bytes where it is an abstract name (unix(7)).
                name, unix = f"unix://{shown(address)}", True
            else:
                name = format_address(address)
                keep_alive(listener.socket)
        handler = self._admission.handler(name, tls=None if unix else self._tls, unix=unix)
        acceptor = Acceptor(handler, self._connections)
        try:
            if isinstance(listener, trio.SocketListener):
                acceptor.look_at(listener)
            task_status.started(name)
            await _serve(acceptor, listener)
        finally:
            acceptor.close()

    async def accept_streams(self, listener: trio.abc.Listener[Any], name: str) -> None:
        """Accept streams that are no sockets and know their peer, until cancelled."""
        # Like those of a Unix socket they have no address of their own, and no proxy before them.
        endpoint = Endpoint(Scheme.UNIX, path=name, proxy=False)
        handler = self._admission.handler(name, endpoint, unix=True)
        await _serve(Acceptor(handler, self._connections), listener)

    async def _open_unix(self, endpoint: Endpoint, status: trio.TaskStatus[Opened]) -> None:
        handler = self._admission.handler(str(endpoint), endpoint, unix=True)
        acceptor = Acceptor(handler, self._connections)
        with listening_at(endpoint.path, self._unix_mode) as listener:
            acceptor.look_at(listener)
            status.started(([listener], str(endpoint)))
            try:
                await _serve(acceptor, listener)
            finally:
                acceptor.accept_backlog()

    async def _open_tcp(self, endpoint: Endpoint, status: trio.TaskStatus[Opened]) -> None:
        tls = self._tls if endpoint.scheme is Scheme.TLS else None
        for attempts_left in reversed(range(PORT_ATTEMPTS)):
            addresses = await addresses_of(endpoint.host, endpoint.port)
            try:
                port = endpoint.port or await free_port(addresses)
                name = str(replace(endpoint, port=port))
                handler = self._admission.handler(name, endpoint, tls=tls)
                async with self._serving(addresses, port, handler) as listeners:
                    status.started((listeners, name))
                    await trio.sleep_forever()
            except OSError as error:
                if endpoint.port or error.errno != errno.EADDRINUSE or not attempts_left:
                    raise

    @asynccontextmanager
    async def _serving(
        self, addresses: list[str], port: int, handler: Handler
    ) -> AsyncGenerator[list[trio.SocketListener], None]:
        """Accept on every address that this machine has, all on one port.

        Raises:
          OSError: none of the addresses is here, or one of them could not be opened.
        """
        acceptors: list[Acceptor] = []
        try:
            async with open_nursery(OSError) as accepting:
                listeners: list[trio.SocketListener] = []
                absent: OSError | None = None
                for address in addresses:
                    acceptor = Acceptor(handler, self._connections)
                    try:
                        (listener,) = await accepting.start(
                            _serve_tcp, acceptor, handler, port, address
                        )
                    except OSError as error:
                        if error.errno not in ABSENT:
                            raise
                        absent = error
                        continue
                    acceptors.append(acceptor)
                    keep_alive(listener.socket)
                    acceptor.look_at(listener)
                    listeners.append(listener)
                if not listeners and absent is not None:
                    raise absent
                yield listeners
        finally:
            # Only now nobody else has the sockets: what is accepted here are really the last.
            for acceptor in acceptors:
                acceptor.accept_backlog()


async def _serve_tcp(  # noqa: ASYNC114, ASYNC128  trio.serve_tcp calls started()
    acceptor: Acceptor,
    handler: Handler,
    port: int,
    address: str,
    *,
    task_status: trio.TaskStatus[list[trio.SocketListener]],
) -> None:
    """The shape of the exercise: ``trio.serve_tcp``, and a nursery that outlives it."""
    await trio.serve_tcp(
        cast("Callable[[trio.SocketStream], Any]", handler),
        port,
        host=address,
        handler_nursery=cast("trio.Nursery", acceptor),
        task_status=task_status,
    )


async def _serve(acceptor: Acceptor, listener: trio.abc.Listener[Any]) -> None:
    """The same for a socket that is listening already."""
    serve = partial(trio.serve_listeners, handler_nursery=cast("trio.Nursery", acceptor))
    await serve(_started_by_the_acceptor, [listener])


async def _started_by_the_acceptor(_: object) -> None:  # noqa: ASYNC124  as Trio asks for
    """Stand for the handler, which the acceptor has and calls itself."""
    raise AssertionError("the acceptor starts its own handler")


async def addresses_of(host: str, port: int) -> list[str]:
    """The addresses that a host stands for, each once. ``*`` and ``::`` stand for all there are.

    Raises:
      OSError: from getaddrinfo(3).
      UnicodeError: the host is no name at all.
    """
    if host in ("*", "::"):
        return list(EVERYWHERE)
    found = await trio.socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def free_port(addresses: list[str]) -> int:
    """A port that is free right now on the first of the addresses that there is."""
    for left, address in reversed(list(enumerate(reversed(addresses)))):
        try:
            (listener,) = await trio.open_tcp_listeners(0, host=address)
        except OSError as error:
            if error.errno not in ABSENT or not left:
                raise
        else:
            async with listener:
                port: int = listener.socket.getsockname()[1]
                return port
    raise AssertionError("the last address returns or raises")
