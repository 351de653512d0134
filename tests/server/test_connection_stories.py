"""All events of a connection from beginning to end, with its client's names and counters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import trio
import trio.testing

from tcpecho_trio.dialects import ADMIN, INSPECT, Action
from tcpecho_trio.server import Registry, Settings
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.endpoints import Endpoint, Scheme
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
    RepliesSent,
)
from tcpecho_trio.server.faults import Fault, Kind
from tcpecho_trio.server.tls import Tls
from tests.support.certificates import Certificates
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


def counted(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> list[object]:
    """The objects of which a method has been called, as often as it was."""
    called, original = list[object](), getattr(kind, name)

    def call(self: object, *arguments: object) -> object:
        called.append(self)
        return original(self, *arguments)

    monkeypatch.setattr(kind, name, call)
    return called


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


async def test_who_has_ended_costs_no_half_close(monkeypatch: pytest.MonkeyPatch) -> None:
    half_closes = counted(monkeypatch, trio.SocketStream, "send_eof")
    closes = counted(monkeypatch, trio.SocketStream, "aclose")  # which Trio passes through a scope
    async with running_server(Settings(dialect=ADMIN)) as server:  # the greeting takes a task
        async with await server.connect() as client:
            await read_exactly(client, len(ADMIN.greeting.encode()))
        assert await server.endings() == ["probe"]
    assert half_closes == []
    assert [stream for stream in closes if stream is not client] == []


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
    monkeypatch.setattr("tcpecho_trio.server.admission.REFUSALS", 1)
    monkeypatch.setattr(
        "tcpecho_trio.server.admission.room_for_clients", lambda: 1 if limited else 1000
    )
    settings = Settings(max_connections=2 if limited else 1)
    async with running_server(settings) as server, await server.connect():
        await until(lambda: server.registry.places == 1)
        story = Story(server)
        for number in (2, 4):  # the one under way ends in between
            async with await server.connect() as told:
                assert await read_exactly(told, 5) == b"ERROR"  # and it stays
                async with await server.connect() as client:
                    info = await story.of(client, number + 1)
                    assert await is_reset(client) is limited
                assert story.events[-1] == ConnectionRefused(info, CloseReason.FULL)
                await told.send_eof()
                await trio.testing.wait_all_tasks_blocked()
        assert len(await story.ended(full=4)) == 4


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


async def test_a_bug_in_the_first_turn_is_told_with_whom_it_met(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server() as server:
        story = Story(server)
        with monkeypatch.context() as patch:
            bug = break_down(patch, f"{path}.move_bare")
            async with server.at_the_door(b"hola\n") as client:
                info = await story.of(client)
                assert await is_reset(client)
        opened, crashed, closed = await story.ended(crashed=1)
        assert opened == ConnectionOpened(info)
        assert crashed == ConnectionCrashed(info, bug)
        assert isinstance(closed, ConnectionClosed)


async def test_whoever_is_gone_at_the_first_turn_is_a_probe(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise ConnectionResetError

    async with running_server() as server:
        story = Story(server)
        with monkeypatch.context() as patch:
            patch.setattr(f"tcpecho_trio.server.{path}.move_bare", gone)
            async with server.at_the_door(b"hola\n") as client:
                info = await story.of(client)
                await until(lambda: server.registry.closed == 1)
        opened, closed = await story.ended(probe=1)
        assert opened == ConnectionOpened(info)
        assert isinstance(closed, ConnectionClosed)
        assert closed.connection == info


MORE_THAN_SOCKETS_HOLD = replace(ADMIN, greeting="x" * 20_000_000)
"""A dialect whose greeting a client has to read: our socket holds 4 MiB at most (tcp(7), tcp_wmem),
and the client's does not grow while nobody reads."""


@pytest.mark.parametrize("faults", [(), (Fault(Kind.DELAY, 0.001),), (Fault(Kind.DRIP, 1e9),)])
async def test_whoever_takes_no_reply_is_reset_at_the_write_timeout(
    faults: tuple[Fault, ...],
) -> None:
    settings = Settings(dialect=MORE_THAN_SOCKETS_HOLD, write_timeout=0.1, faults=faults)
    async with running_server(settings) as server:
        story = Story(server)
        async with await server.connect() as client:
            await story.ended(write_timeout=1)
            assert await is_reset(client)


async def test_whoever_is_being_answered_when_the_server_aborts_is_reset() -> None:
    async with running_server(Settings(dialect=MORE_THAN_SOCKETS_HOLD)) as server:
        story = Story(server)
        async with await server.connect() as client:
            await read_exactly(client, 1)
            server.lifecycle.abort()
            await story.ended(aborted=1)
            assert await is_reset(client)


async def test_whoever_is_silent_when_the_server_aborts_is_reset() -> None:
    async with running_server() as server:
        story = Story(server)
        async with await server.connect() as client:
            await client.send_all(b"hola\n")
            assert await read_exactly(client, 5) == b"HOLA\n"
            server.lifecycle.abort()
            assert await is_reset(client)
            await story.ended(aborted=1)


