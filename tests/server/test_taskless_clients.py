"""Clients that the pump adopts: they have no task before something is to be done that takes one."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from tcpecho_trio.dialects import ADMIN, INSPECT, STANDARD, Dialect
from tcpecho_trio.server import Events, Lifecycle, Registry, Settings, serve
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection import Connection
from tcpecho_trio.server.pump import Pump, pump_exists
from tests.support.running import Running, read_all, read_exactly, running_server, until

pytestmark = pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close(2) resets the connection (socket(7))."""


def tasks() -> int:
    """How many tasks serve a connection."""

    def below(task: trio.lowlevel.Task) -> int:
        children = (child for nursery in task.child_nurseries for child in nursery.child_tasks)
        return task.name.endswith("_serve_and_close") + sum(map(below, children))

    root = trio.lowlevel.current_root_task()
    assert root is not None
    return below(root)


def descriptors() -> set[Path]:
    """Those of this process that are open."""
    return set(Path("/proc/self/fd").iterdir())


async def met(server: Running, *said: bytes) -> trio.SocketStream:
    """A client whose lines have been answered."""
    client = await server.connect()
    for line in said:
        await client.send_all(line)
        assert await read_exactly(client, len(line)) == line.upper()
    return client


async def test_plain_traffic_takes_no_task_from_its_beginning_to_its_end() -> None:
    most = 0

    class Watching(trio.abc.Instrument):
        def task_spawned(self, task: trio.lowlevel.Task) -> None:
            nonlocal most
            most += task.name.endswith("_serve_and_close")

    async with running_server() as server:
        trio.lowlevel.add_instrument(watching := Watching())
        for _ in range(5):
            async with await met(server, b"hola\n", b"mundo\n", b"x" * 1000 + b"\n"):
                assert tasks() == 0
        assert await server.endings(5) == ["eof"] * 5
        assert server.registry.totals().messages_in == 15
        trio.lowlevel.remove_instrument(watching)
    assert most == 0


async def test_a_pump_adopts_clients_only_while_somebody_stands_for_their_tasks() -> None:
    pump, last_came = Pump(Events()), trio.Event()
    assert not pump.adopting
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.keep, last_came)
        await trio.testing.wait_all_tasks_blocked()
        assert pump.adopting
        last_came.set()
    assert not pump.adopting
    pump.close()


async def test_who_says_a_word_has_a_task_from_then_on() -> None:
    async with running_server(Settings()) as server:
        client = await met(server, b"hola\n")
        await client.send_all(b"adios\nDESCO")
        assert await read_exactly(client, 6) == b"ADIOS\n"
        await client.send_all(b"NEXION\n")
        assert await read_all(client) == "Conexión cerrada\n".encode()
        await client.aclose()
        assert await server.endings() == ["disconnected"]
        assert tasks() == 0


async def test_what_is_held_at_the_end_of_input_is_answered() -> None:
    async with running_server() as server:
        assert await server.ask(b"hola\nDESCO") == b"HOLA\nDESCO"
        assert await server.ask(b"") == b""
        assert await server.endings(2) == ["eof", "probe"]


async def test_a_greeting_takes_a_task() -> None:
    async with running_server(Settings(dialect=ADMIN)) as server, await server.connect() as client:
        greeting = ADMIN.greeting.encode()
        assert await read_exactly(client, len(greeting)) == greeting
        assert tasks() == 1


@pytest.mark.parametrize("settings", [Settings(banner=True), Settings(dialect=INSPECT)])
async def test_a_banner_takes_one_only_where_there_is_something_to_report(
    settings: Settings,
) -> None:
    async with running_server(settings) as server, await met(server, b"hola\n"):
        assert tasks() == 0
    both = replace(settings, banner=True, dialect=INSPECT)
    async with running_server(both) as server, await server.connect() as client:
        assert await client.receive_some()
        assert tasks() == 1


