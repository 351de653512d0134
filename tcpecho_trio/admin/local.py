"""The server of this process, for the endpoint beside it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import trio

from tcpecho_trio.admin.backend import Client, Take
from tcpecho_trio.admin.feed import Feed
from tcpecho_trio.admin.figures import Counted
from tcpecho_trio.admin.metrics import Exposition
from tcpecho_trio.admin.neighbours import Neighbours, clients_elsewhere, described, families
from tcpecho_trio.admin.state import ServerState, matches
from tcpecho_trio.admin.watch import Watch
from tcpecho_trio.admin.websocket import WebListener, WebSocketStream, web_peer
from tcpecho_trio.server import DrainReason
from tcpecho_trio.server.events import FaultsChanged, Unraisable
from tcpecho_trio.server.faults import Fault
from tcpecho_trio.server.registry import Conversation

CLIENTS_AT_A_TIME = 100
"""Clients that are written down between two looks at everybody else: a millisecond's work."""

COUNTED_AT_A_TIME = 1000
"""Clients that are compared with what is looked for at a time: the same."""

CONVERSATIONS = "web"
"""What the endpoint of conversations over WebSockets is called where connections are listed."""


class Local:
    """A server of this process; a :class:`~tcpecho_trio.admin.backend.Backend`.

    Make it before the server runs. Give its `conversations` to ``serve(also=…)``.

    Args:
      state: the server.
      neighbours: the other servers of its cluster; None where there is none.
    """

    def __init__(self, state: ServerState, neighbours: Neighbours | None = None) -> None:
        self.state = state
        self._neighbours = neighbours
        self.feed = Feed(self)
        self._counted = Counted(state)
        self._watch = Watch(state, self._counted.observe_delay, self.feed)
        self._listener = WebListener(state.registry, state.settings.write_period)
        state.events.subscribe(state)
        state.events.subscribe(self._counted, counting=True)
        state.events.subscribe(self._listener)
        state.events.subscribe(self._watch)

    @property
    def conversations(self) -> dict[str, trio.abc.Listener[WebSocketStream]]:
        """Where conversations over WebSockets come from, for ``serve(also=…)``."""
        return {CONVERSATIONS: self._listener}

    def look(self, contains: str) -> None:
        """See :class:`~tcpecho_trio.admin.feed.Watcher`."""
        self._watch.look(contains)

    def leave(self, contains: str) -> None:
        """See :class:`~tcpecho_trio.admin.feed.Watcher`."""
        self._watch.leave(contains)

    async def run(self) -> None:
        """Watch the server."""
        await self._watch.run()

    async def status(self) -> dict[str, Any]:
        """What the server says of itself."""
        status = self.state.status()
        if self._neighbours is not None:
            status["cluster"] = described(self._neighbours)
        return status

    @property
    def not_ready(self) -> str | None:
        """Why nobody should be sent here."""
        return self.state.not_ready

    async def list_clients(self, contains: str, limit: int | None, take: Take) -> None:
        """List the clients that match: our own first, then those of other servers."""
        own = self._neighbours.name if self._neighbours is not None else None
        clients: Iterator[Client]
        clients = (self._client(connection, own) for connection in self._matching(contains))
        if self._neighbours is not None:
            clients = itertools.chain(clients, clients_elsewhere(self._neighbours, contains))
        wanted = itertools.islice(clients, limit)
        while some := list(itertools.islice(wanted, CLIENTS_AT_A_TIME)):
            await take(some)

    def _client(self, connection: Conversation, server: str | None) -> Client:
        client = self.state.client(connection)
        return client if server is None else {**client, "server": server}

    async def count_clients(self, contains: str) -> int:
        """How many clients match. A checkpoint now and then."""
        elsewhere = 0
        if self._neighbours is not None:
            elsewhere = sum(1 for _ in clients_elsewhere(self._neighbours, contains))
        if not contains:
            return len(self.state.registry) + elsewhere
        count = 0
        for count, _ in enumerate(self._matching(contains), 1):
            if count % COUNTED_AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
        return count + elsewhere

    def _matching(self, contains: str) -> Iterator[Conversation]:
        for connection in self.state.registry:
            info = connection.info
            if matches(contains, info.number, info.client, info.peer, info.listener):
                yield connection

    async def dismiss(self, number: int) -> bool:
        """Let one client go."""
        connection = self.state.registry.find(number)
        if connection is not None:
            connection.dismiss()
        return connection is not None

    async def drain(self) -> None:
        """End the server."""
        self.state.lifecycle.drain(DrainReason.ADMIN)

    async def faults(self) -> list[str]:
        """What newcomers suffer."""
        return self.state.written_faults()

    async def change_faults(self, specs: list[str]) -> None:
        """Decide what newcomers suffer."""
        self.state.faults.change(tuple(map(Fault.parse, specs)))
        self.state.events.publish(FaultsChanged(" ".join(self.state.written_faults())))

    async def exposition(self) -> Exposition:
        """What is counted at this moment."""
        more = families(self._neighbours) if self._neighbours is not None else ()
        return Exposition(self._counted.figures(), self.state.lifecycle.draining, more=more)

    @property
    def silent(self) -> str | None:
        """Why nobody can begin to talk."""
        if self._listener.open and self.state.listeners and not self.state.lifecycle.draining:
            return None
        return f"the server is {self.state.phase}"

    async def converse(
        self, below: trio.abc.Stream, bare: trio.SocketStream, begun: bytes, *, introduced: bool
    ) -> None:
        """Have the server talk to a browser."""
        peer = web_peer(bare)
        await self._listener.converse(below, bare, begun, peer, introduced=introduced)

    def report(self, error: Exception) -> None:
        """Tell the journal."""
        self.state.events.publish(Unraisable(f"{type(error).__name__}: {error}"))
