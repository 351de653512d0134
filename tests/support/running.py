"""A server inside a test: its listeners, what its journal told, and connections to it."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import trio

from tcpecho_trio.server import Events, Journal, Lifecycle, Registry, Settings, serve
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.listeners import Inherited
from tcpecho_trio.server.tls import Tls


@dataclass
class Told:
    """A renderer that remembers the events, and lets a test wait for one."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _more: trio.Event = field(default_factory=trio.Event)

    def __call__(self, event: str, fields: dict[str, Any]) -> None:
        self.events.append((event, fields))
        self._more.set()
        self._more = trio.Event()

    def named(self, name: str) -> list[dict[str, Any]]:
        return [fields for event, fields in self.events if event == name]

    async def wait_for(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        while len(self.named(name)) < count:
            await self._more.wait()
        return self.named(name)


@dataclass
class Running:
    """A server in this process."""

    port: int
    lifecycle: Lifecycle
    registry: Registry
    told: Told
    events: Events
    listeners: list[trio.SocketListener]

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    def at_the_door(self, said: bytes = b"") -> trio.SocketStream:
        """A connection that the kernel has made and the server cannot have accepted yet.

        Nothing is waited for here, so that no task runs meanwhile.
        """
        client = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(said)
        return trio.SocketStream(trio.socket.from_stdlib_socket(client))

    async def ask(self, data: bytes) -> bytes:
        """One connection: send, half-close, and everything that comes back."""
        async with await self.connect() as stream:
            await stream.send_all(data)
            await stream.send_eof()
            return await read_all(stream)

    async def endings(self, count: int = 1) -> list[str]:
        """How that many connections ended; none of them by a bug of ours.

        Asks the registry: the journal does not tell everything where a lot is said.
        """
        await until(lambda: self.registry.closed >= count)
        assert self.told.named("crashed") == []
        return sorted(reason.value for reason in self.registry.close_reasons.elements())


PUMP = True
"""Whether servers take the fast path; the fixture `path` runs a test both ways."""


@asynccontextmanager
async def running_server(
    settings: Settings | None = None,
    *,
    tls: Tls | None = None,
    listeners: Sequence[trio.abc.Listener[Any] | Inherited] = (),
) -> AsyncGenerator[Running, None]:
    """A server on a free port; at the end it is drained, and must end by itself.

    With `tls` it speaks TLS there. Endpoints that the settings name are kept, and `port` is then
    that of the first.
    """
    settings = replace(settings or Settings(), host="127.0.0.1", port=0, pump=PUMP)
    if tls is not None and not settings.listen:
        settings = replace(settings, listen=(Endpoint(Scheme.TLS, "127.0.0.1", 0),))
    lifecycle, registry, told = Lifecycle(), Registry(), Told()
    events, journal = Events(), Journal(told)
    journal.listen_to(events)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        server = partial(serve, settings, lifecycle=lifecycle, registry=registry, events=events)
        serving = await nursery.start(partial(server, tls=tls, listeners=listeners))
        address = serving[0].socket.getsockname()
        port = address[1] if isinstance(address, tuple) else 0  # a Unix socket has none
        yield Running(port, lifecycle, registry, told, events, serving)
        lifecycle.drain()
        await lifecycle.wait_stopped()
        nursery.cancel_scope.cancel()  # the journal's
    assert registry.accepted == registry.closed
    assert not registry.admitting


def told_by(told: Told, *, messages: bool = True, probes: bool = True) -> Events:
    """Events that a journal tells to this renderer; nobody has to run it for newcomers."""
    events = Events()
    Journal(told, messages=messages, probes=probes).listen_to(events)
    return events


async def until(happened: Callable[[], bool]) -> None:
    """Let the other tasks run until something has happened that tells nobody."""
    while True:
        if happened():
            return
        await trio.lowlevel.checkpoint()


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the peer closes."""
    received = b""
    while data := await stream.receive_some():
        received += data
    return received


async def read_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """That many bytes, however they are cut."""
    received = b""
    while len(received) < size:
        data = await stream.receive_some(size - len(received))
        assert data, f"closed after {received!r}"
        received += data
    return received
