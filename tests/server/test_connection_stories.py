"""Every connection's story, whole: which events are told of it, of whom, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import trio

from tcpecho_trio.dialects import ADMIN, Action
from tcpecho_trio.server import Settings
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import (
    AdmissionAborted,
    ConnectionClosed,
    ConnectionCrashed,
    ConnectionOpened,
    ConnectionProbed,
    ConnectionRefused,
    DisconnectRequested,
    DrainReason,
    DrainStarted,
    Event,
)
from tests.support.running import Running, read_all, read_exactly, running_server, until

pytestmark = pytest.mark.usefixtures("path")

HEADER = b"PROXY TCP4 203.0.113.7 198.51.100.1 4000 5000\r\n"


class Story:
    """What is told of all connections from now on."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.events: list[Event] = []
        server.events.subscribe(self.events.append)

    async def of(self, client: trio.SocketStream, number: int = 1) -> ConnectionInfo:
        """Who this client is to the server."""
        name = "{}:{}".format(*client.socket.getsockname())
        return ConnectionInfo(number, name, name, f"127.0.0.1:{self.server.port}")

    async def ended(self, **reasons: int) -> list[Event]:
        """All events, once connections have been closed for these reasons; no other was."""
        wanted = Counter({CloseReason[name.upper()]: count for name, count in reasons.items()})
        await until(lambda: self.server.registry.closed >= wanted.total())
        assert self.server.registry.close_reasons == wanted
        return self.events


def break_down(monkeypatch: pytest.MonkeyPatch, where: str) -> RuntimeError:
    """A bug of ours."""
    bug = RuntimeError("a bug of ours")

    def fail(*_: object, **__: object) -> None:
        raise bug

    monkeypatch.setattr(f"tcpecho_trio.server.{where}", fail)
    return bug


async def is_reset(client: trio.SocketStream) -> bool:
    try:
        await read_all(client)
    except trio.BrokenResourceError:
        return True
    return False


async def test_a_conversation_begins_and_ends_and_lasted_as_long_as_it_did() -> None:
    async with running_server() as server:
        story, begun = Story(server), trio.current_time()
        async with await server.connect() as client:
            info = await story.of(client)
            await client.send_all(b"hola\n")
            assert await read_exactly(client, 5) == b"HOLA\n"
            await until(lambda: trio.current_time() > begun + 0.01)
            talked = trio.current_time()
        opened, closed = await story.ended(eof=1)
        assert opened == ConnectionOpened(info)
        assert isinstance(closed, ConnectionClosed)
        assert (closed.connection, closed.reason) == (info, CloseReason.EOF)
        assert (closed.stats.bytes_in, closed.stats.bytes_out) == (5, 5)
        least = talked - closed.stats.opened_at
        assert least <= closed.seconds <= trio.current_time() - begun
        assert server.registry.served == 1


async def test_each_obeyed_word_is_counted_and_a_farewell_is_told_of() -> None:
    async with running_server(Settings(dialect=ADMIN)) as server:
        story = Story(server)
        async with await server.connect() as client:
            info = await story.of(client)
            await read_exactly(client, len(ADMIN.greeting.encode()))
            await client.send_all(b"LISTAR\nLISTAR\nLISTAR\nAPAGAR\n")
            await read_all(client)
        opened, leaving, closed = await story.ended(disconnected=1)
        assert (opened, leaving) == (ConnectionOpened(info), DisconnectRequested(info))
        assert isinstance(closed, ConnectionClosed)
        assert server.registry.commands == {Action.LIST: 3, Action.DISCONNECT: 1}


async def test_whoever_ends_the_server_is_named() -> None:
    async with running_server(Settings(dialect=ADMIN)) as server:
        story = Story(server)
        async with await server.connect() as client:
            info = await story.of(client)
            await read_exactly(client, len(ADMIN.greeting.encode()))
            await client.send_all(b"DESCONEXION\n")
            await read_all(client)
        await server.lifecycle.wait_stopped()
        events = await story.ended(shutdown=1)
        (draining,) = [event for event in events if isinstance(event, DrainStarted)]
        assert (draining.reason, draining.client) == (DrainReason.REMOTE, info.client)


async def test_a_full_server_tells_whom_it_refuses() -> None:
    async with running_server(Settings(max_connections=1)) as server, await server.connect():
        await until(lambda: server.registry.places == 1)
        story = Story(server)
        async with await server.connect() as client:
            info = await story.of(client, 2)
            assert (await read_all(client)).startswith(b"ERROR: ")
        assert await story.ended(full=1) == [ConnectionRefused(info, CloseReason.FULL)]


