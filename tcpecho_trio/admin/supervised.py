"""What is known of a server of several processes, and of each of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import trio

from tcpecho_trio.admin.backend import Client
from tcpecho_trio.admin.figures import Figures, from_plain
from tcpecho_trio.admin.line import Line
from tcpecho_trio.admin.state import written
from tcpecho_trio.server import DrainReason, Events, Settings

STALE_AFTER = 3.0
"""Seconds of silence after which a worker is stale: it tells how it is once a second."""


class Supervised(Protocol):
    """What the supervisor says of the server as a whole."""

    settings: Settings
    events: Events
    """Its own: the life cycle of the whole server, and what becomes of its workers."""
    listeners: list[str]
    """Where clients can connect; empty until they can."""
    restarts: int
    """How many workers have been replaced because they had ended by themselves."""

    @property
    def phase(self) -> str:
        """``starting``, ``running``, ``delaying``, ``draining`` or ``stopped``."""

    @property
    def lost_lines(self) -> int:
        """How many lines of its own logs are lost."""

    def drain(self, reason: DrainReason) -> None:
        """End the server in an orderly way."""

    def suffer(self, faults: list[str]) -> None:
        """Workers that are still to come begin with these faults."""


class Worker:
    """One worker, as the endpoint knows it.

    Args:
      name: what it is called where it is told apart; a number.
      pid: of its process.
      line: to it.
    """

    def __init__(self, name: str, pid: int, line: Line) -> None:
        self.name = name
        self.pid = pid
        self.line = line
        self.since = datetime.now(UTC)
        self.is_retiring: Callable[[], bool] = lambda: False
        """Whether another one has taken its place, so that it only serves whom it has."""
        self.figures = Figures()
        self.loop_delay = 0.0
        self._heard = trio.current_time()

    @property
    def stale(self) -> bool:
        """Whether it has been silent for too long."""
        return trio.current_time() - self._heard > STALE_AFTER

    def take(self, plain: dict[str, Any]) -> None:
        """It has told what it has counted."""
        self._heard = trio.current_time()
        self.figures = from_plain(plain)

    def described(self) -> dict[str, Any]:
        """As the status tells of it."""
        return {
            "worker": self.name,
            "pid": self.pid,
            "since": written(self.since),
            "clients": self.figures.clients,
            "loop_delay": self.loop_delay,
            "retiring": self.is_retiring(),
            "stale": self.stale,
        }


class Page:
    """The clients of one worker that have been asked for and not been listed."""

    def __init__(self) -> None:
        self.waiting: deque[Client] = deque()
        self.last = 0  # the number of the last one that was asked for
        self.more = True

    def turn(self, clients: list[Client], most: int, worker: str) -> None:
        """The next ones, of `most` that were asked for."""
        self.waiting.extend({**client, "worker": worker} for client in clients)
        self.more = len(clients) == most
        if clients:
            self.last = clients[-1]["number"]


def first_of(pages: list[Page], most: int) -> list[Client]:
    """The first clients of all, as long as it is known which these are."""
    found: list[Client] = []
    while len(found) < most and all(page.waiting or not page.more for page in pages):
        waiting = [page.waiting for page in pages if page.waiting]
        if not waiting:
            break
        found.append(min(waiting, key=lambda clients: str(clients[0]["since"])).popleft())
    return found
