"""Spreading connections over workers that accept at one socket.

The kernel wakes all of them, and whoever is quickest takes whatever waits: of 500 connections that
were opened at once one worker of two got 439. So a worker that has more than its share leaves the
accepting to the others for a moment, and takes few at a time when it has not. It accepts all the
same if nobody has come for a connection by then: the others may be busy, or hang.
"""

from __future__ import annotations

import trio

from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.server.accepting import BATCH

PAUSE = 0.001
"""Seconds between two looks whether it is our turn: as little as epoll can wait."""

PAUSES = 4
"""Looks after which a connection is accepted all the same: no client notices the milliseconds."""

FORCED_BATCH = 8
"""Connections that are accepted then: some two thousand a second, when all others hang."""

MARGIN = 0.1
"""The part of a fair share that a worker may have on top of it. Of 500 connections at two workers
one has 275 at most, if nobody is slow; of few it has hardly one too many."""


class Share:
    """How many connections a worker has, beside what would be fair.

    Args:
      slots: of all workers.
      index: of this one's slot.
    """

    def __init__(self, slots: Slots, index: int) -> None:
        self._slots = slots
        self._index = index
        self._forced = False

    def room(self) -> int:
        """How many connections it may accept before it has more than its share."""
        workers, places = self._slots.accepting()
        if workers < 2:
            return BATCH
        # As many more as bring it to its share of those that there are then, and the margin.
        fair = places / workers
        return int(fair * (1 + MARGIN) + 1 - self._slots.places(self._index))

    async def wait(self) -> None:
        """Leave the accepting to the others while they have less; for a moment at most."""
        self._forced = False
        for _ in range(PAUSES):
            if self.room() > 0:
                return
            await trio.sleep(PAUSE)
        self._forced = self.room() <= 0

    def batch(self) -> int:
        """How many connections may be accepted at a time now, beside the one that Trio accepts."""
        if self._forced:
            return FORCED_BATCH
        return min(BATCH, max(0, self.room() - 1))


class BalancedListener(trio.abc.Listener[trio.SocketStream]):
    """A listening socket that a worker shares with others.

    Args:
      listener: the socket; closed with this.
      share: this worker's.
    """

    def __init__(self, listener: trio.SocketListener, share: Share) -> None:
        self._listener = listener
        self._share = share
        self.socket = listener.socket

    async def accept(self) -> trio.SocketStream:
        """The next connection; waits a little if it is rather somebody else's."""
        await trio.lowlevel.wait_readable(self.socket)
        await self._share.wait()
        return await self._listener.accept()

    async def aclose(self) -> None:
        """Close the socket."""
        await self._listener.aclose()
