"""The journal: which events are told, and how often.

A subscriber to the server's events (:mod:`~tcpecho_trio.server.subscriptions`). It tells
connections and messages only as fast as a person can read, and counts the rest. It tells of one
kind of trouble only now and then, with how often there was cause to. How an event is written is
the business of a renderer (:mod:`~tcpecho_trio.server.renderers`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import trio

from tcpecho_trio.display import shown
from tcpecho_trio.server import events
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.event_fields import connection_fields, fields_of
from tcpecho_trio.server.events import Event
from tcpecho_trio.server.renderers import Renderer
from tcpecho_trio.server.subscriptions import Events

MAX_LINES = 20
"""Lines told of one chunk: a pipelining client may send thousands at once."""

EVENTS_A_SECOND = 100
"""Connections and messages told in any one second; more scrolls past faster than anybody reads.
The rest is counted, and the count is told at the end of the second. To tell it all would cost more
than to answer it."""

NEWCOMER_TIME = 0.25
"""Seconds after which a client that has said nothing is told of. A health check connects and is
gone at once, some thousand times a day; a person who waits for the line notices no delay."""

RARELY = 10.0
"""Seconds between two lines about one kind of trouble. While descriptors are short, Trio tries
to accept ten times a second; and a peer can ask for a shutdown as fast as it can send."""

RARE = (
    events.AcceptFailed,
    events.ConnectionRefused,
    events.ForeignProtocol,
    events.ProxyHeaderRefused,
    events.ShutdownRefused,
    events.TlsHandshakeFailed,
    events.Unraisable,
)
"""What may happen as often as a peer likes; each has a ``count`` in the journal."""


@dataclass(frozen=True, slots=True)
class MessagesOmitted(Event):
    """So many messages were not told in the last second."""

    name: ClassVar[str] = "more_messages"
    count: int


@dataclass(frozen=True, slots=True)
class ConnectionsOmitted(Event):
    """So many connections were not told in the last second."""

    name: ClassVar[str] = "more_connections"
    count: int


@dataclass(frozen=True, slots=True)
class LinesLost(Event):
    """So many lines of this journal could not be written: its reader, or its disk, was stuck."""

    name: ClassVar[str] = "lines_lost"
    count: int


class Journal:
    """Tells a renderer what happens. Subscribe it with :meth:`listen_to`, and run it.

    Args:
      render: how events are written.
      messages: whether connections and messages are told, as far as one can read them.
      probes: whether clients are told of that leave without having said anything.
    """

    def __init__(self, render: Renderer, *, messages: bool = True, probes: bool = False) -> None:
        self._render = render
        self._messages = messages
        self._probes = probes
        # Clients that have said nothing so far, and when they are told of all the same.
        self._newcomers: dict[int, tuple[float, events.ConnectionOpened]] = {}
        self._came = trio.Event()
        # Events that may still be told in this second. Once it is 0, run() begins the next.
        self._allowance = EVENTS_A_SECOND if messages else 0
        self._second = -math.inf  # when it began, on the clock of the run
        self._exhausted = trio.Event()
        self._told: set[int] = set()  # connections whose last message was told; so is its reply
        self._events = Events()
        self._asks = True  # to be told of messages; not while none may be told
        self._begun = 0  # messages up to when that ended, or up to when that was told
        self._omitted_messages = 0
        self._omitted_connections = 0
        self._troubles: dict[str, tuple[float, int]] = {}  # when last told, how often since

    def listen_to(self, events: Events) -> None:
        """Subscribe to a server's events."""
        self._events = events
        events.subscribe(self, messages=self._may_tell_message if self._messages else False)

    async def run(self) -> None:
        """Tell what time makes due: newcomers, and how much was not told. Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_newcomers)
            nursery.start_soon(self._tell_each_second)

    async def _tell_newcomers(self) -> None:
        """Tell of clients that are still there and have said nothing."""
        while True:
            await self._came.wait()
            while self._newcomers:
                number = next(iter(self._newcomers))
                due, _ = self._newcomers[number]
                if due > trio.current_time():
                    await trio.sleep_until(due)
                else:
                    self._introduce(number)
            self._came = trio.Event()

    async def _tell_each_second(self) -> None:
        """Tell at the end of each second how much was not told in it."""
        while True:
            await self._exhausted.wait()
            await trio.sleep_until(self._second + 1)
            self._tell_omitted()
            self._allowance = EVENTS_A_SECOND
            self._exhausted = trio.Event()
            if not self._asks:
                self._asks = True
                self._events.ask_again(self)

    def __call__(self, event: Event) -> None:
        """Tell an event, or count it."""
        match event:
            case events.MessagesReceived():
                self._tell_lines(event.name, event.connection, event.data)
            case events.RepliesSent(connection=connection):
                # Only the first send that follows a message: a reply may be told once.
                if connection.number in self._told:
                    self._told.discard(connection.number)
                    self._tell_lines(event.name, connection, event.data)
            case events.DisconnectRequested(connection=connection):
                if connection.number in self._told:
                    self._tell(event)
            case events.ConnectionOpened(connection=connection):
                due = trio.current_time() + (0.0 if self._probes else NEWCOMER_TIME)
                if self._messages:
                    self._newcomers[connection.number] = due, event
                    self._came.set()
                if self._probes:
                    self._introduce(connection.number)
            case events.ConnectionClosed(connection=connection):
                self._told.discard(connection.number)
                probe = event.reason is CloseReason.PROBE and not self._probes
                if probe and self._newcomers.pop(connection.number, None) is not None:
                    return
                self._introduce(connection.number)
                if self._may_tell():
                    self._tell(event)
            case events.FaultsInjected() | events.AdmissionAborted():
                if self._may_tell():
                    self._tell(event)
            case events.ConnectionProbed():
                if self._probes and self._may_tell():
                    self._tell(event)
            case events.ServerStopped():
                for number in list(self._newcomers):
                    self._introduce(number)
                self._tell_omitted()
                self._tell(event)
            case _ if isinstance(event, RARE):
                self._tell_rarely(event)
            case _:
                self._tell(event)

    def _may_tell_message(self, connection: ConnectionInfo, _data: bytes, messages: int) -> bool:
        """Whether a chunk is told. When no more may be told in this second, nobody asks."""
        if self._newcomers:
            self._introduce(connection.number)
        if self._allowance > 0 and self._may_tell():
            self._told.add(connection.number)
            return True
        self._told.discard(connection.number)
        self._omitted_messages += messages
        if self._asks:
            self._asks, self._begun = False, self._events.begun
            self._events.stop_asking(self)
        return False

    def _introduce(self, number: int) -> None:
        """Tell that a client has connected, unless that is told already."""
        if (newcomer := self._newcomers.pop(number, None)) is not None:
            if self._may_tell():
                self._tell(newcomer[1])
            else:
                self._omitted_connections += 1

    def _tell_lines(self, name: str, connection: ConnectionInfo, data: bytes) -> None:
        """Tell a chunk line by line, as far as this second's allowance goes.

        The first line has been allowed for already.
        """
        lines = _lines(data)
        told = lines[: min(MAX_LINES, self._allowance + 1)]
        fields = connection_fields(connection)
        for line in told:
            self._render(name, {**fields, "text": shown(line)})
        self._allowance -= len(told) - 1
        if name == events.MessagesReceived.name:
            self._omitted_messages += len(lines) - len(told)
        if self._allowance == 0 or len(lines) > len(told):
            self._exhausted.set()

    def _may_tell(self) -> bool:
        """Whether one more event may be told in this second; if so, it counts."""
        if self._allowance <= 0:
            return False
        now = trio.current_time()
        if now >= self._second + 1:
            self._second, self._allowance = now, EVENTS_A_SECOND
        self._allowance -= 1
        if self._allowance == 0:
            self._exhausted.set()
        return True

    def _tell(self, event: Event, **more: Any) -> None:
        self._render(event.name, {**fields_of(event), **more})

    def _tell_omitted(self) -> None:
        """Say how much was passed over."""
        if not self._asks:
            begun = self._events.begun
            self._omitted_messages += begun - self._begun
            self._begun = begun
        if self._omitted_messages and self._messages:
            self._tell(MessagesOmitted(self._omitted_messages))
        if self._omitted_connections and self._messages:
            self._tell(ConnectionsOmitted(self._omitted_connections))
        self._omitted_messages = self._omitted_connections = 0

    def _tell_rarely(self, event: Event) -> None:
        """Tell of a trouble now and then, with how often there was cause to."""
        last, count = self._troubles.get(event.name, (-math.inf, 0))
        now, count = trio.current_time(), count + 1
        if now >= last + RARELY:
            self._tell(event, count=count)
            last, count = now, 0
        self._troubles[event.name] = last, count


def _lines(data: bytes) -> list[bytes]:
    """The lines of a chunk without their ends; an empty last one is no line."""
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines
