"""Which connections there are, in the order of arrival, and what became of the others."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import trio

from tcpecho_trio.dialects import Action
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.stats import ConnectionStats, Totals


class Conversation(Protocol):
    """What the registry knows of a connection whose client may talk."""

    @property
    def info(self) -> ConnectionInfo:
        """Who is connected."""

    @property
    def stats(self) -> ConnectionStats:
        """What has passed."""

    def wake(self) -> None:
        """Stop waiting for the client: the server drains, or aborts."""

    def dismiss(self) -> None:
        """Close this one in an orderly way."""

    @property
    def closing(self) -> CloseReason | None:
        """Why it ends; None as long as that is not decided."""


class Registry:
    """The connections of one server. At any moment ``accepted == places + closed``.

    A connection takes its place when it is accepted, so that places are in the order of arrival,
    and keeps it until it is closed, or refused. It is listed from the moment its client may talk:
    behind a proxy or over TLS, that is later.
    """

    def __init__(self) -> None:
        self._places: dict[int, Conversation | None] = {}  # a dict keeps its order
        self._talking = 0
        self.accepted_at: Counter[str] = Counter()
        """How many connections have been accepted at each endpoint since the start."""
        self.commands: Counter[Action] = Counter()
        """How often a client's command was obeyed, or refused."""
        self._numbers: Iterator[int] = itertools.count(1)
        self.close_reasons: Counter[CloseReason] = Counter()
        """How many connections were closed for each reason."""
        self.served = 0
        """How many clients could finish their conversation."""
        self.aborted = 0
        """How many conversations the server has ended by force."""
        self.admitting: set[trio.CancelScope] = set()
        """Admissions under way; the drain gives them little time."""
        self._closed_totals = Totals()
        self._addresses: Counter[str] = Counter()  # where their number is limited
        self._address_of: dict[int, str] = {}

    def full(self, most: int) -> bool:
        """Whether there is no place for one more. Asked right before :meth:`accept`."""
        return len(self._places) >= most

    def accept(self, endpoint: str) -> int:
        """Give a connection that is accepted at this endpoint its number and its place."""
        number = next(self._numbers)
        self.accepted_at[endpoint] += 1
        self._places[number] = None
        return number

    def open(self, connection: Conversation) -> None:
        """The client may talk from now on."""
        self._places[connection.info.number] = connection
        self._talking += 1

    def take_address(self, number: int, address: str, most: int) -> bool:
        """Count a connection for its address until it is closed, unless there are `most` already.

        Returns whether there was room for it.
        """
        if self._addresses[address] >= most:
            return False
        self._addresses[address] += 1
        self._address_of[number] = address
        return True

    def close(self, number: int, reason: CloseReason) -> None:
        """A connection is closed, or refused, for this one reason."""
        connection = self._places.pop(number)
        if self._address_of and (address := self._address_of.pop(number, None)) is not None:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
        if connection is not None:
            self._talking -= 1
            self.served += not (reason.by_force or reason is CloseReason.PROBE)
            self.aborted += reason.by_force
            self._closed_totals.add(connection.stats)
        self.close_reasons[reason] += 1

    @property
    def accepted(self) -> int:
        """How many connections have been accepted since the start."""
        return self.accepted_at.total()

    @property
    def places(self) -> int:
        """How many connections there are, those that are being admitted included."""
        return len(self._places)

    @property
    def closed(self) -> int:
        """How many connections have come and gone."""
        return self.close_reasons.total()

    def find(self, number: int) -> Conversation | None:
        """The connection of that number, if its client may talk."""
        return self._places.get(number)

    @property
    def closed_totals(self) -> Totals:
        """What has passed on the closed connections."""
        return self._closed_totals

    def totals(self) -> Totals:
        """What has passed on all connections, open and closed."""
        totals = Totals()
        totals.add(self._closed_totals)
        for connection in self:
            totals.add(connection.stats)
        return totals

    def __len__(self) -> int:
        """How many clients may talk."""
        return self._talking

    def __iter__(self) -> Iterator[Conversation]:
        return iter([place for place in self._places.values() if place is not None])

    @property
    def fresh(self) -> bool:
        """It is the roster of a server that is alone (:mod:`~tcpecho_trio.server.roster`)."""
        return True

    async def refresh(self) -> None:
        """There are no other servers to ask. A checkpoint."""
        await trio.lowlevel.checkpoint()

    def clients(self) -> list[str]:
        """Every client's address as it is written, in the order of arrival."""
        return [connection.info.client for connection in self]
