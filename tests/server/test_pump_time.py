"""Time on the pump: real sockets, and a clock that only the test moves."""

from __future__ import annotations

import contextlib
import os
from itertools import count

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tcpecho_trio.dialects import SALUTATION, STANDARD
from tcpecho_trio.protocol import Protocol
from tcpecho_trio.server import Events, Settings
from tcpecho_trio.server import pump as pump_module
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.conversation import QUIET_PERIOD
from tcpecho_trio.server.pump import BATCH, SLICE, Pump, pump_exists
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.server.traffic import COMMAND_PIECE, READ_SIZE
from tests.support.running import read_all, read_exactly, running_server, until


async def asked(stream: trio.SocketStream, text: bytes) -> None:
    """Ask once; at the end the server's tasks sleep again, those of its clients in the pump."""
    await stream.send_all(text)
    assert await read_exactly(stream, len(text)) == text.upper()
    await trio.testing.wait_all_tasks_blocked()


async def time_passes(clock: MockClock, seconds: float) -> None:
    """Until every task has seen that it is later, and a last look at a silent client is over."""
    for period in (seconds, 2 * QUIET_PERIOD):
        clock.jump(period)
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.usefixtures("path")
async def test_a_client_that_speaks_in_time_is_never_idle(mock_clock: MockClock) -> None:
    async with (
        running_server(Settings(idle_timeout=1)) as server,
        await server.connect() as client,
    ):
        await asked(client, b"hola\n")
        for _ in range(10):
            await time_passes(mock_clock, 0.3)
            await asked(client, b"hola\n")
        assert server.registry.closed == 0
        assert len(server.registry) == 1


@pytest.mark.usefixtures("path")
async def test_silence_is_counted_from_the_last_byte_and_not_from_the_first(
    mock_clock: MockClock,
) -> None:
    async with running_server(Settings(idle_timeout=10)) as server:
        async with await server.connect() as client:
            await asked(client, b"hola\n")
            await time_passes(mock_clock, 9)
            await asked(client, b"hola\n")
            await time_passes(mock_clock, 9)
            await asked(client, b"hola\n")  # 18 s after the first byte
            await time_passes(mock_clock, 10)
            assert await read_all(client) == b""
        assert await server.endings() == ["idle"]


async def test_a_client_is_closed_at_its_own_silence_while_another_speaks(
    mock_clock: MockClock,
) -> None:
    async with (
        running_server(Settings(idle_timeout=10)) as server,
        await server.connect() as silent,
        await server.connect() as talking,
    ):
        await asked(silent, b"hola\n")
        for _ in range(4):
            await time_passes(mock_clock, 3)
            await asked(talking, b"hola\n")
        assert await read_all(silent) == b""
        await asked(talking, b"hola\n")


@pytest.mark.usefixtures("path")
async def test_a_silence_that_is_too_long_is_found_out_at_most_a_hundredth_late(
    mock_clock: MockClock,
) -> None:
    async with (
        running_server(Settings(idle_timeout=100)) as server,
        await server.connect() as client,
    ):
        await time_passes(mock_clock, 30)
        await asked(client, b"hola\n")
        await time_passes(mock_clock, 75)  # somebody else's silence may have been looked for
        (connection,) = server.registry
        assert connection.closing is None
        await time_passes(mock_clock, 26)
        assert connection.closing is CloseReason.IDLE


class Client:
    """What the pump knows of a client."""

    def __init__(self) -> None:
        self.info = ConnectionInfo(1, "peer", "peer", "here")
        self.stats = ConnectionStats(0.0)
        self.protocol = Protocol(STANDARD)
        self.watched = False


FLOOD = 20_000
"""Messages of a flood at most: then even a pump that never lets go comes to an end."""


@pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")
async def test_under_a_flood_other_tasks_get_their_turn_after_each_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks, reads = count(), 0
    real_read, real_write = os.read, os.write
    clients: dict[int, trio.SocketStream] = {}  # by the server's descriptor

    def read(fd: int, _: int) -> bytes:
        nonlocal reads
        reads += 1
        if reads < FLOOD:  # the next message stands behind the one that is taken
            real_write(clients[fd].socket.fileno(), b"hola\n")
        return real_read(fd, 5)

    def write(fd: int, data: bytes) -> int:
        return len(data) if fd in clients else real_write(fd, data)

    monkeypatch.setattr(pump_module, "read", read)
    monkeypatch.setattr(pump_module, "write", write)
    # A slice is ten looks at the clock, however fast the machine is.
    monkeypatch.setattr(pump_module, "SLICE", 10.0)
    monkeypatch.setattr(pump_module, "perf_counter", lambda: float(next(ticks)))
    pump = Pump(Events())
    async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as nursery:
        for _ in range(3):
            ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
            await stack.enter_async_context(ours)
            await stack.enter_async_context(theirs)
            clients[theirs.socket.fileno()] = ours
            nursery.start_soon(pump.carry, theirs, Client())
        await trio.testing.wait_all_tasks_blocked()
        for ours in clients.values():
            await ours.send_all(b"hola\n")
        nursery.start_soon(pump.run)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        # Three clients a look, ten looks a slice, at most one slice in each pass.
        assert 100 < reads <= 3 * 10 * 20
        nursery.cancel_scope.cancel()
    pump.close()


@pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")
async def test_where_each_turn_takes_long_fewer_are_served_between_two_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a pass beside two hundred floods of text took 40 ms, and a signal takes four."""
    now, cost, served, most = 0.0, 0.0, 0, 0
    done = trio.Event()
    real_read = os.read

    def read(fd: int, size: int) -> bytes:
        nonlocal now, served
        now += cost
        served += 1
        return real_read(fd, size)

    async def watch_passes() -> None:
        nonlocal served, most
        while not done.is_set():
            await trio.lowlevel.checkpoint()
            most, served = max(most, served), 0

    monkeypatch.setattr(pump_module, "read", read)
    monkeypatch.setattr(pump_module, "perf_counter", lambda: now)

    async def most_in_a_pass(clients: list[trio.SocketStream]) -> int:
        nonlocal most, served, done
        await trio.testing.wait_all_tasks_blocked()
        most, served, done = 0, 0, trio.Event()
        for client in clients:
            os.write(client.socket.fileno(), b"adios\n")  # before the pump can look
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_passes)
            for client in clients:
                assert await read_exactly(client, 6) == b"ADIOS\n"
            done.set()
        return most

    async with running_server() as server:
        clients = [await server.connect() for _ in range(100)]
        for client in clients:
            await asked(client, b"hola\n")
        cost = SLICE / 4
        assert await most_in_a_pass(clients) >= BATCH
        for _ in range(6):
            await most_in_a_pass(clients)
        assert 4 <= await most_in_a_pass(clients) <= 16  # a slice, and up to two more
        cost = SLICE / 1000
        for _ in range(20):
            await most_in_a_pass(clients)
        cost = SLICE / 50
        assert await most_in_a_pass(clients) > 50  # short messages: a whole slice again
        for client in clients:
            await client.aclose()
    await until(lambda: server.registry.closed == 100)


@pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")
async def test_a_slice_serves_those_who_are_ready_again_before_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two passes of the scheduler the pump works on: a pass costs more than a message."""
    passes, done = 0, trio.Event()
    monkeypatch.setattr(pump_module, "BATCH", 1)
    monkeypatch.setattr(pump_module, "perf_counter", lambda: 0.0)  # no slice ends

    async def count_passes() -> None:
        nonlocal passes
        while not done.is_set():
            await trio.lowlevel.checkpoint()
            passes += 1

    async with running_server() as server:
        clients = [await server.connect() for _ in range(100)]
        for client in clients:
            await asked(client, b"hola\n")
        await trio.testing.wait_all_tasks_blocked()
        for client in clients:
            os.write(client.socket.fileno(), b"adios\n")  # before the pump can look
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_passes)
            for client in clients:
                assert await read_exactly(client, 6) == b"ADIOS\n"
            seen = passes
            done.set()
        assert seen < 150  # one a client for this test itself
        for client in clients:
            await client.aclose()
    await until(lambda: server.registry.closed == 100)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("size", [COMMAND_PIECE - 100, COMMAND_PIECE, READ_SIZE // 2])
async def test_a_chunk_that_holds_words_is_obeyed_whatever_its_length(size: int) -> None:
    words = b"hola servidor\n" * (size // 14 + 1)
    async with (
        running_server(Settings(dialect=SALUTATION)) as server,
        await server.connect() as client,
    ):
        await asked(client, b"adios\n")
        await client.send_all(words)
        assert await read_exactly(client, len(words) // 14 * 13) == (
            b"HOLA CLIENTE\n" * (len(words) // 14)
        )
        await asked(client, b"adios\n")