@pytest.mark.parametrize("limited", [True, False])
async def test_only_where_memory_is_limited_the_number_of_refusals_under_way_is(
    limited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpecho_trio.server.admission.REFUSALS", 0)
    monkeypatch.setattr(
        "tcpecho_trio.server.admission.room_for_clients", lambda: 1 if limited else 1000
    )
    settings = Settings(max_connections=2 if limited else 1)
    async with running_server(settings) as server, await server.connect():
        await until(lambda: server.registry.places == 1)
        story = Story(server)
        async with await server.connect() as client:
            info = await story.of(client, 2)
            assert await is_reset(client) is limited
        assert await story.ended(full=1) == [ConnectionRefused(info, CloseReason.FULL)]


async def test_a_bug_at_the_moment_of_the_accept_is_told_with_whom_it_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_server() as server:
        story = Story(server)
        with monkeypatch.context() as patch:
            bug = break_down(patch, "admission.Connection")
            async with await server.connect() as client:
                info = await story.of(client)
                await read_all(client)
        assert await story.ended(crashed=1) == [ConnectionCrashed(info, bug)]


async def test_a_bug_in_a_stage_is_told_with_whom_it_met(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(Settings(proxy_protocol=True)) as server:
        story = Story(server)
        with monkeypatch.context() as patch:
            bug = break_down(patch, "proxy_stage.ProxyHeaderStage.__call__")
            async with await server.connect() as client:
                info = await story.of(client)
                assert await is_reset(client)
        assert await story.ended(crashed=1) == [ConnectionCrashed(info, bug)]


async def test_a_bug_in_a_refusal_is_told_with_whom_it_met(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(Settings(max_connections=1)) as server, await server.connect():
        await until(lambda: server.registry.places == 1)
        story = Story(server)
        with monkeypatch.context() as patch:
            bug = break_down(patch, "admission.linger")
            async with await server.connect() as client:
                info = await story.of(client, 2)
                await read_all(client)
        refused, crashed = await story.ended(full=1)
        assert refused == ConnectionRefused(info, CloseReason.FULL)
        assert crashed == ConnectionCrashed(info, bug)


async def test_a_bug_in_a_conversation_resets_it_and_is_told_with_whom_it_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_server(Settings(dialect=ADMIN)) as server:
        story = Story(server)
        bug = break_down(monkeypatch, "connection.Connection._obey")
        async with await server.connect() as client:
            info = await story.of(client)
            await read_exactly(client, len(ADMIN.greeting.encode()))
            await client.send_all(b"LISTAR\n")
            assert await is_reset(client)
        opened, crashed, closed = await story.ended(crashed=1)
        assert opened == ConnectionOpened(info)
        assert crashed == ConnectionCrashed(info, bug)
        assert isinstance(closed, ConnectionClosed)
        assert closed.reason is CloseReason.CRASHED


async def test_whoever_leaves_before_its_header_is_a_probe() -> None:
    async with running_server(Settings(proxy_protocol=True)) as server:
        story = Story(server)
        async with await server.connect() as client:
            info = await story.of(client)
        assert await story.ended(probe=1) == [ConnectionProbed(info)]


async def leave_in_the_middle(client: trio.SocketStream) -> None:
    client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await client.aclose()


async def test_whoever_resets_in_the_middle_of_its_header_is_a_probe() -> None:
    async with running_server(Settings(proxy_protocol=True)) as server:
        story = Story(server)
        client = await server.connect()
        info = await story.of(client)
        await client.send_all(HEADER[:20])
        await until(lambda: bool(server.registry.admitting))
        await leave_in_the_middle(client)
        assert await story.ended(probe=1) == [ConnectionProbed(info)]


@pytest.mark.parametrize("how", ["drain", "abort"])
async def test_whoever_has_not_been_let_in_when_the_server_ends_is_aborted(how: str) -> None:
    async with running_server(Settings(proxy_protocol=True, drain_timeout=0.1)) as server:
        story = Story(server)
        async with await server.connect() as client:
            info = await story.of(client)
            await until(lambda: bool(server.registry.admitting))
            end: Callable[[], None] = getattr(server.lifecycle, how)
            end()
            await is_reset(client)
            events = await story.ended(aborted=1)
        assert AdmissionAborted(info) in events


async def test_who_is_named_by_a_header_is_told_by_that_name() -> None:
    async with running_server(Settings(proxy_protocol=True)) as server:
        story = Story(server)
        async with await server.connect() as client:
            peer = await story.of(client)
            await client.send_all(HEADER + b"hola\n")
            assert await read_exactly(client, 5) == b"HOLA\n"
        opened, closed = await story.ended(eof=1)
        assert isinstance(opened, ConnectionOpened)
        assert isinstance(closed, ConnectionClosed)
        who = opened.connection
        assert (who.client, who.peer, who.number) == ("203.0.113.7:4000", peer.peer, 1)
        assert closed.connection == opened.connection
