"""The listening sockets: opening them on every address of a host, and a rush at the door.

``trio.serve_tcp`` accepts one connection per pass of the scheduler. That is fair, but while
busy clients make a pass last a millisecond, five hundred newcomers would wait for half a second.
So whoever is let in by ``serve_tcp`` holds the door: everybody else who is already waiting
there is accepted at once (:meth:`Doorway.rush`).

Whoever is still waiting when the door is closed is let in first (:func:`let_in_the_last`): the
kernel has told them that they are connected, so they may have sent something, and closing the
listening socket would reset them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import trio

Handler = Callable[[trio.SocketStream], Awaitable[None]]

PORT_ATTEMPTS = 16
"""How often a free port is looked for: another program may take it before we listen on it
again, or it may be taken on only one of the host's addresses."""

RUSH = 64
"""Connections accepted at a time besides the one that ``serve_tcp`` accepts; at some 50 µs
each, the others wait no longer than for a slice of the pump's."""

LAST = 1024
"""Connections accepted at most when a door is closed, so that newcomers cannot hold it open. At
some 0.2 ms each four doors with as many take less than the second that an end may take."""

KEEPALIVE = {"TCP_KEEPIDLE": 300, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}
"""Seconds of silence before a peer is asked whether it is still there, seconds between two such
probes, and how many go unanswered before it counts as gone (tcp(7)): seven minutes in all, and
less than the 350 s after which load balancers and NAT boxes forget a silent connection."""

# An address that getaddrinfo(3) knows and this machine does not have: ``::1`` in /etc/hosts
# where IPv6 is switched off, as containers like it.
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Doorway:
    """One server's listening sockets.

    Args:
      handler: serves one connection; the stream is closed after it.
      clients: the nursery in which connections are served; outlives the accepting.
    """

    def __init__(self, handler: Handler, clients: trio.Nursery) -> None:
        self._handler = handler
        self._clients = clients
        self._listening: list[socket.socket] = []

    async def open(
        self, host: str, port: int, opened: Callable[[list[trio.SocketListener]], None]
    ) -> None:
        """Accept on every address of the host, all on one port, until cancelled.

        Args:
          host: a name or an address.
          port: 0 stands for any port that is free on all of them.
          opened: called with the listeners once clients can connect.

        Raises:
          OSError: from getaddrinfo(3), bind(2) or listen(2); nothing is left open then.
          UnicodeError: the host is no name at all.
        """
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        for attempts_left in reversed(range(PORT_ATTEMPTS)):
            try:
                chosen = port or await _free_port(addresses)
                await self._serve_addresses(addresses, chosen, opened)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE or not attempts_left:
                    raise

    async def _serve_addresses(
        self,
        addresses: list[str],
        port: int,
        opened: Callable[[list[trio.SocketListener]], None],
    ) -> None:
        failures: list[OSError] = []
        listeners: list[trio.SocketListener] = []
        try:
            async with trio.open_nursery() as accepting:
                for address in addresses:
                    serve_tcp = partial(trio.serve_tcp, self._welcome, port, host=address)
                    try:
                        listeners += await accepting.start(
                            partial(serve_tcp, handler_nursery=self._clients)
                        )
                    except OSError as error:
                        failures.append(error)  # raised below, where no nursery wraps it
                        if error.errno not in _ABSENT:
                            break
                if listeners and all(failure.errno in _ABSENT for failure in failures):
                    failures.clear()
                    try:
                        # serve_tcp's own descriptors close with it; ours are for the rush.
                        for listener in listeners:
                            keep_alive(listener.socket)
                            self._listening.append(duplicate(listener))
                        opened(listeners)
                        await trio.sleep_forever()
                    except OSError as error:  # no descriptor is left
                        failures.append(error)
                accepting.cancel_scope.cancel()
        finally:
            # Only now nobody else has the socket: what is accepted here are really the last.
            for listening in self._listening:
                with listening:
                    let_in_the_last(listening, self._handler, self._clients)
            self._listening.clear()
        if failures:
            raise failures[-1]

    def _welcome(self, stream: trio.SocketStream) -> Awaitable[None]:
        for other in self.rush(stream.socket.family):
            self._clients.start_soon(_serve_and_close, self._handler, other)
        return self._handler(stream)

    def rush(self, family: int) -> Iterator[trio.SocketStream]:
        """Accept whoever else is waiting at the sockets of this family, at most RUSH at each."""
        for listening in self._listening:
            if listening.family == family:
                yield from _waiting_at(listening, RUSH)


def let_in_the_last(listening: socket.socket, handler: Handler, clients: trio.Nursery) -> None:
    """Serve whoever is still waiting at a socket that is about to be closed, if there is time.

    Args:
      listening: does not wait, see :func:`duplicate`.
      handler: serves one connection; the stream is closed after it.
      clients: the nursery in which connections are served.
    """
    if clients.cancel_scope.cancel_called:
        return
    for stream in _waiting_at(listening, LAST):
        clients.start_soon(_serve_and_close, handler, stream)


def _waiting_at(listening: socket.socket, most: int) -> Iterator[trio.SocketStream]:
    """Accept whoever is waiting at a socket."""
    for _ in range(most):
        try:
            accepted, _ = listening.accept()
        except OSError:  # nobody is waiting here; or no descriptor is left, or the
            break  # socket is closed: serve_tcp, which comes next, says so
        accepted.setblocking(False)
        yield trio.SocketStream(trio.socket.from_stdlib_socket(accepted))


async def _serve_and_close(handler: Handler, stream: trio.SocketStream) -> None:
    """What ``serve_tcp`` does for those that it accepts itself.

    Its ``aclose_forcefully`` opens and cancels a scope to get out of one checkpoint: a
    fifth of what a short connection costs. Closing the socket is the same without it.
    """
    try:
        await handler(stream)
    finally:
        stream.socket.close()


def keep_alive(listening: trio.socket.SocketType) -> None:
    """Have every connection accepted here find out when its peer has vanished.

    Accepted sockets inherit these options (socket(7)), so a connection pays nothing for them.
    """
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # macOS lacks the first
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def duplicate(listener: trio.SocketListener) -> socket.socket:
    """The same listening socket, as one that can be asked without waiting."""
    same = socket.socket(fileno=os.dup(listener.socket.fileno()))
    same.setblocking(False)
    return same


async def _free_port(addresses: list[str]) -> int:
    """A port that is free right now on the first of the addresses that there is."""
    for left, address in reversed(list(enumerate(reversed(addresses)))):
        try:
            (listener,) = await trio.open_tcp_listeners(0, host=address)
        except OSError as error:
            if error.errno not in _ABSENT or not left:
                raise
        else:
            async with listener:
                port: int = listener.socket.getsockname()[1]
                return port
    raise AssertionError("the last address returns or raises")
