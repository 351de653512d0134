"""Who is connected, in the order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Client(Protocol):
    """What the registry knows of a connection."""

    peer: str

    def drain(self) -> None:
        """Be woken if waiting for input: the server is draining."""


class Registry:
    """The open connections; accepted = active + closed at any moment."""

    def __init__(self) -> None:
        self._clients: dict[Client, None] = {}  # a set that keeps its order
        self.accepted = 0

    def add(self, client: Client) -> None:
        """A connection has been accepted."""
        self._clients[client] = None
        self.accepted += 1

    def remove(self, client: Client) -> None:
        """A connection is closed."""
        del self._clients[client]

    @property
    def closed(self) -> int:
        """How many connections have come and gone."""
        return self.accepted - len(self._clients)

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._clients))

    def peers(self) -> list[str]:
        """Every client's address as it is written, in the order of arrival."""
        return [client.peer for client in self._clients]