async def test_the_drain_lets_them_go_with_all_that_they_had_sent_answered() -> None:
    async with running_server() as server:
        clients = [await met(server, b"hola\n") for _ in range(50)]
        assert tasks() == 0
        for client in clients:
            await client.send_all(b"adios\nrest")
        server.lifecycle.drain()
        for client in clients:
            assert await read_all(client) == b"ADIOS\nREST"
            await client.aclose()
        assert await server.endings(50) == ["drained"] * 50


@pytest.mark.parametrize("dialect", [STANDARD, ADMIN])  # one of them greets, in a task
async def test_who_has_spoken_before_it_was_accepted_is_drained_like_any_other(
    dialect: Dialect,
) -> None:
    async with running_server(Settings(dialect=dialect)) as server:
        client = server.at_the_door(b"hola\n")
        told = dialect.greeting.encode() + b"HOLA\n"
        assert await read_exactly(client, len(told)) == told
        server.lifecycle.drain()
        assert await read_all(client) == b""
        await client.aclose()
        assert await server.endings() == ["drained"]


async def test_a_word_that_came_before_the_client_was_accepted_is_obeyed() -> None:
    async with running_server() as server:
        client = server.at_the_door(b"DESCONEXION\n")
        assert await read_all(client) == "Conexión cerrada\n".encode()
        await client.aclose()
        assert await server.endings() == ["disconnected"]


async def test_one_that_breaks_is_a_reset() -> None:
    async with running_server() as server:
        client = await met(server, b"hola\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await client.aclose()
        assert await server.endings() == ["reset"]


async def test_a_cancelled_server_aborts_them_and_leaves_nothing_behind() -> None:
    before = descriptors()
    registry = Registry()
    settings = Settings(host="127.0.0.1", port=0)
    async with trio.open_nursery() as nursery:
        server = partial(serve, settings, registry=registry, lifecycle=Lifecycle())
        (listener,) = await nursery.start(server)
        address = listener.socket.getsockname()
        clients = [await trio.open_tcp_stream(*address[:2]) for _ in range(20)]
        for client in clients:
            await client.send_all(b"hola\n")
            assert await read_exactly(client, 5) == b"HOLA\n"
        assert tasks() == 0
        nursery.cancel_scope.cancel()
    assert registry.close_reasons == {CloseReason.ABORTED: 20}
    assert tasks() == 0
    for client in clients:
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        await client.aclose()
    assert descriptors() == before


@pytest.mark.parametrize("shortage", [MemoryError(), None])
async def test_a_task_that_cannot_be_started_costs_its_client_only(
    monkeypatch: pytest.MonkeyPatch, shortage: MemoryError | None
) -> None:
    async with running_server() as server:
        client, other = await met(server, b"hola\n"), await met(server, b"hola\n")
        if shortage is not None:

            def no_memory(_: Connection) -> None:
                raise shortage

            monkeypatch.setattr(Connection, "run", no_memory)
        await client.send_all(b"DESCONEXION\n")
        if shortage is None:
            assert await read_all(client) == "Conexión cerrada\n".encode()
        else:
            with pytest.raises(trio.BrokenResourceError):
                await client.receive_some()
        await client.aclose()
        monkeypatch.undo()
        await until(lambda: server.registry.closed == 1)
        await other.send_all(b"adios\n")
        assert await read_exactly(other, 6) == b"ADIOS\n"
        await other.aclose()


async def test_an_idle_one_is_let_go_at_the_idle_timeout() -> None:
    async with running_server(Settings(idle_timeout=0.3)) as server:
        client = await met(server, b"hola\n")
        assert await read_all(client) == b""
        await client.aclose()
        assert await server.endings() == ["idle"]


async def test_an_operator_can_close_one() -> None:
    async with running_server() as server:
        client = await met(server, b"hola\n")
        (connection,) = server.registry
        connection.dismiss()
        assert await read_all(client) == b""
        await client.aclose()
        assert await server.endings() == ["operator"]
