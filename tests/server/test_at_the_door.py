"""What becomes of a connection at the moment when it is accepted."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.dialects import INSPECT, SERVER_FULL
from tcpecho_trio.server import Events, Lifecycle, Registry, Settings, admission
from tcpecho_trio.server.accepting import Acceptor, Spawn
from tcpecho_trio.server.admission import Admission
from tcpecho_trio.server.context import ServerContext
from tcpecho_trio.server.events import Event
from tcpecho_trio.server.faults import Fault, FaultSampler, Kind
from tcpecho_trio.server.peer import Peer
from tcpecho_trio.server.portable import OwnTask
from tests.support.running import read_all, read_exactly


class Door:
    """An admission, and what it tells."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.told: list[Event] = []
        self.lifecycle, self.registry, events = Lifecycle(), Registry(), Events()
        events.subscribe(self.told.append)
        context = ServerContext(
            *(settings or Settings(), self.lifecycle, self.registry, self.registry),
            *(events, OwnTask(events)),
        )
        self.faults = context.faults
        self._handle = Admission(context).handler("here:1")

    async def serve(self, stream: object) -> None:
        """What serves the connection, until it ends."""
        serving: list[Awaitable[None]] = []

        def spawn(task: Awaitable[None], _: object) -> None:
            serving.append(task)

        self._handle(stream, spawn)  # type: ignore[arg-type]
        for task in serving:
            await task


def no_socket() -> tuple[trio.StapledStream, trio.StapledStream]:  # type: ignore[type-arg]
    """A client's end, and a server's end that says itself who the client is."""
    ours, theirs = memory_stream_pair()
    theirs.peer = Peer("somebody:1", "192.0.2.1", False)  # type: ignore[attr-defined]
    return ours, theirs


async def test_a_stream_that_is_no_socket_says_itself_who_its_client_is() -> None:
    door, (ours, theirs) = Door(), no_socket()
    await ours.send_all(b"hola\n")
    await ours.send_eof()
    await door.serve(theirs)
    assert await read_exactly(ours, 5) == b"HOLA\n"
    names = [(event.name, event.connection.client) for event in door.told]  # type: ignore[attr-defined]
    assert names == [("connected", "somebody:1"), ("closed", "somebody:1")]


async def test_faults_are_drawn_for_those_only_for_whom_there_is_a_place(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws: list[bool] = []

    def draw(sampler: FaultSampler) -> tuple[Fault, ...]:
        draws.append(bool(sampler.faults))
        return ()

    monkeypatch.setattr(FaultSampler, "draw", draw)
    for faults in ((), (Fault(Kind.DELAY, 1),)):
        door = Door(Settings(max_connections=1))
        door.faults.change(faults)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(door.serve, no_socket()[1])
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert door.registry.accepted_at == {"here:1": 3}
    assert draws == [True]


async def test_our_own_address_is_empty_in_a_report_where_the_system_does_not_know_it() -> None:
    class Broken:
        """A socket that was reset, as some systems show it."""

        def getsockname(self) -> None:
            raise OSError(errno.EINVAL, "it has no address any more")

    door, (ours, theirs) = Door(Settings(dialect=INSPECT)), no_socket()
    theirs.socket = Broken()  # type: ignore[attr-defined]
    await ours.send_all(b"INFORME\n")
    await ours.send_eof()
    await door.serve(theirs)
    await theirs.aclose()
    assert json.loads(await read_all(ours))["local"] == ""


async def test_whoever_is_refused_and_stays_has_a_second(autojump_clock: MockClock) -> None:
    door, (first, at_first) = Door(Settings(max_connections=1)), no_socket()
    ours, theirs = no_socket()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.serve, at_first)
        await first.send_all(b"hola\n")
        await read_exactly(first, 5)
        start = trio.current_time()
        await door.serve(theirs)
        assert trio.current_time() - start == pytest.approx(1)
        assert await ours.receive_some() == SERVER_FULL.encode()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("settings", [Settings(), Settings(max_connections=1)])
async def test_where_memory_is_short_few_are_told_at_a_time_and_the_others_are_closed_on(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(admission, "REFUSALS", 3)
    monkeypatch.setattr(admission, "room_for_clients", lambda: 1)
    door, (_, first) = Door(settings), no_socket()
    times: list[float] = []

    async def refused() -> None:
        start = trio.current_time()
        _, theirs = no_socket()
        await door.serve(theirs)
        times.append(trio.current_time() - start)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.serve, first)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):  # the second time there is room for as many again
            async with trio.open_nursery() as newcomers:
                for _ in range(5):
                    newcomers.start_soon(refused)
        nursery.cancel_scope.cancel()
    assert times == pytest.approx([0, 0, 1, 1, 1] * 2)


async def test_whoever_comes_when_there_is_no_time_for_it_is_reset() -> None:
    door = Door()
    door.lifecycle.abort()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        accepted = await listener.accept()
        await door.serve(accepted)
        await accepted.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    await client.aclose()
    assert door.told == []
    assert door.registry.accepted == 0


async def test_a_handler_for_which_no_memory_is_left_costs_that_client_only() -> None:
    def handle(_: object, __: Spawn) -> None:
        raise MemoryError

    ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
    async with trio.open_nursery() as nursery, ours:
        acceptor = Acceptor(handle, nursery)
        acceptor.start_soon(None, theirs)
        assert await read_all(ours) == b""  # it is closed
        _, stream = memory_stream_pair()
        acceptor.start_soon(None, stream)  # type: ignore[arg-type]


@asynccontextmanager
async def accepting() -> AsyncGenerator[tuple[Acceptor, trio.SocketListener, list[object]], None]:
    """An acceptor, a socket at which it could accept, and those whom it gave to its handler."""
    served: list[object] = []

    def handle(stream: object, _: Spawn) -> None:
        served.append(stream)

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery, listener:
        yield Acceptor(handle, nursery), listener, served


async def test_nobody_is_waited_for_whatever_sockets_do_by_default() -> None:
    async with accepting() as (acceptor, listener, served):
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(3600)  # as a program may in which the server runs
        try:
            acceptor.look_at(listener.socket)
            acceptor.start_soon(None, no_socket()[1])  # type: ignore[arg-type]
        finally:
            socket.setdefaulttimeout(before)
        acceptor.close()
    assert len(served) == 1


async def test_when_the_listening_socket_is_closed_only_who_has_been_accepted_is_served() -> None:
    async with accepting() as (acceptor, listener, served):
        acceptor.look_at(listener.socket)
        ends = [await trio.open_tcp_stream(*listener.socket.getsockname()) for _ in range(2)]
        acceptor.close()
        acceptor.start_soon(None, ends[0])
        acceptor.accept_backlog()
        acceptor.close()  # for the second time
        assert served == [ends[0]]
        for end in ends:
            await end.aclose()
