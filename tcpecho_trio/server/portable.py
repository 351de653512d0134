"""Plain traffic where there is no epoll: each client's own task takes its turns.

A turn (:mod:`tcpecho_trio.server.traffic`) neither waits nor passes the scheduler. So a message
costs one wait of Trio's, for the socket, and nothing else of it: no cancel scope, no checkpoint
for the reply. To wait for each chunk is what lets the others have their turns in between.
"""

from __future__ import annotations

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
    """

    def __init__(self, events: Events) -> None:
        self._events = events

    async def carry(self, stream: PlainStream, client: Client) -> Handoff:
        """Move this client's traffic; return what is left to do that is more than that.

        Cancelling it loses nothing.

        Raises:
          trio.BrokenResourceError: the connection broke.
        """
        fd, events = socket_of(stream).fileno(), self._events
        tls = stream if isinstance(stream, TlsStream) else None
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
