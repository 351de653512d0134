"""Watches the server of this process for those who look: its events, its messages, its pulse.

People read slowly. So connections and messages are shown from two token buckets, and the rest is
only counted. When the one for messages is empty, the server is asked for none until it has filled
a little: a flood costs the server no more than what is shown of it. Who looks for some clients only
has buckets of their own, so that a flood from others does not empty them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from tcpecho_trio.admin.feed import Audience, as_event
from tcpecho_trio.admin.state import ServerState, matches, now
from tcpecho_trio.display import MAX_SHOWN, shown
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.event_fields import connection_fields, fields_of
from tcpecho_trio.server.events import (
    ConnectionClosed,
    DrainAborted,
    DrainStarted,
    Event,
    FaultsChanged,
    Listening,
    MessagesReceived,
    RepliesSent,
    ServerStopped,
    ShutdownDelayed,
)
from tcpecho_trio.server.subscriptions import Events

TICK = 0.1
"""Seconds between two refills of the buckets, and two looks at the event loop's delay."""

MESSAGES_A_TICK, CONNECTIONS_A_TICK = 5, 5
"""Messages and connections that are shown in the long run: fifty a second each."""

BURST = 50
"""Events that are shown at once after a pause."""

LINES = 20
"""Lines that are shown of one chunk."""

ALWAYS = (Listening, FaultsChanged, ShutdownDelayed, DrainStarted, DrainAborted, ServerStopped)
"""Events that happen once, or that a person brings about, and that nobody shall miss."""


class View:
    """What is told to those who look for the same clients.

    Args:
      contains: which clients; empty for all.
      events: the server's.
      audience: is told.
    """

    def __init__(self, contains: str, events: Events, audience: Audience) -> None:
        self.contains = contains
        self.shown = 0  # messages, since the last sample
        self.omitted = 0  # the same; counted here where only some clients are looked for
        self.omitted_connections = 0
        self._events = events
        self._audience = audience
        self._messages = self._connections = BURST
        self._listening = False
        self._told: set[int] = set()  # connections whose last message was shown; so is its reply
        self._matching: dict[int, bool] = {}  # of connections that said something
        self.listen()

    def refill(self) -> None:
        """A tick has passed."""
        self._messages = min(BURST, self._messages + MESSAGES_A_TICK)
        self._connections = min(BURST, self._connections + CONNECTIONS_A_TICK)
        self.listen()

    def listen(self) -> None:
        """Ask for messages while some may be shown."""
        wanted = self._messages > 0 or bool(self.contains)  # those that match are counted, too
        if wanted and not self._listening:
            self._listening = True
            self._events.subscribe(self.tell_messages, messages=self._may_tell)
        elif self._listening and not wanted:
            self.stop()

    def stop(self) -> None:
        """Ask for no messages."""
        if self._listening:
            self._listening = False
            self._events.unsubscribe(self.tell_messages)
            self._told.clear()

    def tell(self, event: Event, written: bytes) -> None:
        """Show an event that is no message, or count it."""
        connection = getattr(event, "connection", None)
        if connection is not None:
            if isinstance(event, ConnectionClosed):
                self._told.discard(connection.number)
                self._matching.pop(connection.number, None)
            if not _matches(self.contains, connection):
                return
        if not isinstance(event, ALWAYS):
            if self._connections <= 0:
                self.omitted_connections += 1
                return
            self._connections -= 1
        self._audience.tell(self.contains, written)

    def _may_tell(self, connection: ConnectionInfo, _data: bytes, messages: int) -> bool:
        """Whether a chunk is shown."""
        if self.contains:
            known = self._matching.get(connection.number)
            if known is None:
                known = _matches(self.contains, connection)
                self._matching[connection.number] = known
            if not known:
                return False
        if self._messages <= 0:
            self._told.discard(connection.number)
            self.omitted += messages
            return False
        self._told.add(connection.number)
        return True

    def tell_messages(self, event: Event) -> None:
        """Show a chunk of messages, or of replies."""
        if isinstance(event, MessagesReceived):
            told = self._tell_lines(event.name, event.connection, event.data)
            self._messages -= told
            self.shown += min(told, event.messages)
            self.omitted += max(0, event.messages - told)
        elif isinstance(event, RepliesSent) and event.connection.number in self._told:
            self._told.discard(event.connection.number)
            self._tell_lines(event.name, event.connection, event.data)
            if not self._told:
                self.listen()  # once the bucket is empty, not one more message is looked at

    def _tell_lines(self, name: str, connection: ConnectionInfo, data: bytes) -> int:
        fields = {"timestamp": now(), **connection_fields(connection)}
        lines = data.split(b"\n", LINES)
        rest = lines.pop()
        if rest and len(lines) < LINES:
            lines.append(rest)
        for line in lines:
            written = as_event(name, {**fields, **_text(line.removesuffix(b"\r"))})
            self._audience.tell(self.contains, written)
        return len(lines)


class Watch:
    """One server of this process. Subscribe it to the server's events, and run it.

    Args:
      state: the server.
      observe_delay: told ten times a second how late the event loop was.
      audience: is told what happens.
      alone: whether this process is the whole server; else its own life cycle is nobody's business.
    """

    def __init__(
        self,
        state: ServerState,
        observe_delay: Callable[[float], None],
        audience: Audience,
        *,
        alone: bool = True,
    ) -> None:
        self._state = state
        self._observe_delay = observe_delay
        self._audience = audience
        self._silent = (MessagesReceived, RepliesSent, *(() if alone else ALWAYS))
        self._views: dict[str, View] = {}
        self._messages_before = 0

    def look(self, contains: str) -> None:
        """Somebody looks for these clients."""
        view = View(contains, self._state.events, self._audience)
        view.shown = (self._state.registry.totals().messages_in or 0) - self._messages_before
        self._views[contains] = view

    def leave(self, contains: str) -> None:
        """Nobody looks for them any more."""
        if contains in self._views:
            self._views.pop(contains).stop()

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
            for view in self._views.values():
                view.refill()
            ticks += 1
            if ticks % round(1 / TICK) == 0:
                state.loop_delay, worst = worst, 0.0
                self._sample()

    def _sample(self) -> None:
        state = self._state
        totals = state.registry.totals()
        messages = totals.messages_in or 0
        passed, self._messages_before = messages - self._messages_before, messages
        for view in self._views.values():
            omitted = view.omitted if view.contains else max(0, passed - view.shown)
            self._audience.omit(view.contains, omitted, view.omitted_connections)
            view.shown = view.omitted = view.omitted_connections = 0
        self._audience.sample(
            {
                "time": now(),
                "clients": len(state.registry),
                "accepted": state.registry.accepted,
                "messages_in": totals.messages_in,
                "messages_out": totals.messages_out,
                "bytes_in": totals.bytes_in,
                "bytes_out": totals.bytes_out,
                "loop_delay": round(state.loop_delay, 6),
                "phase": state.phase,
            }
        )

    def __call__(self, event: Event) -> None:
        """Show an event that is no message."""
        if self._views and not isinstance(event, self._silent):
            written = as_event(event.name, {"timestamp": now(), **fields_of(event)})
            for view in self._views.values():
                view.tell(event, written)


def _matches(contains: str, connection: ConnectionInfo) -> bool:
    texts = connection.client, connection.peer, connection.listener
    return matches(contains, connection.number, *texts)


def _text(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8", "replace")
    cut = len(text) - MAX_SHOWN + 1 if len(text) > MAX_SHOWN else 0  # the last one shown is "…"
    return {"text": shown(line), "cut": cut}
