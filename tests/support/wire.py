"""A connection being served over memory streams, and the client's end of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
import trio.testing
from trio.testing import lockstep_stream_pair, memory_stream_pair

from tcpecho_trio.dialects import STANDARD, Dialect
from tcpecho_trio.server import Events, Lifecycle, Registry, RemoteShutdown, Settings
from tcpecho_trio.server.connection import Connection
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.context import ServerContext
from tcpecho_trio.server.portable import OwnTask
from tests.support.running import Told, read_all, read_exactly, told_by


@dataclass
class Wire:
    """The client's end of a connection that is being served."""

    stream: trio.StapledStream  # type: ignore[type-arg]
    lifecycle: Lifecycle
    registry: Registry
    told: Told
    nursery: trio.Nursery
    settings: Settings

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def hear(self, expected: bytes) -> None:
        assert await read_exactly(self.stream, len(expected)) == expected

    async def hear_end(self) -> bytes:
        return await read_all(self.stream)

    def drain(self) -> None:
        self.lifecycle.drain()
        for client in self.registry:
            client.wake()

    def ending(self) -> str:
        (closed,) = self.told.named("closed")
        return str(closed["reason"])


def over(
    stream: object,
    settings: Settings | None = None,
    *,
    lifecycle: Lifecycle | None = None,
    registry: Registry | None = None,
    told: Told | None = None,
    events: Events | None = None,
    trusted: bool = True,
) -> Connection:
    """A connection of peer:1 over anything that can be used like a stream.

    What happens on it is told by `events`; without them by a journal, to `told`.
    """
    registry = Registry() if registry is None else registry
    events = events or told_by(told or Told())
    context = ServerContext(
        *(settings or Settings(), lifecycle or Lifecycle(), registry, registry),
        *(events, OwnTask(events)),
    )
    info = ConnectionInfo(registry.accept("here:1"), "peer:1", "peer:1", "here:1")
    dialect = context.settings.dialect
    return Connection(stream, info, context, dialect, trusted=trusted)  # type: ignore[arg-type]


@asynccontextmanager
async def served(
    dialect: Dialect = STANDARD,
    *,
    trusted: bool = True,
    remote_shutdown: RemoteShutdown = RemoteShutdown.LOOPBACK,
    idle_timeout: float = 0,
    write_timeout: float = 0,
    lockstep: bool = False,
    events: Events | None = None,
) -> AsyncGenerator[Wire, None]:
    """Serve one connection; with `lockstep` its sends wait until they are received.

    With `events` they tell what happens, and the wire is told nothing.
    """
    ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
    settings = Settings(
        dialect=dialect,
        remote_shutdown=remote_shutdown,
        idle_timeout=idle_timeout,
        write_timeout=write_timeout,
    )
    told = Told()
    lifecycle, registry = Lifecycle(), Registry()
    connection = over(
        *(theirs, settings),
        lifecycle=lifecycle,
        registry=registry,
        told=told,
        events=events,
        trusted=trusted,
    )

    async def run() -> None:
        await connection.run()
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield Wire(ours, lifecycle, registry, told, nursery, settings)
        await ours.aclose()
    assert len(registry) == 0
