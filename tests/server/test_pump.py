"""The fast path against the portable one, and both against the model."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpecho_trio.dialects import ADMIN, SALUTATION, STANDARD, Action, Dialect
from tcpecho_trio.protocol import Foreign, Protocol
from tcpecho_trio.server import Events, Settings
from tcpecho_trio.server import pump as pump_module
from tcpecho_trio.server.connection import QUIET_PERIOD
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.pump import BATCH, Pump, pump_exists
from tcpecho_trio.server.stats import ConnectionStats
from tests.support import running
from tests.support.naive_model import NaiveModel
from tests.support.protocol_inputs import chunks, lines_together, openings, unframed_messages, words
from tests.support.running import Running, read_exactly, running_server

pytestmark = pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")

RESET = struct.pack("ii", 1, 0)
STALL = (b"a line for a reader that stalls " * 800 + b"\n") * 40
"""A megabyte: more than the sockets between an idle reader and the server hold."""

Step = tuple[Literal["send"], bytes] | tuple[Literal["pause", "stall"], None]
End = Literal["half-close", "reset", "drain"]


@dataclass
class Schedule:
    """What one client does, step by step."""

    dialect: Dialect
    steps: list[Step]
    end: End


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Framed from the first line on; or unframed, and then each message has its pause."""
    dialect = draw(st.sampled_from([STANDARD, SALUTATION, ADMIN]))
    steps: list[Step] = []
    if draw(st.booleans()):
        steps.append(("send", b"hola\n"))
        one: st.SearchStrategy[Any] = st.one_of(
            st.tuples(st.just("send"), st.one_of(chunks, lines_together).filter(bool)),
            st.sampled_from([("pause", None), ("stall", None)]),
        )
        steps += draw(st.lists(one, max_size=6))
    else:
        for message in draw(st.lists(st.one_of(words, openings, unframed_messages), max_size=3)):
            steps += [("send", message), ("pause", None)]
    return Schedule(dialect, steps, draw(st.sampled_from(["half-close", "reset", "drain"])))


def expected(schedule: Schedule) -> tuple[bytes, bool]:
    """Everything the client is told when nothing is lost, and whether it is cut after that."""
    model = NaiveModel(schedule.dialect)
    for kind, data in schedule.steps:
        if kind == "send":
            assert data is not None
            model.data(data)
        elif kind == "stall":
            model.data(b"\n")  # then, whole lines of no dialect's words, too many for the model
            if not model.finished:
                model.outputs.append(STALL.upper())
        else:
            model.quiet()
    said = len(model.outputs)
    model.eof()
    told = schedule.dialect.greeting.encode()
    for place, output in enumerate(model.outputs):
        if isinstance(output, bytes):
            told += output
            continue
        if isinstance(output, Foreign):
            return told, True
        terminator = output.terminator
        text = output.command.text.encode()
        if output.command.action is Action.LIST:
            text += (terminator or b"\n") + b"PEER"
        # A word that only the client's own end of input decides gets no farewell.
        if place < said or schedule.end == "drain" or not output.command.leaves:
            told += text + terminator
        if output.command.leaves:
            break
    return told, schedule.end == "reset"


async def play(server: Running, schedule: Schedule) -> bytes:
    """The client's side of the schedule; what it was told."""
    received = bytearray()
    reading = trio.Event()
    reading.set()
    stream = await server.connect()
    peer = "{}:{}".format(*stream.socket.getsockname()).encode()

    async def read() -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await reading.wait()
                data = await stream.receive_some(8192)
                if not data:
                    return
                received.extend(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        with contextlib.suppress(trio.BrokenResourceError):
            for kind, data in schedule.steps:
                if kind == "send":
                    assert data is not None
                    await stream.send_all(data)
                elif kind == "stall":
                    reading = trio.Event()  # the reader stops at its next look
                    nursery.start_soon(stall_over, reading)
                    await stream.send_all(b"\n" + STALL)
                else:
                    await trio.sleep(QUIET_PERIOD * 1.6)
            if schedule.end == "half-close":
                await stream.send_eof()
            elif schedule.end == "drain":
                server.lifecycle.drain()
        if schedule.end == "reset":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            nursery.cancel_scope.cancel()
    await stream.aclose()
    return bytes(received).replace(peer, b"PEER")


async def stall_over(reading: trio.Event) -> None:
    """The reader that stalled goes on after a while."""
    await trio.sleep(0.02)
    reading.set()


@settings(max_examples=30)
@given(schedule=schedules())
def test_both_paths_tell_a_client_the_same(schedule: Schedule) -> None:
    async def main(pump: bool) -> bytes:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(running, "PUMP", pump)
            async with running_server(Settings(dialect=schedule.dialect)) as server:
                return await play(server, schedule)

    whole, cut = expected(schedule)
    for pump in (True, False):
        told = trio.run(main, pump)
        if cut:
            assert whole.startswith(told)
        else:
            assert told == whole


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
            monkeypatch.setattr(os, failing, broken)
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
        monkeypatch.setattr(os, "read", read)
        monkeypatch.setattr(os, "write", write)
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
        monkeypatch.setattr(os, "read", read_one_message)
        for client in clients:
            os.write(client.socket.fileno(), b"hola\n" * 10)  # before the pump can look
        for client in clients:
            await read_exactly(client, 50)
        monkeypatch.undo()
        nursery.cancel_scope.cancel()
    turns = [order[start : start + 7] for start in range(0, 70, 7)]
    assert len(set(order)) == 7
    assert all(sorted(turn) == sorted(set(order)) for turn in turns)


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