async def test_whoever_speaks_another_protocol_where_a_word_has_power_is_reset() -> None:
    async with running_server(Settings(dialect=ADMIN)) as server:
        story = Story(server)
        async with await server.connect() as client:
            await client.send_all(b"GET / HTTP/1.1\r\n\r\n")
            assert await is_reset(client)
            await story.ended(foreign=1)


async def test_whoever_leaves_before_its_header_is_a_probe() -> None:
    async with running_server(Settings(proxy_protocol=True)) as server:
        story = Story(server)
        async with await server.connect() as client:
            info = await story.of(client)
        assert await story.ended(probe=1) == [ConnectionProbed(info)]


async def test_whoever_leaves_before_its_handshake_is_a_probe(certificates: Certificates) -> None:
    async with running_server(tls=Tls(certificates.files)) as server:
        story = Story(server)
        async with await server.connect() as client:
            info = await story.of(client)
        events = await story.ended(probe=1)
        assert events == [ConnectionProbed(info._replace(listener=f"tls://{info.listener}"))]


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


async def test_of_replies_it_is_told_what_they_answer_and_a_greeting_answers_nothing() -> None:
    lists = 3000  # replies of several sends
    async with running_server(Settings(dialect=ADMIN)) as server:
        told: list[RepliesSent] = []

        def listen(event: Event) -> None:
            if isinstance(event, RepliesSent):
                told.append(event)

        server.events.subscribe(listen, messages=True)
        async with await server.connect() as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, b"LISTAR\n" * lists + b"APAGAR\n")
            received = await read_all(client)
        await until(lambda: server.registry.closed == 1)
    assert b"".join(event.data for event in told) == received
    assert (told[0].data, told[0].messages) == (ADMIN.greeting.encode(), 0)
    assert len(told) > 3
    assert sum(event.messages for event in told) == lists + 1
    assert told[-1].messages > 0


async def test_an_operator_closes_one_conversation_and_no_other() -> None:
    async with running_server() as server:
        story = Story(server)
        async with await server.connect() as first, await server.connect() as other:
            for client in (first, other):
                await client.send_all(b"hola\n")
                assert await read_exactly(client, 5) == b"HOLA\n"
            conversation = server.registry.find(1)
            assert conversation is not None
            conversation.dismiss()
            assert await read_all(first) == b""
            await first.aclose()
            await story.ended(operator=1)
            await other.send_all(b"adios\n")
            assert await read_exactly(other, 6) == b"ADIOS\n"
        await story.ended(operator=1, eof=1)


async def test_whoever_is_dismissed_as_the_server_drains_is_drained() -> None:
    async with running_server() as server:
        story = Story(server)
        async with await server.connect() as client:
            await client.send_all(b"hola\n")
            assert await read_exactly(client, 5) == b"HOLA\n"
            conversation = server.registry.find(1)
            assert conversation is not None
            server.lifecycle.drain()
            conversation.dismiss()
            assert await read_all(client) == b""
            await client.aclose()
            await story.ended(drained=1)


@pytest.mark.parametrize("fresh", [True, False])
async def test_what_others_know_is_asked_for_before_a_list_only_where_it_is_old(
    fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def refresh(_: object) -> None:
        nonlocal asked
        await trio.lowlevel.checkpoint()
        asked += 1

    monkeypatch.setattr(Registry, "fresh", fresh)
    monkeypatch.setattr(Registry, "refresh", refresh)
    async with running_server(Settings(dialect=ADMIN)) as server:
        async with await server.connect() as client:
            await client.send_all(b"hola\nLISTAR\nLISTAR\nAPAGAR\n")
            await read_all(client)
        assert asked == (0 if fresh else 2)


async def test_a_proxy_that_names_itself_is_a_probe_until_it_speaks() -> None:
    async with running_server(Settings(proxy_protocol=True)) as server:
        story = Story(server)
        async with await server.connect() as proxy, await server.connect() as other:
            info = await story.of(proxy)
            host, port = proxy.socket.getsockname()
            await proxy.send_all(f"PROXY TCP4 {host} 127.0.0.1 {port} 5000\r\n".encode())
            await other.send_all(HEADER)  # somebody else may be silent and is a client
            await until(lambda: bool(story.events))
            assert isinstance(story.events[0], ConnectionOpened)
            assert story.events[0].connection.client == "203.0.113.7:4000"
            await proxy.aclose()
            await until(lambda: server.registry.closed == 1)
            assert story.events[1:] == [ConnectionProbed(info)]


async def test_a_report_names_the_address_at_which_the_client_came() -> None:
    everywhere = Endpoint(Scheme.TCP, "0.0.0.0", 0)
    settings = Settings(dialect=INSPECT, listen=(everywhere,))
    async with running_server(settings) as server, await server.connect() as client:
        await client.send_all(b"REPORT\n")
        report = json.loads((await client.receive_some()).decode())
        assert report["local"] == f"127.0.0.1:{server.port}"
