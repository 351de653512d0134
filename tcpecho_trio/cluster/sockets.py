"""The listening sockets of a server whose workers inherit them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import trio

from tcpecho_trio.cluster.config import InheritedListener
from tcpecho_trio.errors import CannotListen
from tcpecho_trio.server.accepting import keep_alive
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.listeners import Inherited
from tcpecho_trio.server.opening import open_each, with_port
from tcpecho_trio.server.settings import Settings
from tcpecho_trio.server.unix_socket import listening_at


class SharedListeners:
    """Opens every endpoint once, for all workers.

    Attributes:
      shared: what a worker has to know of each socket.
      names: of the endpoints, as they are written, with their real ports.
    """

    def __init__(self) -> None:
        self.shared: list[InheritedListener] = []
        self.names: list[str] = []
        self._opened = contextlib.ExitStack()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a worker inherits."""
        return tuple(listener.fd for listener in self.shared)

    async def open(
        self, settings: Settings, inherited: Sequence[trio.SocketListener], *, tls: bool
    ) -> None:
        """Open all endpoints, or take the sockets that a service manager has opened.

        Args:
          settings: name the endpoints.
          inherited: to be shared instead of these.
          tls: whether there is a certificate: then clients of inherited TCP sockets shake hands.

        Raises:
          CannotListen: one of them could not be opened.
        """
        for listener in inherited:
            known = Inherited.of(listener)
            scheme = Scheme.UNIX if known.unix else Scheme.TLS if tls else Scheme.TCP
            self._share(
                listener,
                # The next server has the same socket, and whoever waits there.
                InheritedListener(
                    listener.socket.fileno(), known.name, scheme.value, backlog=False
                ),
            )
            self.names.append(known.name)
        for endpoint in () if inherited else settings.endpoints:
            try:
                await self._open(endpoint, settings.unix_mode)
            except (OSError, UnicodeError) as error:
                raise CannotListen.because(
                    error, endpoint.host, endpoint.port, endpoint.path
                ) from error

    def close(self) -> None:
        """Close the sockets here, and remove the files of Unix sockets.

        A worker's descriptor is its own: the last one that closes it ends the listening.
        """
        self._opened.close()
        self.shared.clear()

    async def _open(self, endpoint: Endpoint, unix_mode: int | None) -> None:
        if endpoint.scheme is Scheme.UNIX:
            listener = self._opened.enter_context(listening_at(endpoint.path, unix_mode))
            name = str(endpoint)
            self.shared.append(InheritedListener.of(listener.socket.fileno(), name, endpoint))
        else:
            name = await with_port(endpoint, lambda *where: self._open_tcp(endpoint, *where))
        self.names.append(name)

    async def _open_tcp(self, endpoint: Endpoint, addresses: list[str], port: int) -> str:
        name = str(replace(endpoint, port=port))
        opened: list[trio.SocketListener] = []

        async def open_one(address: str) -> trio.SocketListener:
            (listener,) = await trio.open_tcp_listeners(port, host=address)
            opened.append(listener)
            keep_alive(listener.socket)
            return listener

        try:
            await open_each(addresses, open_one)
        except BaseException:  # whatever it is: another attempt must find the port free
            for listener in opened:
                listener.socket.close()
            raise
        for listener in opened:
            self._share(listener, InheritedListener.of(listener.socket.fileno(), name, endpoint))
        return name

    def _share(self, listener: trio.SocketListener, shared: InheritedListener) -> None:
        self._opened.callback(listener.socket.close)
        self.shared.append(shared)
