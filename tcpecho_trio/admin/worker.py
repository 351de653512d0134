"""A worker's part of the endpoint that its supervisor runs: see :mod:`~tcpecho_trio.admin.line`."""

from __future__ import annotations

import itertools
import socket
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import trio

from tcpecho_trio.admin.figures import Counted, as_plain
from tcpecho_trio.admin.line import (
    CONVERSE,
    FEED,
    LEAVE,
    LOOK,
    OMIT,
    SAMPLE,
    SUFFER,
    TO_WORKERS,
    Line,
)
from tcpecho_trio.admin.local import CONVERSATIONS
from tcpecho_trio.admin.state import ServerState, matches
from tcpecho_trio.admin.watch import Watch
from tcpecho_trio.admin.websocket import WebListener, WebSocketStream
from tcpecho_trio.server.faults import Fault
from tcpecho_trio.server.peer import Peer
from tcpecho_trio.server.write_timeout import WriteTimeout

RELAY_EVERY = 0.05
"""Seconds between two messages with events: as often as readers get them."""


class WorkerWatch:
    """Watches a worker for its supervisor. Make it before the server runs.

    Give its `conversations` to ``serve(also=…)`` and its `answers` to the line.

    Args:
      state: the server of this process.
      line: to the supervisor.
    """

    def __init__(self, state: ServerState, line: Line) -> None:
        self._state = state
        self._line = line
        self._counted = Counted(state)
        self._watch = Watch(state, self._counted.observe_delay, self, alone=False)
        self._listener = WebListener(state.registry, state.settings.write_period)
        self._events: defaultdict[str, list[bytes]] = defaultdict(list)
        self._lost: defaultdict[str, int] = defaultdict(int)  # events that did not fit
        self._told = trio.Event()
        self._put, self._get = trio.open_memory_channel[tuple[int, dict[str, Any]]](float("inf"))
        state.events.subscribe(state)
        state.events.subscribe(self._counted, counting=True)
        state.events.subscribe(self._listener)
        state.events.subscribe(self._watch)

    @property
    def conversations(self) -> dict[str, trio.abc.Listener[WebSocketStream]]:
        """Where conversations over WebSockets come from, for ``serve(also=…)``."""
        return {CONVERSATIONS: self._listener}

    @property
    def answers(self) -> Mapping[str, Callable[..., Any]]:
        """What the supervisor may ask."""
        return {
            "figures": self._figures,
            "list": self._list,
            "count": self._count,
            "let_go": self._let_go,
            "suffer": self._suffer,
        }

    def handle(self, message: dict[str, Any]) -> bool:
        """Take a message from the supervisor; False if it is for somebody else."""
        kind = message.get("kind")
        if kind not in TO_WORKERS:
            return False
        if kind == LOOK:
            self._watch.look(message["contains"])
        elif kind == LEAVE:
            self._watch.leave(message["contains"])
            self._events.pop(message["contains"], None)
        elif kind == CONVERSE:
            self._put.send_nowait((message["descriptors"][0], message))
        elif kind == SUFFER:
            self._suffer(message["faults"])
        return True

    async def run(self) -> None:
        """Watch, relay and converse. Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch.run)
            nursery.start_soon(self._relay)
            async for descriptor, message in self._get:
                nursery.start_soon(self._converse, descriptor, message)

    def finish(self) -> None:
        """The server has ended: say what it has counted in the end."""
        self._relay_now()
        self._line.put({"kind": SAMPLE, "fields": {}, "figures": self._figures()})

    def tell(self, contains: str, event: bytes) -> None:
        """See :class:`~tcpecho_trio.admin.feed.Audience`."""
        self._events[contains].append(event)
        self._told.set()

    def omit(self, contains: str, messages: int, connections: int) -> None:
        """See :class:`~tcpecho_trio.admin.feed.Audience`."""
        if messages or connections:
            omitted = {"messages": messages, "connections": connections}
            self._line.put({"kind": OMIT, "contains": contains, **omitted}, droppable=True)

    def sample(self, fields: dict[str, Any]) -> None:
        """See :class:`~tcpecho_trio.admin.feed.Audience`."""
        told = {"kind": SAMPLE, "fields": fields, "figures": self._figures()}
        self._line.put(told, droppable=True)

    async def _relay(self) -> None:
        while True:
            await self._told.wait()
            self._told = trio.Event()
            self._relay_now()
            await trio.sleep(RELAY_EVERY)

    def _relay_now(self) -> None:
        for contains, events in self._events.items():
            message = {
                "kind": FEED,
                "contains": contains,
                "events": b"".join(events).decode(),
                "count": len(events),
                "lost": self._lost[contains],
            }
            sent = self._line.put(message, droppable=True)
            self._lost[contains] = 0 if sent else self._lost[contains] + len(events)
        self._events.clear()

    def _figures(self) -> dict[str, Any]:
        return as_plain(self._counted.figures())

    def _list(self, contains: str, after: int, most: int) -> list[dict[str, Any]]:
        state = self._state
        found = (c for c in state.registry if c.info.number > after and _means(contains, c.info))
        return [state.client(connection) for connection in itertools.islice(found, most)]

    def _count(self, contains: str) -> int:
        if not contains:
            return len(self._state.registry)
        return sum(_means(contains, connection.info) for connection in self._state.registry)

    def _let_go(self, number: int) -> bool:
        connection = self._state.registry.find(number)
        if connection is not None:
            connection.dismiss()
        return connection is not None

    def _suffer(self, faults: list[str]) -> int:
        self._state.faults.change(tuple(map(Fault.parse, faults)))
        return len(faults)

    async def _converse(self, descriptor: int, message: dict[str, Any]) -> None:
        """Talk to a browser over the socket that the supervisor has sent."""
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor)))
        peer = Peer(*message["peer"])
        introduced = bool(message["introduced"])
        async with stream:
            with suppress(
                trio.BrokenResourceError, trio.ClosedResourceError, WriteTimeout, OSError
            ):
                await self._listener.converse(stream, stream, b"", peer, introduced=introduced)


def _means(contains: str, info: Any) -> bool:
    return matches(contains, info.number, info.client, info.peer, info.listener)
