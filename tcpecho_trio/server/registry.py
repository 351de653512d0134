"""Who is connected, in the order of arrival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import trio

from tcpecho_trio.server.close_reason import CloseReason


class Client(Protocol):
    """What the registry knows of a connection."""

    peer: str

    def drain(self) -> None:
        """Be woken if waiting for input: the server is draining."""


class Registry:
    """The open connections, and how the others ended; accepted = active + closed at any moment."""

    def __init__(self) -> None:
        self._clients: dict[Client, None] = {}  # a set that keeps its order
        self.accepted = 0
        self.endings: Counter[CloseReason] = Counter()
        """How many connections have ended in each way."""
        self.arriving: set[trio.CancelScope] = set()
        """Who is connected but not introduced yet; the drain gives them little time."""

    def add(self, client: Client) -> None:
        """A connection has been accepted."""
        self._clients[client] = None
        self.accepted += 1

    def remove(self, client: Client, ending: CloseReason) -> None:
        """A connection is closed, for this one reason."""
        del self._clients[client]
        self.endings[ending] += 1

    @property
    def closed(self) -> int:
        """How many connections have come and gone."""
        return self.endings.total()

    @property
    def cut(self) -> int:
        """How many of them the server has ended by force."""
        return sum(count for ending, count in self.endings.items() if ending.by_force)

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._clients))

    def peers(self) -> list[str]:
        """Every client's address as it is written, in the order of arrival."""
        return [client.peer for client in self._clients]
