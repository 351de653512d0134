"""The listening sockets of a server: TCP, TLS and Unix endpoints, and sockets that it was given.

Each endpoint is opened by a task that then accepts there until it is cancelled. TCP goes through
``trio.serve_tcp``, once for each address of the host; everything else through
``trio.serve_listeners``.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.display import shown
from tcpecho_trio.errors import CannotListen
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server.accepting import BATCH, Acceptor, Handler, keep_alive
from tcpecho_trio.server.admission import Admission
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.lifecycle import Lifecycle
from tcpecho_trio.server.opening import open_each, with_port
from tcpecho_trio.server.tls import Tls
from tcpecho_trio.server.unix_socket import listening_at

Opened = tuple[list[trio.SocketListener], str]
"""The listeners of an endpoint, and its name with the real port."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """A listening socket that another process has opened, and what it says about it.

    Args:
      listener: accepts there. If it has a `socket`, the backlog behind is accepted, too.
      name: of the endpoint, as it is written.
      endpoint: may differ from the server's settings; None if nothing does.
      tls: whether clients shake hands there.
      unix: whether it is a Unix socket, whose connections have no address of their own.
      backlog: whether a drain accepts the clients in the backlog. Otherwise the socket stays open
        in the process that opened it, and they are the next server's.
      batch: how many may be accepted at a time, besides the one that Trio accepts.
    """

    listener: trio.abc.Listener[Any]
    name: str = "inherited"
    endpoint: Endpoint | None = None
    tls: bool = False
    unix: bool = False
    backlog: bool = False
    batch: Callable[[], int] = lambda: BATCH

    @classmethod
    def of(cls, listener: trio.abc.Listener[Any]) -> Inherited:
        """What the socket itself tells: over TLS where it is TCP, if there is a certificate."""
        if not isinstance(listener, trio.SocketListener):
            return cls(listener, tls=True)
        address = listener.socket.getsockname()
        if listener.socket.family == socket.AF_UNIX:
            # Bytes where it is an abstract name (unix(7)).
            return cls(listener, f"unix://{shown(address)}", unix=True)
        keep_alive(listener.socket)
        return cls(listener, format_address(address), tls=True)


class Listeners:
    """Opens endpoints, and accepts there.

    Args:
      lifecycle: says whether accepting ends with a drain.
      admission: takes the connections.
      tls: what clients of ``tls://`` endpoints shake hands with.
      connections: the nursery in which connections are served; outlives the accepting.
      unix_mode: permissions of the Unix sockets' files.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        admission: Admission,
        tls: Tls | None,
        connections: trio.Nursery,
        *,
        unix_mode: int | None,
    ) -> None:
        self._lifecycle = lifecycle
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
        inherited: Inherited,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept at a socket that another process has opened, until cancelled."""
        handler = self._admission.handler(
            inherited.name,
            inherited.endpoint,
            tls=self._tls if inherited.tls else None,
            unix=inherited.unix,
        )
        acceptor = Acceptor(handler, self._connections, inherited.batch)
        try:
            if (bare := getattr(inherited.listener, "socket", None)) is not None:
                acceptor.look_at(bare)
            task_status.started()
            await _serve(acceptor, inherited.listener)
        finally:
            if inherited.backlog and self._lifecycle.draining:
                acceptor.accept_backlog()
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
            acceptor.look_at(listener.socket)
            status.started(([listener], str(endpoint)))
            try:
                await _serve(acceptor, listener)
            finally:
                acceptor.accept_backlog()

    async def _open_tcp(self, endpoint: Endpoint, status: trio.TaskStatus[Opened]) -> None:
        tls = self._tls if endpoint.scheme is Scheme.TLS else None

        async def accept(addresses: list[str], port: int) -> None:
            name = str(replace(endpoint, port=port))
            handler = self._admission.handler(name, endpoint, tls=tls)
            async with self._serving(addresses, port, handler) as listeners:
                status.started((listeners, name))
                await trio.sleep_forever()

        await with_port(endpoint, accept)

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

                async def serve_at(address: str) -> trio.SocketListener:
                    acceptor = Acceptor(handler, self._connections)
                    (listener,) = await accepting.start(
                        _serve_tcp, acceptor, handler, port, address
                    )
                    acceptors.append(acceptor)
                    keep_alive(listener.socket)
                    acceptor.look_at(listener.socket)
                    opened: trio.SocketListener = listener
                    return opened

                yield await open_each(addresses, serve_at)
        finally:
            # The other tasks have let go of the sockets: the clients accepted here are the last.
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
