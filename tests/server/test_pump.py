"""The fast path against the portable one, and both against the model."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import ssl
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tcpecho_trio.dialects import STANDARD
from tcpecho_trio.protocol import Protocol
from tcpecho_trio.server import Events, Settings
from tcpecho_trio.server import pump as pump_module
from tcpecho_trio.server import traffic as traffic_module
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.pump import BATCH, Pump, pump_exists
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.server.tls import Tls
from tcpecho_trio.server.traffic import socket_of
from tcpecho_trio.tls.context import prepare
from tcpecho_trio.tls.stream import TlsStream
from tests.support import running
from tests.support.certificates import Certificates
from tests.support.running import Running, read_exactly, running_server
from tests.support.schedules import CutTls, Schedule, Secure, expected, play, schedules
from tests.support.tls_pairs import VERSIONS, Ends

pytestmark = pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")


STILL = 0.005
"""Real seconds without an event of a socket after which nothing is left to do."""


def agree_on(schedule: Schedule, tls: Tls | None = None, secure: Secure | None = None) -> None:
    """On both paths a client is told what it has to be told.

    Time is told by whether anything is left to do: on a busy machine a pause of so many real
    milliseconds would be none, if the server had not yet read what came before it.
    """
    told = {}
    clock = MockClock(autojump_threshold=STILL)

    async def on(pump: bool, server: Running) -> None:
        told[pump] = await play(server, schedule, secure)

    async def main() -> None:
        settings = Settings(dialect=schedule.dialect)
        async with AsyncExitStack() as stack:
            patched = stack.enter_context(pytest.MonkeyPatch.context())
            servers = {}
            for pump in (True, False):
                patched.setattr(running, "PUMP", pump)
                server = running_server(settings, tls=tls)
                servers[pump] = await stack.enter_async_context(server)
            async with trio.open_nursery() as nursery:
                for pump, opened in servers.items():
                    nursery.start_soon(on, pump, opened)

    whole, cut = expected(schedule)
    trio.run(main, clock=clock)
    for pump in (True, False):
        if cut:
            assert whole.startswith(told[pump])
        else:
            assert told[pump] == whole


@settings(max_examples=30)
@given(schedule=schedules())
def test_both_paths_tell_a_client_the_same(schedule: Schedule) -> None:
    agree_on(schedule)


@settings(max_examples=30)
@given(schedule=schedules(), seed=st.integers(0, 2**32))
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: str(version.name))
def test_both_paths_tell_a_client_the_same_over_tls(
    certificates: Certificates, version: ssl.TLSVersion, schedule: Schedule, seed: int
) -> None:
    """However its text is cut into records, and the records into segments."""
    context = certificates.client()
    context.minimum_version = context.maximum_version = version
    prepare(context)
    agree_on(schedule, Tls(certificates.files), lambda below: CutTls(below, context, Random(seed)))


class Client:
    """What the pump knows of a client."""

    def __init__(self) -> None:
        self.info = ConnectionInfo(1, "peer", "peer", "here")
        self.stats = ConnectionStats(0.0)
        self.protocol = Protocol(STANDARD)
        self.watched = False


async def carried_pair(
    pump: Pump, nursery: trio.Nursery, results: list[object]
) -> trio.SocketStream:
    """The client's end of a connection that the pump carries, once."""
    ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())

    async def carry() -> None:
        async with theirs:
            try:
                results.append(await pump.carry(theirs, Client()))
            except trio.BrokenResourceError as error:
                results.append(error)

    nursery.start_soon(carry)
    await trio.testing.wait_all_tasks_blocked()
    return ours


async def test_cancelling_a_carried_client_unregisters_it_and_loses_no_byte() -> None:
    pump = Pump(Events())
    ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        with trio.CancelScope() as scope:
            scope.cancel()
            await pump.carry(theirs, Client())
        assert scope.cancelled_caught
        await ours.send_all(b"for the task itself")
        assert await theirs.receive_some() == b"for the task itself"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("secure", [False, True])
