"""Plain traffic where there is no epoll: each client's own task takes its turns.

A turn (:mod:`tcpecho_trio.server.traffic`) neither waits nor passes the scheduler. So a message
costs one wait of Trio's, for the socket, and nothing else of it: no cancel scope, no checkpoint
for the reply. To wait for each chunk is what lets the others have their turns in between.
"""

from __future__ import annotations

import math

import trio

from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.server.traffic import (
    Client,
    Handoff,
    PlainStream,
    broken,
    move_bare,
    move_tls,
    socket_of,
)
from tcpecho_trio.tls.stream import TlsStream


class OwnTask:
    """Moves each client's traffic in the client's own task.

    Args:
      events: who is told of messages.
      longest_silence: seconds after which a client is let go that neither sends nor takes a byte.
    """

    def __init__(self, events: Events, longest_silence: float = math.inf) -> None:
        self._events = events
        self._longest_silence = longest_silence
        self._waiting: dict[int, trio.CancelScope] = {}

    async def carry(self, stream: PlainStream, client: Client) -> Handoff | None:
        """Move this client's traffic; return what it leaves to do.

        None if the client has been silent for too long, or is let go. Cancelling it loses nothing.

        Raises:
          trio.BrokenResourceError: the connection broke.
        """
        fd = socket_of(stream).fileno()
        while True:
            # One scope for many messages. Whether the client has spoken meanwhile is looked at only
            # when its time is up.
            deadline = client.stats.active + self._longest_silence
            with trio.CancelScope(deadline=deadline) as scope:
                self._waiting[fd] = scope
                try:
                    return await self._take_turns(fd, stream, client)
                finally:
                    del self._waiting[fd]
            now = trio.current_time()
            if now < deadline or now >= client.stats.active + self._longest_silence:
                return None

    def let_go(self, stream: PlainStream) -> None:
        """Wake the task of a client, if it is being carried: there is nothing to wait for."""
        if (scope := self._waiting.get(socket_of(stream).fileno())) is not None:
            scope.cancel()

    async def _take_turns(self, fd: int, stream: PlainStream, client: Client) -> Handoff:
        events, tls = self._events, stream if isinstance(stream, TlsStream) else None
        handoff: Handoff | None = None
        while handoff is None:
            await trio.lowlevel.wait_readable(fd)
            now = trio.current_time()
            try:
                if tls is None:
                    handoff = move_bare(fd, client, events, now)
                else:
                    handoff = move_tls(fd, tls, client, events, now)
            except OSError as error:
                raise broken(error) from error
        return handoff
