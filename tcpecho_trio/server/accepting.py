"""Accepting connections in batches, in the order of arrival.

``trio.serve_tcp`` accepts one connection in each pass of the scheduler, and starts the tasks of
one pass in random order. Both matter here. While busy clients make a pass last a millisecond, five
hundred newcomers would wait for half a second. And the list shall show clients in their order.
So an :class:`Acceptor` stands where Trio expects the nursery for the handlers. Trio hands it each
connection at the moment when it is accepted. The acceptor accepts the others that are waiting, and
gives each to the handler, which starts its task.

Before a listening socket is closed, the clients in its backlog are accepted
(:meth:`Acceptor.accept_backlog`). The kernel has told them that they are connected, so they may
have sent something, and closing the socket would reset them.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator

import trio

Spawn = Callable[[Awaitable[None], trio.SocketStream], None]
"""Starts a task that serves a connection and closes it after that."""

Handler = Callable[[trio.SocketStream, Spawn], None]
"""Called as a connection is accepted. It starts the connection's task, now or once there is
something to do that takes one; until then it is the handler's business to close the connection."""

BATCH = 64
"""Connections accepted at a time besides the one that Trio accepts. At some 50 µs each, the others
wait no longer than for a slice of the pump's."""

BACKLOG = 1024
"""Connections accepted at most when a listening socket is closed, so that newcomers cannot hold it
open. At some 0.2 ms each four sockets with as many take less than a second, which is what an end
may take."""

KEEPALIVE = {"TCP_KEEPIDLE": 300, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}
"""Seconds of silence before a peer is asked whether it is still there, seconds between two such
probes, and how many go unanswered before it counts as gone (tcp(7)). That is seven minutes in all,
and less than the 350 s after which load balancers and NAT boxes forget a silent connection."""


class Acceptor:
    """Gives each connection of one listening socket to its handler, in the order of arrival.

    It is given to ``trio.serve_tcp`` or ``trio.serve_listeners`` as their ``handler_nursery``.

    Args:
      handler: serves a connection; the connection is closed after it.
      connections: the nursery in which connections are served; outlives the accepting.
      batch: how many may be accepted at a time, besides the one that Trio accepts.
    """

    def __init__(
        self,
        handler: Handler,
        connections: trio.Nursery,
        batch: Callable[[], int] = lambda: BATCH,
    ) -> None:
        self._handler = handler
        self._connections = connections
        self._batch = batch
        self._listening: socket.socket | None = None

    def look_at(self, same: trio.socket.SocketType) -> None:
        """Accept in batches at this socket from now on.

        Raises:
          OSError: no descriptor is left.
        """
        # Trio closes its own descriptor as soon as accepting is cancelled.
        self._listening = socket.fromfd(same.fileno(), same.family, same.type)
        self._listening.setblocking(False)

    def start_soon(self, _run: object, stream: trio.SocketStream, *_: object) -> None:
        """Take the connection that Trio has just accepted, and whoever waits behind it.

        Trio calls this as it would call :meth:`trio.Nursery.start_soon`: with its own wrapper
        around the handler, the connection, and the handler.
        """
        self._start(stream)
        for other in self._waiting(self._batch()):
            self._start(other)

    def accept_backlog(self) -> None:
        """Serve the clients in the backlog, if there is time for them; then close the socket."""
        if self._listening is not None:
            if not self._connections.cancel_scope.cancel_called:
                for stream in self._waiting(BACKLOG):
                    self._start(stream)
            self.close()

    def close(self) -> None:
        """Let go of the socket."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _start(self, stream: trio.SocketStream) -> None:
        try:
            self._handler(stream, self._spawn)
        except MemoryError:  # it costs this client only
            if isinstance(stream, trio.SocketStream):
                stream.socket.close()

    def _spawn(self, serving: Awaitable[None], stream: trio.SocketStream) -> None:
        self._connections.start_soon(_serve_and_close, serving, stream)

    def _waiting(self, most: int) -> Iterator[trio.SocketStream]:
        """Accept the clients in the backlog."""
        if self._listening is None:
            return
        for _ in range(most):
            try:
                accepted, _address = self._listening.accept()
            except OSError:  # nobody is waiting; or no descriptor is left, which Trio will find
                return
            try:
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
            except MemoryError:  # Trio's own accept waits and tries again
                accepted.close()
                return
            yield stream


async def _serve_and_close(serving: Awaitable[None], stream: trio.SocketStream) -> None:
    """What Trio does around a handler, but for the way of closing.

    Trio's ``aclose_forcefully`` opens and cancels a scope to get out of one checkpoint: a fifth of
    what a short connection costs. Closing the socket is the same without it.
    """
    try:
        await serving
    except MemoryError:
        pass  # out of a handler it would end the whole server; the connection is closed below
    finally:
        if isinstance(stream, trio.SocketStream):
            stream.socket.close()
        else:  # of another kind of listener
            await trio.aclose_forcefully(stream)


def keep_alive(listening: trio.socket.SocketType) -> None:
    """Have every connection accepted here find out when its peer has vanished.

    Accepted sockets inherit these options (socket(7)), so a connection pays nothing for them.
    """
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # macOS lacks the first
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