async def test_what_came_before_a_client_is_carried_is_answered_without_a_pass_of_the_pump(
    certificates: Certificates, secure: bool
) -> None:
    pump, client = Pump(Events()), Client()
    ends = Ends(certificates, ssl.TLSVersion.TLSv1_2)  # no tickets come first
    async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as nursery:
        ours: trio.abc.HalfCloseableStream
        theirs: trio.SocketStream | TlsStream
        if secure:
            theirs, ours = await stack.enter_async_context(ends.connected())
        else:
            ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
            await stack.enter_async_context(ours)
            await stack.enter_async_context(theirs)
        await ours.send_all(b"hola\n")
        before = trio.current_time()
        nursery.start_soon(pump.carry, theirs, client)
        assert await read_exactly(ours, 5) == b"HOLA\n"
        assert before <= client.stats.active <= trio.current_time()
        nursery.cancel_scope.cancel()
    pump.close()


async def test_a_connection_that_is_broken_when_it_is_to_be_carried_is_not_carried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ConnectionResetError("by a test")

    pump = Pump(Events())
    ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
    async with ours, theirs:
        monkeypatch.setattr(traffic_module, "read", broken)
        with pytest.raises(trio.BrokenResourceError, match="by a test"):
            await pump.carry(theirs, Client())
    pump.close()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: str(version.name))
