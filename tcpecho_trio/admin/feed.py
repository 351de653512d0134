"""Live events for browsers: one subscriber to the server's events, many bounded readers.

An event is written down once, as the bytes of a server-sent event (HTML standard, §9.2), and put
into the queue of every reader. A reader that is too slow for its queue loses events, and is told
how many. While nobody reads, nothing is written down, and messages are not even looked at.

People read slowly. So connections and messages are shown from two token buckets, and the rest is
only counted. When the one for messages is empty, the server is asked for none until it has filled
a little: a flood costs the server no more than what is shown of it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from tcpecho_trio.admin.http import Send
from tcpecho_trio.admin.state import ServerState, now
from tcpecho_trio.display import MAX_SHOWN, shown
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.event_fields import connection_fields, fields_of
from tcpecho_trio.server.events import (
    ConnectionClosed,
    DrainAborted,
    DrainStarted,
    Event,
    Listening,
    MessagesReceived,
    RepliesSent,
    ServerStopped,
    ShutdownDelayed,
)

HISTORY = 300
"""Samples that are kept, one a second: the five minutes that the page plots."""

QUEUE = 500
"""Events that may wait for one reader: some seconds of all that is ever shown."""

WRITE_EVERY = 0.05
"""Seconds between two writes to one reader: to a person that is at once."""

TICK = 0.1
"""Seconds between two refills of the buckets, and two looks at the event loop's delay."""

MESSAGES_A_TICK, CONNECTIONS_A_TICK = 5, 5
"""Messages and connections that are shown in the long run: fifty a second each."""

BURST = 50
"""Events that are shown at once after a pause."""

LINES = 20
"""Lines that are shown of one chunk."""

ALWAYS = (Listening, ShutdownDelayed, DrainStarted, DrainAborted, ServerStopped)
"""Events that happen once, and that nobody shall miss."""


class Reader:
    """One reader's queue."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._filled = trio.Event()
        self.ended = False

    def put(self, event: bytes) -> None:
        """Queue an event, or drop and count it."""
        if len(self._waiting) < QUEUE:
            self._waiting.append(event)
        else:
            self._dropped += 1
        self._filled.set()

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
    """Tells readers what happens. Subscribe it to a server's events, and run it.

    Args:
      state: the server.
      observe_delay: told ten times a second how late the event loop was.
    """

    type = "text/event-stream; charset=utf-8"
    lasts_as = "events"

    def __init__(self, state: ServerState, observe_delay: Callable[[float], None]) -> None:
        self._state = state
        self._observe_delay = observe_delay
        self._readers: set[Reader] = set()
        self._history: deque[bytes] = deque(maxlen=HISTORY)
        self._ended = False
        self._left = trio.Event()
        self._messages = self._connections = BURST
        self._listening = False
        self._told: set[int] = set()  # connections whose last message was shown; so is its reply
        self._shown_messages = self._omitted_connections = 0
        self._messages_before = 0

    async def stream(self, send: Send) -> None:
        """Send events to one reader until there are no more."""
        with self._reading() as reader:
            await send(b"retry: 2000\n\n" + b"".join(self._history))
            while data := await reader.take():
                await send(data)
                await trio.sleep(WRITE_EVERY)

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        reader = Reader()
        if self._ended:
            reader.end()
        self._readers.add(reader)
        self._listen()
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            if not self._readers:
                self._left.set()

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

    async def run(self) -> None:
        """Refill the buckets, and tell each second how things are. Until cancelled."""
        state = self._state
        due = trio.current_time()
        ticks, worst = 0, 0.0
        while True:
            due += TICK
            await trio.sleep_until(due)
            late = max(0.0, trio.current_time() - due)
            self._observe_delay(late)
            worst = max(worst, late)
            due = max(due, trio.current_time() - TICK)  # after a stall, no rush
            self._refill()
            ticks += 1
            if ticks % round(1 / TICK) == 0:
                state.loop_delay, worst = worst, 0.0
                self._sample()

    def _refill(self) -> None:
        self._messages = min(BURST, self._messages + MESSAGES_A_TICK)
        self._connections = min(BURST, self._connections + CONNECTIONS_A_TICK)
        self._listen()

    def _listen(self) -> None:
        """Ask for messages while somebody reads and some may be shown."""
        wanted = bool(self._readers) and self._messages > 0
        if wanted and not self._listening:
            self._listening = True
            self._state.events.subscribe(self.tell_messages, messages=self._may_tell)
        elif self._listening and not wanted:
            self._listening = False
            self._state.events.unsubscribe(self.tell_messages)
            self._told.clear()

    def _sample(self) -> None:
        state = self._state
        totals = state.registry.totals()
        sample = as_event(
            "sample",
            {
                "time": now(),
                "clients": len(state.registry),
                "messages_in": totals.messages_in,
                "messages_out": totals.messages_out,
                "bytes_in": totals.bytes_in,
                "bytes_out": totals.bytes_out,
                "loop_delay": round(state.loop_delay, 6),
                "phase": state.phase,
            },
        )
        self._history.append(sample)
        messages = totals.messages_in or 0
        omitted = messages - self._messages_before - self._shown_messages
        self._messages_before, self._shown_messages = messages, 0
        self._put(sample)
        if omitted > 0:
            self._put(as_event("more_messages", {"count": omitted}))
        if self._omitted_connections:
            self._put(as_event("more_connections", {"count": self._omitted_connections}))
            self._omitted_connections = 0

    def __call__(self, event: Event) -> None:
        """Show an event that is no message, or count it."""
        if isinstance(event, ConnectionClosed):
            self._told.discard(event.connection.number)
        if not self._readers or isinstance(event, (MessagesReceived, RepliesSent)):
            return
        if not isinstance(event, ALWAYS):
            if self._connections <= 0:
                self._omitted_connections += 1
                return
            self._connections -= 1
        self._put(as_event(event.name, {"timestamp": now(), **fields_of(event)}))

    def _may_tell(self, connection: ConnectionInfo, _data: bytes, _messages: int) -> bool:
        """Whether a chunk is shown."""
        if self._messages <= 0:
            self._told.discard(connection.number)
            return False
        self._told.add(connection.number)
        return True

    def tell_messages(self, event: Event) -> None:
        """Show a chunk of messages, or of replies."""
        if isinstance(event, MessagesReceived):
            told = self._tell_lines(event.name, event.connection, event.data)
            self._messages -= told
            self._shown_messages += min(told, event.messages)
        elif isinstance(event, RepliesSent) and event.connection.number in self._told:
            self._told.discard(event.connection.number)
            self._tell_lines(event.name, event.connection, event.data)
            if not self._told:
                self._listen()  # once the bucket is empty, not one more message is looked at

    def _tell_lines(self, name: str, connection: ConnectionInfo, data: bytes) -> int:
        fields = {"timestamp": now(), **connection_fields(connection)}
        lines = data.split(b"\n", LINES)
        rest = lines.pop()
        if rest and len(lines) < LINES:
            lines.append(rest)
            rest = b""
        for line in lines:
            self._put(as_event(name, {**fields, **_text(line.removesuffix(b"\r"))}))
        return len(lines)

    def _put(self, event: bytes) -> None:
        for reader in self._readers:
            reader.put(event)


def _text(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8", "replace")
    cut = len(text) - MAX_SHOWN + 1 if len(text) > MAX_SHOWN else 0  # the last one shown is "…"
    return {"text": shown(line), "cut": cut}


def as_event(name: str, fields: dict[str, Any]) -> bytes:
    """A server-sent event; its data is one line of ASCII."""
    return f"event: {name}\ndata: {json.dumps(fields)}\n\n".encode()
