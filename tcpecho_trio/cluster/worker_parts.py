"""A worker's registry, roster and life cycle: those of a server that is one of several."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import trio

from tcpecho_trio.cluster.address_counts import AddressCounts
from tcpecho_trio.cluster.channel import Channel, Unanswered
from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.events import DrainReason
from tcpecho_trio.server.lifecycle import Lifecycle
from tcpecho_trio.server.registry import Registry

FRESH = 0.05
"""Seconds for which an answer to "who is connected elsewhere?" is good: nobody types faster, and a
flood of ``LISTAR`` asks twenty times a second at most."""

ANSWER_TIME = 0.3
"""Seconds that a list may wait for the others. Whoever is later is shown as last known."""


class WorkerRegistry(Registry):
    """The connections of one worker. What it counts, its slot tells the others.

    Args:
      slots: of all workers.
      index: of its slot.
      most: connections that all workers may have together.
      addresses: counts those of each address at all workers; None if only ours count.
    """

    def __init__(
        self, slots: Slots, index: int, most: int, addresses: AddressCounts | None = None
    ) -> None:
        super().__init__()
        self._slots = slots
        self._index = index
        self._most = most
        self._numbers = self._own_numbers()
        self._counts = addresses

    def full(self, most: int) -> bool:
        """Whether there is no place for one more: here, or at all workers together."""
        return super().full(most) or not self._slots.claim(self._index, self._most)

    def accept(self, endpoint: str) -> int:
        """As ever; the number is this worker's own."""
        number = super().accept(endpoint)
        self._slots.set_places(self._index, len(self._places), number + self._slots.count)
        return number

    def take_address(self, number: int, address: str, most: int) -> bool:
        """As ever, for all workers together."""
        if self._counts is not None and not self._counts.claim(address, most):
            return False
        return super().take_address(number, address, most)

    def close(self, number: int, reason: CloseReason) -> None:
        """As ever; the others know that there is a place."""
        if self._counts is not None and number in self._address_of:
            self._counts.release(self._address_of[number])
        super().close(number, reason)
        self._slots.set_places(self._index, len(self._places))

    def _own_numbers(self) -> Iterator[int]:
        while True:
            yield self._slots.next_number(self._index)


class WorkerLifecycle(Lifecycle):
    """The life of one worker. A client that ends the server ends all of it.

    Args:
      shut_down: called with that client's address.
    """

    def __init__(self, shut_down: Callable[[str], None]) -> None:
        super().__init__()
        self._shut_down = shut_down

    def drain(self, reason: DrainReason = DrainReason.PROGRAM, client: str | None = None) -> None:
        """As ever; the supervisor is told of a client's word."""
        if reason is DrainReason.REMOTE and client is not None and not self.draining:
            self._shut_down(client)
        super().drain(reason, client)

    def obey(self, reason: DrainReason, client: str | None) -> None:
        """Drain because the supervisor says so."""
        super().drain(reason, client)


class WorkerRoster:
    """Who is connected to this worker, and to whom else the supervisor knows.

    Args:
      registry: this worker's.
      channel: where to ask.
    """

    def __init__(self, registry: Registry, channel: Channel) -> None:
        self._registry = registry
        self._channel = channel
        self._others: list[str] = []
        self._until = -1.0  # the others are fresh, on the clock of the run
        self._asking: trio.Event | None = None

    @property
    def fresh(self) -> bool:
        """Whether the others are known well enough."""
        return trio.current_time() < self._until

    async def refresh(self) -> None:
        """Ask for the others; several clients that want to know at once ask once."""
        if self._asking is not None:
            await self._asking.wait()
            return
        self._asking = trio.Event()
        try:
            self._others = await self._channel.ask("clients", ANSWER_TIME)
        except Unanswered:
            pass  # as last known
        finally:
            self._until = trio.current_time() + FRESH
            self._asking.set()
            self._asking = None

    def clients(self) -> list[str]:
        """Every client's address: this worker's first, in the order of arrival."""
        return [*self._registry.clients(), *self._others]
