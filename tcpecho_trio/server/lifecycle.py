"""Running → draining → stopped: the only place that says when the server ends.

A signal, the console or a client's word asks for the end here, and the tasks that have to act on
it wait here. A graceful end is an event, an abrupt one a cancellation. Each happens once, however
many ask for it at the same time.

=========== ======================= =====================================
phase       what is true            what leads on
=========== ======================= =====================================
RUNNING     accepting and answering ``drain()``, or the first signal,
                                    or ``retire()``
RETIRING    accepting nobody else,  everybody left, or ``drain()``
            answering
DELAYING    the same, but told that the delay is over, ``drain()``,
            the end is near         or the second signal
DRAINING    finishing conversations everybody left, or the deadline, or
                                    ``abort()``, or another signal
STOPPED     nothing is left         –
=========== ======================= =====================================
"""

from __future__ import annotations

import enum

import trio

from tcpecho_trio.server.events import DrainReason


class Phase(enum.Enum):
    """Where the server is between start and end."""

    RUNNING = "running"
    RETIRING = "retiring"
    DELAYING = "delaying"
    DRAINING = "draining"
    STOPPED = "stopped"


class Lifecycle:
    """One server's life. Its methods that ask for something may be called in any phase.

    Args:
      shutdown_delay: seconds between the first signal and the drain. During this time the server
        goes on as before, but a readiness probe is told that it is not ready any more.
    """

    def __init__(self, shutdown_delay: float = 0.0) -> None:
        self.shutdown_delay = shutdown_delay
        self.phase = Phase.RUNNING
        self.reason = DrainReason.PROGRAM
        """Who asked for the drain first."""
        self.client: str | None = None
        """The client that asked for it; None if none did."""
        self._retire = trio.Event()
        self._end_near = trio.Event()
        self._drain = trio.Event()
        self._abort = trio.Event()
        self._stop = trio.Event()
        self._signalled = False

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self.phase in (Phase.DRAINING, Phase.STOPPED)

    @property
    def aborting(self) -> bool:
        """Whether every wait for clients is over."""
        return self._abort.is_set()

    def retire(self) -> None:
        """Accept nobody else, and end when everybody has left by themselves.

        Another server has taken our place: nobody is hurried.
        """
        if self.phase is Phase.RUNNING:
            self.phase = Phase.RETIRING
            self._retire.set()

    def drain(self, reason: DrainReason = DrainReason.PROGRAM, client: str | None = None) -> None:
        """Begin to end: accept nobody else, let everybody finish.

        Args:
          reason: who asks for it.
          client: the address of the client that asks, for ``DrainReason.REMOTE``.
        """
        if not self.draining:
            if self.phase is not Phase.DELAYING:
                self.reason, self.client = reason, client
            self.phase = Phase.DRAINING
            self._end_near.set()
            self._drain.set()

    def abort(self) -> None:
        """End at once, whatever is still going on."""
        self.drain()
        self._abort.set()

    def signal(self, reason: DrainReason) -> None:
        """Take a SIGINT or SIGTERM: the first one drains, any further one aborts.

        With a shutdown delay the first one begins the delay, and the second one ends it. A drain
        that somebody else began does not count: console, remote word and one signal together are
        one drain.
        """
        if self.phase is Phase.DELAYING:
            self.drain(reason)
        elif self._signalled:
            self.abort()
        elif self.phase is Phase.RUNNING:
            self.shut_down(reason)
        else:
            self.drain(reason)
        self._signalled = True

    def shut_down(self, reason: DrainReason) -> None:
        """Begin to end as the first signal would: with the delay, if there is one. Once."""
        if self.phase is Phase.RUNNING:
            if self.shutdown_delay:
                self.phase, self.reason = Phase.DELAYING, reason
                self._end_near.set()
            else:
                self.drain(reason)

    @property
    def signalled(self) -> bool:
        """Whether a signal has asked for the end, too."""
        return self._signalled

    def stop(self) -> None:
        """Nothing is left. Said by the one who ran the server."""
        self.phase = Phase.STOPPED
        self._stop.set()

    async def wait_retiring(self) -> None:
        """Sleep until another server takes our place."""
        await self._retire.wait()

    async def wait_end_near(self) -> None:
        """Sleep until the shutdown delay, or else the drain, begins."""
        await self._end_near.wait()

    async def wait_draining(self) -> None:
        """Sleep until the drain begins."""
        await self._drain.wait()

    async def wait_aborted(self) -> None:
        """Sleep until an end at once is asked for."""
        await self._abort.wait()

    async def wait_stopped(self) -> None:
        """Sleep until nothing is left."""
        await self._stop.wait()
