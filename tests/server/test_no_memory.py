"""No memory is left: that costs the client for which it was needed, never the server.

Under a real limit (``ulimit -v``) CPython itself may abort at places that nobody can guard. So the
error is raised here where our code has to live with it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from types import SimpleNamespace

import outcome
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tcpecho_trio.server import Settings
from tcpecho_trio.server import pump as pump_module
from tcpecho_trio.server.accepting import Acceptor
from tcpecho_trio.server.events import Event, Listening
from tcpecho_trio.server.pump import pump_exists
from tcpecho_trio.server.subscriptions import Events
from tests.support.running import read_all, read_exactly, running_server, until

pytestmark = pytest.mark.usefixtures("path")


def once(error: type[BaseException], real: object) -> object:
    """Fails the first time, and is real from then on."""
    failed: list[bool] = []

    def function(*arguments: object) -> object:
        if not failed:
            failed.append(True)
            raise error
        return real(*arguments)  # type: ignore[operator]

    return function


@pytest.mark.parametrize(
    "place",
    [
        "tcpecho_trio.server.admission.Connection",  # at accept
        "tcpecho_trio.server.admission.ConnectionInfo",
        "tcpecho_trio.server.connection.ConnectionOpened",  # in the connection's task
        "tcpecho_trio.server.connection.ConnectionClosed",
    ],
)
async def test_a_connection_for_which_there_is_no_memory_costs_itself(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = place.rpartition(".")
    real = getattr(__import__(module, fromlist=[name]), name)
    async with running_server() as server, await server.connect() as polite:
        await polite.send_all(b"hola\n")
        assert await read_exactly(polite, 5) == b"HOLA\n"
        with monkeypatch.context() as patched:
            patched.setattr(place, once(MemoryError, real))
            async with await server.connect() as unlucky:
                with contextlib.suppress(trio.BrokenResourceError):
                    await unlucky.send_all(b"adios\n")
                    await unlucky.send_eof()
                    assert await read_all(unlucky) in (b"", b"ADIOS\n")
        await polite.send_all(b"adios\n")
        assert await read_exactly(polite, 6) == b"ADIOS\n"
        assert await server.ask(b"hola") == b"HOLA"


async def test_a_read_or_a_write_without_memory_costs_that_connection(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server() as server, await server.connect() as polite:
        for name in ("read", "write"):
            await polite.send_all(b"hola\n")
            assert await read_exactly(polite, 5) == b"HOLA\n"
            async with await server.connect() as unlucky:
                await unlucky.send_all(b"hola\n")
                assert await read_exactly(unlucky, 5) == b"HOLA\n"
                with monkeypatch.context() as patched:
                    module = "pump" if path == "pump" else "traffic"
                    patched.setattr(
                        f"tcpecho_trio.server.{module}.{name}",
                        once(MemoryError, getattr(os, name)),
                    )
                    await unlucky.send_all(b"adios\n")
                    with pytest.raises(trio.BrokenResourceError):
                        await read_all(unlucky)
        await polite.send_all(b"adios\n")
        assert await read_exactly(polite, 6) == b"ADIOS\n"


def without_outcomes(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The pump has no memory to let a client go, until the list is cleared."""
    none_left = [True]

    def kept(real: object) -> object:
        def made(value: object) -> object:
            if none_left:
                raise MemoryError
            return real(value)  # type: ignore[operator]

        return made

    outcomes = SimpleNamespace(Value=kept(outcome.Value), Error=kept(outcome.Error))
    monkeypatch.setattr(pump_module, "outcome", outcomes)
    return none_left


@pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")
async def test_without_memory_for_anything_the_pump_rests_a_twentieth_of_a_second(
    path: str, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    if path != "pump":
        pytest.skip("it is the pump's")
    async with running_server() as server, await server.connect() as client:
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"
        none_left = without_outcomes(monkeypatch)
        await client.send_eof()
        for pause in (0.0, 0.049):
            mock_clock.jump(pause)
            await trio.testing.wait_all_tasks_blocked()  # it does not try all the time
        none_left.clear()
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.registry) == 1
        mock_clock.jump(0.002)
        assert await read_all(client) == b""
        await until(lambda: server.registry.closed == 1)


@pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")
async def test_whoever_is_silent_for_too_long_is_let_go_once_there_is_memory_for_it(
    path: str, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    if path != "pump":
        pytest.skip("it is the pump's")
    async with running_server(Settings(idle_timeout=60)) as server:
        async with await server.connect() as client:
            await client.send_all(b"hola\n")
            assert await read_exactly(client, 5) == b"HOLA\n"
            none_left = without_outcomes(monkeypatch)
            mock_clock.jump(61)
            await trio.testing.wait_all_tasks_blocked()
            none_left.clear()
            mock_clock.jump(0.051)  # that long it rests
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(0.051)  # a last look
            assert await read_all(client) == b""
        assert await server.endings() == ["idle"]


async def test_a_newcomer_for_whom_there_is_no_memory_is_closed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accepted: list[socket.socket] = []

    def no_memory(sock: socket.socket) -> trio.socket.SocketType:
        accepted.append(sock)
        raise MemoryError

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        acceptor = Acceptor(lambda _stream, _spawn: None, nursery)
        acceptor.look_at(listener.socket)
        client = socket.create_connection(listener.socket.getsockname())
        with monkeypatch.context() as patched:
            patched.setattr(trio.socket, "from_stdlib_socket", no_memory)
            acceptor.accept_backlog()
        await listener.aclose()
    (ours,) = accepted
    assert ours.fileno() == -1
    with client:
        assert client.recv(1) == b""


def test_a_subscriber_without_memory_misses_one_event_and_is_told_of_the_next() -> None:
    told: list[Event] = []
    tell = once(MemoryError, told.append)
    events = Events()
    events.subscribe(tell)  # type: ignore[arg-type]
    events.publish(Listening("here:1"))
    events.publish(Listening("here:2"))
    assert told == [Listening("here:2")]
    assert events.lost == 1
