"""How a connection ends when the server drains, to the very moment."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tcpecho_trio.server import Lifecycle, conversation
from tcpecho_trio.server.connection import Connection
from tcpecho_trio.server.conversation import QUIET_PERIOD, RECEIVE_SIZE
from tcpecho_trio.server.drain import PEERS_BUFFER, on_its_way
from tcpecho_trio.server.faults import FaultyStream
from tests.support.running import read_all, read_exactly, running_server
from tests.support.wire import over, served


async def test_an_idle_client_is_let_go_when_the_drain_begins(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"hola\n")
        await wire.hear(b"HOLA\n")
        wire.drain()
        assert await wire.hear_end() == b""
    assert wire.ending() == "drained"


async def test_a_message_that_arrives_as_the_drain_begins_is_answered(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await trio.testing.wait_all_tasks_blocked()
        await wire.say(b"adios\nDESCO")  # makes the receiving task ready to run …
        wire.drain()  # … and it is cancelled before it does
        assert await wire.hear_end() == b"ADIOS\nDESCO"
    assert wire.ending() == "drained"


class Backlogged:
    """A stream with this much unread, to a client that takes a second for each reply."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.sent = bytearray()

    async def receive_some(self, size: int) -> bytes:
        assert size <= RECEIVE_SIZE
        await trio.lowlevel.checkpoint()
        if not self.chunks:
            await trio.sleep_forever()
        return self.chunks.pop(0)

    async def send_all(self, data: bytes) -> None:
        await trio.sleep(1)  # the mock clock's
        self.sent += data

    async def send_eof(self) -> None: ...


def draining(stream: Backlogged) -> Connection:
    lifecycle = Lifecycle()
    lifecycle.drain()
    return over(stream, lifecycle=lifecycle)


async def test_a_slow_reader_gets_all_that_it_had_asked_for_when_the_drain_began(
    autojump_clock: MockClock,
) -> None:
    stream = Backlogged([b"hola\n"] * 20)
    await draining(stream).run()
    assert stream.sent == b"HOLA\n" * 20


@pytest.mark.parametrize("message", [b"x" * 65535 + b"\n", b"hola\n" * 10_000])
async def test_all_that_the_sockets_can_hold_is_answered(message: bytes) -> None:
    async with running_server() as server, await server.connect() as client:
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"
        sent, rest, stuck = 0, message, False
        while not stuck:  # nobody reads the replies, so in the end the server reads no more
            with trio.move_on_after(0.3) as waiting:
                size = await client.socket.send(rest)
                sent, rest = sent + size, rest[size:] or message
            stuck = waiting.cancelled_caught
        server.lifecycle.drain()
        assert len(await read_all(client)) == sent


async def test_who_never_stops_sending_does_not_hold_up_the_drain(
    autojump_clock: MockClock,
) -> None:
    chunk = b"x" * 65535 + b"\n"
    stream = Backlogged([chunk] * 1000)
    await draining(stream).run()
    # The last that was taken is answered, too: whoever waits for that reply has it.
    assert len(stream.sent) == PEERS_BUFFER + len(chunk)
    assert stream.chunks != []


async def test_as_much_is_answered_as_may_be_on_its_way_on_this_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Backlogged([b"hola\n"] * 100)
    monkeypatch.setattr(conversation, "on_its_way", {stream: 50}.__getitem__)
    await draining(stream).run()
    assert stream.sent == b"HOLA\n" * 11  # and the one that was taken last


async def test_more_is_answered_where_our_own_socket_holds_more() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        ours = await trio.open_tcp_stream(*listener.socket.getsockname())
        theirs = await listener.accept()
    for size in (50_000, 100_000):
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        assert size <= on_its_way(theirs) - PEERS_BUFFER <= 3 * size
    assert on_its_way(FaultyStream(theirs, (), 0)) == on_its_way(theirs)
    for end in (ours, theirs):
        await end.aclose()


async def test_a_message_within_the_quiet_period_of_the_drain_is_answered(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await trio.testing.wait_all_tasks_blocked()
        wire.drain()
        await trio.sleep(QUIET_PERIOD / 2)
        await wire.say(b"adios\n")
        assert await wire.hear_end() == b"ADIOS\n"


async def test_a_word_that_settles_in_the_drain_is_still_obeyed(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"DESCONEXION")
        await trio.sleep(QUIET_PERIOD / 2)
        wire.drain()
        assert await wire.hear_end() == "Conexión cerrada".encode()
    assert wire.ending() == "disconnected"


async def test_the_quiet_flush_and_the_drain_at_the_same_moment_lose_nothing(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await wire.say(b"DESCO")
        await trio.sleep(QUIET_PERIOD)
        wire.drain()
        assert await wire.hear_end() == b"DESCO"


async def test_an_abort_ends_the_waiting_of_the_drain_at_once(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await trio.testing.wait_all_tasks_blocked()
        wire.drain()
        for _ in range(3):  # the connection waits for the last words now
            await trio.lowlevel.checkpoint()
        start = trio.current_time()
        wire.lifecycle.abort()
        for connection in wire.registry:
            connection.wake()
        await wire.told.wait_for("closed")
        assert trio.current_time() == start
    assert wire.ending() == "aborted"
