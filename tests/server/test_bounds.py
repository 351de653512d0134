"""Bounds that a connection keeps, in memory and in time."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tcpecho_trio.dialects import ADMIN, SALUTATION, Dialect
from tcpecho_trio.server import Events, Registry, Settings, events
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.conversation import QUIET_PERIOD, RECEIVE_SIZE, REPLY_SIZE
from tcpecho_trio.server.drain import PEERS_BUFFER
from tcpecho_trio.server.journal import Journal
from tcpecho_trio.server.settings import DRAIN_GRACE
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.server.traffic import COMMAND_PIECE
from tcpecho_trio.server.write_timeout import PIECE
from tests.support.running import Told
from tests.support.wire import over, served


class Recorded:
    """A stream with one chunk to read, that keeps the sizes of what it is sent."""

    def __init__(self, chunk: bytes) -> None:
        self.chunks = [chunk, b""]
        self.sizes: list[int] = []
        self.sent = b""

    async def receive_some(self, size: int) -> bytes:
        assert size <= RECEIVE_SIZE
        await trio.lowlevel.checkpoint()
        return self.chunks.pop(0)

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.sent += data

    async def send_eof(self) -> None: ...


class Whole(Recorded):
    """The same, that is given what is due at a time as a whole."""

    patient = True

    async def send_all(self, data: bytes) -> None:
        await super().send_all(data)
        self.sizes.append(len(data))


class Listed:
    """A client that the server lists."""

    def __init__(self, number: int) -> None:
        name = f"192.0.2.1:{number:05}"
        self.info = ConnectionInfo(number, name, name, "here:1")
        self.stats = ConnectionStats(0.0)

    closing = None

    def wake(self) -> None: ...

    def dismiss(self) -> None: ...


@pytest.mark.parametrize(
    ("dialect", "chunk"),
    [(ADMIN, b"LISTAR\n" * 500), (SALUTATION, b"hola servidor\n" * 30_000)],
    ids=["LISTAR", "hola servidor"],
)
async def test_replies_to_a_flood_of_words_never_stand_in_memory_all_at_once(
    dialect: Dialect, chunk: bytes
) -> None:
    registry = Registry()
    for _ in range(100):
        registry.open(Listed(registry.accept("here")))
    stream = Whole(chunk)
    await over(stream, Settings(dialect=dialect), registry=registry).run()
    words = chunk.count(b"\n")
    # The longest reply is a list of 101 clients: the bound may be overrun by one.
    assert max(stream.sizes) < REPLY_SIZE + 2500
    assert stream.sent.count(b"192.0.2.1:00042") == (words if dialect is ADMIN else 0)
    # Nor is each reply a send of its own: that would cost ten times as much.
    assert len(stream.sizes) < words / 10


async def test_a_long_message_without_a_line_feed_is_one_message_whatever_word_it_holds() -> None:
    chunk = b"x" * 2 * COMMAND_PIECE + b" DESCONEXION!"
    stream = Whole(chunk)
    connection = over(stream)
    await connection.run()
    assert stream.sent == chunk.upper()
    assert connection.stats.messages_in == 1


async def test_a_slow_reader_that_pauses_before_it_asks_again_is_not_idle(
    autojump_clock: MockClock,
) -> None:
    text = b"x" * 10 * PIECE + b"\n"
    async with served(idle_timeout=60, lockstep=True) as wire:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.say, text)
            received = b""
            while len(received) < len(text):
                await trio.sleep(20)  # the mock clock's
                received += await wire.stream.receive_some(PIECE)
        await trio.sleep(59)  # since it took the last of the reply
        await wire.say(b"adios\n")
        await wire.hear(b"ADIOS\n")


async def test_a_client_that_is_never_quiet_does_not_hold_up_the_drain(
    autojump_clock: MockClock,
) -> None:
    answered = 0
    async with served() as wire:
        await wire.say(b"hola\n")
        await wire.hear(b"HOLA\n")
        start = trio.current_time()
        wire.drain()
        with trio.move_on_after(60):
            while True:
                await trio.sleep(QUIET_PERIOD / 5)  # the mock clock's
                await wire.say(b"hola\n")
                if await wire.stream.receive_some(5) != b"HOLA\n":
                    break
                answered += 1
        taken = trio.current_time() - start
    assert wire.ending() == "drained"
    # As long as something may be on its way it is waited for; after that, not any more.
    assert DRAIN_GRACE <= taken < DRAIN_GRACE + 3 * QUIET_PERIOD
    assert answered >= DRAIN_GRACE / QUIET_PERIOD
    assert answered * 5 < PEERS_BUFFER


async def test_a_quiet_client_is_let_go_a_quiet_period_after_the_drain_began(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await wire.say(b"hola\n")
        await wire.hear(b"HOLA\n")
        start = trio.current_time()
        wire.drain()
        assert await wire.hear_end() == b""
        assert trio.current_time() - start == pytest.approx(QUIET_PERIOD)


def test_the_journal_forgets_a_connection_that_is_closed() -> None:
    """Else it would remember one number for each client that ever asked and left."""

    async def main() -> None:
        told = Told()
        published = Events()
        Journal(told).listen_to(published)
        client = ConnectionInfo(1, "p:1", "p:1", "here:1")
        published.received(client, b"hola\n", 1)
        stats = ConnectionStats(0.0)
        published.publish(events.ConnectionClosed(client, CloseReason.RESET, stats, 1.0))
        # A reply is told if its message was, as long as that is remembered.
        published.replied(client, b"HOLA\n", 1)
        assert [name for name, _ in told.events] == ["received", "closed"]

    trio.run(main)


async def test_cut_while_only_the_clients_close_is_waited_for_it_was_served(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await wire.say(b"DESCONEXION\n")
        assert await wire.hear_end() == "Conexión cerrada\n".encode()
        wire.nursery.cancel_scope.cancel()  # as at the drain's deadline
    assert wire.ending() == "disconnected"
    assert (wire.registry.served, wire.registry.aborted) == (1, 0)
