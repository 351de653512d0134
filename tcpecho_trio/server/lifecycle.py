"""Running → draining → stopped: the only thing that says stop.

Whoever wants the server to end (a signal, the console, an admin's word) says so here; whoever
has to act on it waits here. Graceful is an event, abrupt is a cancellation, and both happen
once however many ask for them at the same time.

=========== ======================= =====================================
phase       what is true            what leads on
=========== ======================= =====================================
RUNNING     accepting and answering ``drain()``, or the first signal
DRAINING    finishing conversations everybody left, or the deadline, or
                                    ``cut()``, or the second signal
STOPPED     nothing is left         –
=========== ======================= =====================================
"""

from __future__ import annotations

import enum

import trio


class Phase(enum.Enum):
    """Where the server is between start and end."""

    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


class Lifecycle:
    """One server's life. Its methods that ask for something may be called in any phase."""

    def __init__(self) -> None:
        self.phase = Phase.RUNNING
        self.reason = ""
        """Who asked for the drain first, in words for a person."""
        self._drain = trio.Event()
        self._cut = trio.Event()
        self._stop = trio.Event()
        self._signalled = False

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self.phase is not Phase.RUNNING

    @property
    def cutting(self) -> bool:
        """Whether nobody is waited for any more."""
        return self._cut.is_set()

    def drain(self, reason: str) -> None:
        """Begin to end: accept nobody else, let everybody finish."""
        if self.phase is Phase.RUNNING:
            self.phase = Phase.DRAINING
            self.reason = reason
            self._drain.set()

    def cut(self) -> None:
        """End at once, whatever is still going on."""
        self.drain("")
        self._cut.set()

    def signal(self, reason: str) -> None:
        """Take a SIGINT or SIGTERM: the first one drains, any further one cuts.

        A drain that somebody else began does not count: console, remote word and one signal
        together are one drain.
        """
        if self._signalled:
            self.cut()
        self._signalled = True
        self.drain(reason)

    def stop(self) -> None:
        """Nothing is left. Said by the one who ran the server."""
        self.phase = Phase.STOPPED
        self._stop.set()

    async def wait_draining(self) -> None:
        """Sleep until the drain begins."""
        await self._drain.wait()

    async def wait_cut(self) -> None:
        """Sleep until somebody asks for an end at once."""
        await self._cut.wait()

    async def wait_stopped(self) -> None:
        """Sleep until nothing is left."""
        await self._stop.wait()
