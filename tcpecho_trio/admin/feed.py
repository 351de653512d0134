"""Live events for browsers: what a server tells, for many bounded readers.

An event is written down once, as the bytes of a server-sent event (HTML standard, §9.2), and put
into the queue of every reader that wants it. A reader that is too slow for its queue loses events,
and is told how many. Whoever watches the server (:mod:`~tcpecho_trio.admin.watch`) is told what
readers look for, and tells nothing while nobody looks.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import trio

from tcpecho_trio.admin.http import Send
from tcpecho_trio.server import Phase

HISTORY = 300
"""Samples that are kept, one a second: the five minutes that the page plots."""

QUEUE = 500
"""Events that may wait for one reader: some seconds of all that is ever shown."""

WRITE_EVERY = 0.05
"""Seconds between two writes to one reader: to a person that is at once."""


class Watcher(Protocol):
    """Whoever tells a feed what happens."""

    def look(self, contains: str) -> None:
        """Somebody wants to know of the clients that match this; of all, if it is empty."""

    def leave(self, contains: str) -> None:
        """Nobody wants that any more."""


class Audience(Protocol):
    """Whoever is told what happens: a feed, or the way to one."""

    def tell(self, contains: str, event: bytes) -> None:
        """An event for those who look for this; see :func:`as_event`."""

    def omit(self, contains: str, messages: int, connections: int) -> None:
        """So many events were not told to them."""

    def sample(self, fields: dict[str, Any]) -> None:
        """How things are, once a second."""


class Reader:
    """One reader's queue.

    Args:
      contains: what it looks for; empty for everything.
    """

    def __init__(self, contains: str = "") -> None:
        self.contains = contains
        self.ended = False
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._filled = trio.Event()

    def put(self, event: bytes) -> None:
        """Queue an event, or drop and count it."""
        if len(self._waiting) < QUEUE:
            self._waiting.append(event)
        else:
            self._dropped += 1
        self._filled.set()

    def drop(self, count: int) -> None:
        """So many were lost on their way here."""
        self._dropped += count

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._filled.set()

    async def take(self) -> bytes:
        """All that waits, at least something; empty at the end."""
        await self._filled.wait()
        if not self.ended:
            self._filled = trio.Event()
        taken = b"".join(self._waiting)
        self._waiting.clear()
        if self._dropped:
            taken += as_event("dropped", {"count": self._dropped})
            self._dropped = 0
        return taken


class Feed:
    """Tells readers what happens: the :class:`Audience` of a server.

    Args:
      watcher: is told what readers look for.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._readers: set[Reader] = set()
        self._history: deque[bytes] = deque(maxlen=HISTORY)
        self._ended = False
        self._left = trio.Event()
        self._messages: Counter[str] = Counter()  # that were not told, by what was looked for
        self._connections: Counter[str] = Counter()

    async def stream(self, send: Send, contains: str = "") -> None:
        """Send events to one reader until there are no more."""
        with self._reading(contains) as reader:
            await send(b"retry: 2000\n\n" + b"".join(self._history))
            while data := await reader.take():
                await send(data)
                await trio.sleep(WRITE_EVERY)

    @contextmanager
    def _reading(self, contains: str) -> Iterator[Reader]:
        reader = Reader(contains)
        if self._ended:
            reader.end()
        if not self._looked_for(contains):
            self._watcher.look(contains)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            if not self._looked_for(contains):
                self._watcher.leave(contains)
                self._messages.pop(contains, None)
                self._connections.pop(contains, None)
            if not self._readers:
                self._left.set()

    @property
    def looked_for(self) -> set[str]:
        """What readers look for at this moment."""
        return {reader.contains for reader in self._readers}

    def _looked_for(self, contains: str) -> bool:
        return any(reader.contains == contains for reader in self._readers)

    def end(self) -> None:
        """Let every reader have what is left, and go."""
        self._ended = True
        for reader in self._readers:
            reader.end()

    async def wait_left(self) -> None:
        """Sleep until the last reader has gone; a checkpoint if there is none."""
        await trio.lowlevel.checkpoint()
        while self._readers:
            self._left = trio.Event()
            await self._left.wait()

    def tell(self, contains: str, event: bytes) -> None:
        """Put an event into the queues of those who look for this."""
        for reader in self._readers:
            if reader.contains == contains:
                reader.put(event)

    def drop(self, contains: str, count: int) -> None:
        """So many events were lost on their way to those who look for this."""
        for reader in self._readers:
            if reader.contains == contains:
                reader.drop(count)

    def omit(self, contains: str, messages: int, connections: int) -> None:
        """Count what was not told; it is said with the next sample."""
        if self._looked_for(contains):
            self._messages[contains] += messages
            self._connections[contains] += connections

    def sample(self, fields: dict[str, Any]) -> None:
        """Tell everybody how things are, and what they were not told; no more once it has ended."""
        if fields["phase"] == Phase.STOPPED.value:
            return  # its last event has been told, perhaps in this very turn
        sample = as_event("sample", fields)
        self._history.append(sample)
        for reader in self._readers:
            reader.put(sample)
            for name, omitted in (
                ("more_messages", self._messages),
                ("more_connections", self._connections),
            ):
                if omitted[reader.contains] > 0:
                    reader.put(as_event(name, {"count": omitted[reader.contains]}))
        self._messages.clear()
        self._connections.clear()


class EventStream:
    """The answer to ``GET /events``."""

    type = "text/event-stream; charset=utf-8"
    lasts_as = "events"

    def __init__(self, feed: Feed, contains: str) -> None:
        self._feed = feed
        self._contains = contains

    async def stream(self, send: Send) -> None:
        """Send events until there are no more."""
        await self._feed.stream(send, self._contains)


def as_event(name: str, fields: dict[str, Any]) -> bytes:
    """A server-sent event; its data is one line of ASCII."""
    return f"event: {name}\ndata: {json.dumps(fields)}\n\n".encode()