async def test_bytes_over_tls_are_summed_where_nobody_counts_messages(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    pump, client = Pump(Events()), Client()
    client.stats = ConnectionStats(0.0, messages=False)
    ends = Ends(certificates, version)
    async with ends.connected() as (theirs, ours), trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        nursery.start_soon(pump.carry, theirs, client)
        longer = "ŉ" * 8000 + "\n"  # its reply takes half as many bytes more, and two records
        for line in ("hola\n", "hola\n", longer, "hola\n"):
            await ours.send_all(line.encode())
            reply = line.upper().encode()
            assert await read_exactly(ours, len(reply)) == reply
        await trio.testing.wait_all_tasks_blocked()
        assert (client.stats.bytes_in, client.stats.bytes_out) == (16_016, 24_016)
        nursery.cancel_scope.cancel()
    pump.close()


@pytest.mark.parametrize("cut", [1, 100, 9000])
async def test_a_record_whose_end_comes_later_is_answered_whole(
    certificates: Certificates, cut: int
) -> None:
    pump, client = Pump(Events()), Client()
    ends = Ends(certificates, ssl.TLSVersion.TLSv1_3)
    async with ends.connected() as (theirs, ours), trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        nursery.start_soon(pump.carry, theirs, client)
        await ours.send_all(b"hola\n")
        assert await read_exactly(ours, 5) == b"HOLA\n"
        line = b"x" * 9999 + b"\n"
        ours.encrypt(line)
        records = ours.outgoing.read()
        await ours.below.send_all(records[:cut])
        await trio.testing.wait_all_tasks_blocked()
        await ours.below.send_all(records[cut:])
        assert await read_exactly(ours, len(line)) == line.upper()
        nursery.cancel_scope.cancel()
    pump.close()


async def test_what_is_not_plain_is_handed_back() -> None:
    pump = Pump(Events())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        results: list[object] = []
        for sent in (b"DESCONEXION\n", b"DESCO", b"a\xc3"):
            async with await carried_pair(pump, nursery, results) as ours:
                await ours.send_all(sent)
                await trio.testing.wait_all_tasks_blocked()
        async with await carried_pair(pump, nursery, results) as ours:
            await ours.send_eof()
            await trio.testing.wait_all_tasks_blocked()
        async with await carried_pair(pump, nursery, results) as ours:
            with contextlib.suppress(trio.BrokenResourceError):  # closed with it in hand
                await ours.send_all(b"x" * 3_000_000)  # and nobody reads: taken in part
        nursery.cancel_scope.cancel()
    word, held, half, ended, partly = results
    assert len(word.outputs) == 1  # type: ignore[attr-defined]
    assert (held.outputs, half.outputs) == ((), (b"A",))  # type: ignore[attr-defined]
    assert ended.ended  # type: ignore[attr-defined]
    assert partly.outputs  # type: ignore[attr-defined]


@pytest.mark.parametrize("failing", ["read", "write"])
async def test_a_connection_that_breaks_wakes_its_task(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise ConnectionResetError(104, "Connection reset by peer")

    pump = Pump(Events())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        results: list[object] = []
        async with await carried_pair(pump, nursery, results) as ours:
            monkeypatch.setattr(pump_module, failing, broken)
            await ours.send_all(b"hola\n")
            await trio.testing.wait_all_tasks_blocked()
            monkeypatch.undo()
        nursery.cancel_scope.cancel()
    (error,) = results
    assert isinstance(error, trio.BrokenResourceError)
    assert isinstance(error.__cause__, ConnectionResetError)


async def test_a_socket_that_would_block_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real_read, real_write = os.read, os.write
    turns = {"read": 0, "write": 0}

    def read(fd: int, size: int) -> bytes:
        turns["read"] += 1
        if turns["read"] == 1:
            raise BlockingIOError
        return real_read(fd, size)

    def write(fd: int, data: bytes) -> int:
        turns["write"] += 1
        if turns["write"] == 1:
            raise BlockingIOError
        return real_write(fd, data)

    async with running_server() as server, await server.connect() as stream:
        await stream.send_all(b"hola\n")
        assert await read_exactly(stream, 5) == b"HOLA\n"
        monkeypatch.setattr(pump_module, "read", read)
        monkeypatch.setattr(pump_module, "write", write)
        monkeypatch.setattr("tcpecho_trio.server.write_timeout.write", write)  # what is handed back
        await stream.send_all(b"adios\n")
        assert await read_exactly(stream, 6) == b"ADIOS\n"
        monkeypatch.undo()
    assert turns == {"read": 2, "write": 2}


async def test_more_clients_than_a_batch_are_all_served() -> None:
    async with running_server() as server:
        streams = [await server.connect() for _ in range(2 * BATCH + 1)]
        for _ in range(3):
            for number, stream in enumerate(streams):
                await stream.send_all(f"línea {number}\n".encode())
            for number, stream in enumerate(streams):
                reply = f"LÍNEA {number}\n".encode()
                assert await read_exactly(stream, len(reply)) == reply
        for stream in streams:
            await stream.aclose()


async def test_nobody_is_served_twice_while_another_waits_however_a_slice_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[int] = []
    real_read, ticks = os.read, count()

    def read_one_message(fd: int, _: int) -> bytes:
        data = real_read(fd, 5)
        order.append(fd)
        return data

    monkeypatch.setattr(pump_module, "BATCH", 2)
    monkeypatch.setattr(pump_module, "SLICE", 1.0)
    monkeypatch.setattr(pump_module, "perf_counter", lambda: next(ticks) * 0.6)
    pump = Pump(Events())
    async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as stack:
        nursery.start_soon(pump.run)
        results: list[object] = []
        clients = [
            await stack.enter_async_context(await carried_pair(pump, nursery, results))
            for _ in range(7)
        ]
        monkeypatch.setattr(pump_module, "read", read_one_message)
        for client in clients:
            os.write(client.socket.fileno(), b"hola\n" * 10)  # before the pump can look
        for client in clients:
            await read_exactly(client, 50)
        monkeypatch.undo()
        nursery.cancel_scope.cancel()
    turns = [order[start : start + 7] for start in range(0, 70, 7)]
    assert len(set(order)) == 7
    assert all(sorted(turn) == sorted(set(order)) for turn in turns)


async def test_all_clients_over_tls_that_are_ready_are_served_in_one_turn(
    certificates: Certificates,
) -> None:
    pump, clients = Pump(Events()), [Client() for _ in range(3)]
    ends = Ends(certificates, ssl.TLSVersion.TLSv1_3)
    async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as nursery:
        ready = []
        for client in clients:
            theirs, ours = await stack.enter_async_context(ends.connected())
            nursery.start_soon(pump.carry, theirs, client)
            await trio.testing.wait_all_tasks_blocked()
            await ours.send_all(b"hola\n")
            ready.append((socket_of(theirs).fileno(), select.EPOLLIN))
        pump._turn(ready, trio.current_time())
        assert [client.stats.bytes_out for client in clients] == [5, 5, 5]
        nursery.cancel_scope.cancel()
    pump.close()


@pytest.mark.parametrize(
    "first", ["held", "a word", "the end", "would block", "taken in part", "broken"]
)
async def test_whatever_one_client_needs_the_others_of_its_batch_are_served(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a client that is handed back each time would halve everybody's batch."""
    turn, tricked = 1, False
    served_in: dict[bytes, int] = {}
    real_read, real_write = os.read, os.write

    def clock() -> float:  # looked at before the first turn, and after each
        nonlocal turn
        turn += 1
        return 0.0

    def read(fd: int, size: int) -> bytes:
        nonlocal tricked
        if first in ("would block", "broken") and not tricked:
            tricked = True
            raise BlockingIOError if first == "would block" else ConnectionResetError
        data = real_read(fd, size)
        served_in[data] = turn
        return data

    def write(fd: int, data: bytes) -> int:
        nonlocal tricked
        if first == "taken in part" and not tricked:
            tricked = True
            return real_write(fd, data[:1])
        return real_write(fd, data)

    said = {"held": b"DESCO", "a word": b"DESCONEXION\n"}.get(first, b"first\n")
    pump = Pump(Events())
    async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as stack:
        results: list[object] = []
        clients = [
            await stack.enter_async_context(await carried_pair(pump, nursery, results))
            for _ in range(4)
        ]
        monkeypatch.setattr(pump_module, "perf_counter", clock)
        monkeypatch.setattr(pump_module, "read", read)
        monkeypatch.setattr(pump_module, "write", write)
        if first == "the end":
            await clients[0].send_eof()
        else:
            await clients[0].send_all(said)
        for number, client in enumerate(clients[1:]):
            await client.send_all(b"other %d\n" % number)
        nursery.start_soon(pump.run)
        for number, client in enumerate(clients[1:]):
            assert await read_exactly(client, 8) == b"OTHER %d\n" % number
        monkeypatch.undo()
        nursery.cancel_scope.cancel()
    pump.close()
    others = {data: turn for data, turn in served_in.items() if data.startswith(b"other")}
    assert set(others.values()) == {2}  # all in the first turn, after one look at the clock
    assert len(others) == 3


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors cannot be counted")
def test_a_pump_that_is_closed_holds_no_descriptor() -> None:
    def descriptors() -> list[Path]:
        return sorted(Path("/proc/self/fd").iterdir())

    gc.collect()
    before = descriptors()
    pump = Pump(Events())
    assert len(descriptors()) == len(before) + 1
    pump.close()
    assert descriptors() == before


async def test_messages_moved_by_the_pump_are_told_like_any_others() -> None:
    told = {}
    for pump in (True, False):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(running, "PUMP", pump)
            async with running_server() as server, await server.connect() as stream:
                for message in (b"hola\n", b"uno\ndos\n", b"DESCO\n", b"DESCONEXION\n"):
                    await stream.send_all(message)
                    await stream.receive_some()
                await server.told.wait_for("replied", 5)
                told[pump] = [
                    (event, fields.get("text"))
                    for event, fields in server.told.events
                    if event in ("received", "replied", "leaving")
                ]
    assert told[True] == told[False]
