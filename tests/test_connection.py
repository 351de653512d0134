"""One connection over memory streams, where the clock can be wound."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
import trio.testing
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from tcpecho_trio.dialects import ADMIN, SALUTATION, STANDARD, Dialect
from tcpecho_trio.server import Journal, Lifecycle, Registry, RemoteShutdown, Settings
from tcpecho_trio.server.connection import (
    DRAIN_BYTES,
    LINGER_TIME,
    QUIET_PERIOD,
    REPLY_SIZE,
    Connection,
)
from tcpecho_trio.server.journal import MAX_LINES
from tcpecho_trio.texts import ENGLISH
from tests.running import Told, read_all, read_exactly


@dataclass
class Wire:
    """The client's end of a connection that is being served."""

    stream: trio.StapledStream  # type: ignore[type-arg]
    lifecycle: Lifecycle
    registry: Registry
    told: Told
    nursery: trio.Nursery
    settings: Settings

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def hear(self, expected: bytes) -> None:
        assert await read_exactly(self.stream, len(expected)) == expected

    async def hear_end(self) -> bytes:
        return await read_all(self.stream)

    def drain(self) -> None:
        self.lifecycle.drain("test")
        for client in self.registry:
            client.drain()

    def ending(self) -> str:
        (closed,) = self.told.named("closed")
        return str(closed["reason"])


@asynccontextmanager
async def served(
    dialect: Dialect = STANDARD,
    *,
    trusted: bool = True,
    remote_shutdown: RemoteShutdown = RemoteShutdown.LOOPBACK,
) -> AsyncGenerator[Wire, None]:
    ours, theirs = memory_stream_pair()
    settings = Settings(dialect=dialect, remote_shutdown=remote_shutdown)
    told = Told()
    lifecycle, registry = Lifecycle(), Registry()
    connection = Connection(
        theirs,
        peer="peer:1",
        trusted=trusted,
        settings=settings,
        lifecycle=lifecycle,
        registry=registry,
        journal=Journal(told, ENGLISH),
    )

    async def run() -> None:
        await connection.run()
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield Wire(ours, lifecycle, registry, told, nursery, settings)
        await ours.aclose()
    assert len(registry) == 0


async def test_an_unframed_word_is_obeyed_after_a_quiet_period(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"DESCONEXION")
        start = trio.current_time()
        await wire.hear("Conexión cerrada".encode())
        assert trio.current_time() - start == pytest.approx(QUIET_PERIOD)
        assert await wire.hear_end() == b""
        await wire.stream.aclose()
    assert wire.ending() == "left"


async def test_ordinary_text_is_answered_without_waiting(autojump_clock: MockClock) -> None:
    async with served() as wire:
        start = trio.current_time()
        for text in (b"hola", b"hola\n", b"a\nb\nc"):
            await wire.say(text)
            await wire.hear(text.upper())
        assert trio.current_time() == start


async def test_a_start_of_a_word_is_answered_after_a_quiet_period(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await wire.say(b"DESCO")
        await wire.hear(b"DESCO")
        await wire.say(b"hola")
        await wire.hear(b"HOLA")


async def test_a_word_in_two_pieces_within_the_quiet_period_is_one_word(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await wire.say(b"DESCO")
        await trio.sleep(QUIET_PERIOD / 2)  # the mock clock's
        await wire.say(b"NEXION")
        assert await wire.hear_end() == "Conexión cerrada".encode()


async def test_no_farewell_to_a_client_that_has_already_left(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"DESCONEXION")
        await wire.stream.send_eof()
        assert await wire.hear_end() == b""
    assert wire.ending() == "left"


async def test_end_of_input_answers_what_is_held_and_closes(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"hola DESCO\nDESCO")
        await wire.stream.send_eof()
        assert await wire.hear_end() == b"HOLA DESCO\nDESCO"
    assert wire.ending() == "eof"


async def test_a_fixed_text_carries_the_terminator_of_its_command(
    autojump_clock: MockClock,
) -> None:
    async with served(SALUTATION) as wire:
        await wire.say(b"hola servidor\r\nhola servidor\nhola cliente\n")
        await wire.hear(b"HOLA CLIENTE\r\nHOLA CLIENTE\nHOLA CLIENTE\n")


async def test_many_messages_in_one_segment_are_answered_in_one_send(
    autojump_clock: MockClock,
) -> None:
    async with served(SALUTATION) as wire:
        await wire.say(b"x\nhola servidor\n" * 100)
        await wire.hear(b"X\nHOLA CLIENTE\n" * 100)
    assert len(wire.told.named("replied")) == MAX_LINES  # of one send the first are told


async def test_replies_far_longer_than_their_chunk_are_held_up_by_a_client_that_does_not_read(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = lockstep_stream_pair()
    sizes: list[int] = []

    class Watched:
        """The server's end, noting how much each send holds."""

        receive_some, send_eof = theirs.receive_some, theirs.send_eof

        async def send_all(self, data: bytes) -> None:
            sizes.append(len(data))
            await theirs.send_all(data)

    connection = Connection(
        Watched(),  # type: ignore[arg-type]
        peer="peer:1",
        trusted=True,
        settings=Settings(dialect=ADMIN),
        lifecycle=Lifecycle(),
        registry=Registry(),
        journal=Journal(Told(), ENGLISH),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        await ours.receive_some()
        with trio.move_on_after(10):  # it is taken, and then nobody reads
            await ours.send_all(b"LISTAR\n" * 9000)
        await trio.testing.wait_all_tasks_blocked()
        assert len(sizes) == 2
        assert sizes[1] < REPLY_SIZE + 1000
        nursery.cancel_scope.cancel()


async def test_the_admin_greets_lists_and_lets_go(autojump_clock: MockClock) -> None:
    async with served(ADMIN) as wire:
        await wire.hear("Conexión exitosa. Usa 'LISTAR' para ver clientes.".encode())
        await wire.say(b"LISTAR")
        await wire.hear(b"Clientes conectados:\npeer:1")
        await wire.say(b"LISTAR\r\n")
        await wire.hear(b"Clientes conectados:\r\npeer:1\r\n")
        await wire.say(b"APAGAR\n")
        assert await wire.hear_end() == b"Desconectado del servidor.\n"
    assert wire.ending() == "left"
    assert not wire.lifecycle.draining


@pytest.mark.parametrize(
    ("trusted", "allowed", "obeyed"),
    [
        (True, RemoteShutdown.LOOPBACK, True),
        (False, RemoteShutdown.LOOPBACK, False),
        (True, RemoteShutdown.NEVER, False),
        (False, RemoteShutdown.ANYWHERE, True),
    ],
)
async def test_a_remote_shutdown_is_obeyed_only_from_where_it_may_come(
    autojump_clock: MockClock, trusted: bool, allowed: RemoteShutdown, obeyed: bool
) -> None:
    async with served(ADMIN, trusted=trusted, remote_shutdown=allowed) as wire:
        await wire.hear(ADMIN.greeting.encode())
        await wire.say(b"DESCONEXION\nhola\n")
        if obeyed:
            assert await wire.hear_end() == "SERVIDOR CERRÁNDOSE...\n".encode()
        else:
            refusal = "ERROR: el apagado remoto no está permitido desde esta dirección\n"
            await wire.hear(refusal.encode() + b"HOLA\n")
    assert wire.lifecycle.draining == obeyed
    assert len(wire.told.named("shutdown_refused")) == (not obeyed)


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
        self.sent = b""

    async def receive_some(self, _: int) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.chunks:
            await trio.sleep_forever()
        return self.chunks.pop(0)

    async def send_all(self, data: bytes) -> None:
        await trio.sleep(1)
        self.sent += data

    async def send_eof(self) -> None: ...


def draining(stream: Backlogged) -> Connection:
    lifecycle = Lifecycle()
    lifecycle.drain("test")
    return Connection(
        stream,  # type: ignore[arg-type]
        peer="peer:1",
        trusted=True,
        settings=Settings(),
        lifecycle=lifecycle,
        registry=Registry(),
        journal=Journal(Told(), ENGLISH),
    )


async def test_a_slow_reader_gets_all_that_it_had_asked_for_when_the_drain_began(
    autojump_clock: MockClock,
) -> None:
    stream = Backlogged([b"hola\n"] * 20)
    await draining(stream).run()
    assert stream.sent == b"HOLA\n" * 20


async def test_who_never_stops_sending_does_not_hold_up_the_drain(
    autojump_clock: MockClock,
) -> None:
    chunk = b"x" * 65535 + b"\n"
    stream = Backlogged([chunk] * 1000)
    await draining(stream).run()
    assert DRAIN_BYTES - len(chunk) <= len(stream.sent) <= DRAIN_BYTES
    assert stream.chunks != []


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
    assert wire.ending() == "left"


async def test_the_quiet_flush_and_the_drain_at_the_same_moment_lose_nothing(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await wire.say(b"DESCO")
        await trio.sleep(QUIET_PERIOD)
        wire.drain()
        assert await wire.hear_end() == b"DESCO"


async def test_lingering_waits_for_the_peer_but_not_for_ever(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"DESCONEXION\nlate\n")
        assert await wire.hear_end() == "Conexión cerrada\n".encode()
        start = trio.current_time()
        await wire.told.wait_for("closed")
        assert trio.current_time() - start == pytest.approx(LINGER_TIME)


async def test_lingering_ends_with_a_peer_that_floods(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"DESCONEXION\n")
        await wire.hear_end()
        start = trio.current_time()
        await wire.say(bytes(300 * 1024))
        await wire.told.wait_for("closed")
        assert trio.current_time() == start


async def test_a_failing_handler_is_our_bug_and_costs_nobody_else(
    autojump_clock: MockClock,
) -> None:
    class Broken(Registry):
        def peers(self) -> list[str]:
            raise RuntimeError("a bug")

    ours, theirs = memory_stream_pair()
    told = Told()
    connection = Connection(
        theirs,
        peer="peer:1",
        trusted=True,
        settings=Settings(dialect=ADMIN),
        lifecycle=Lifecycle(),
        registry=Broken(),
        journal=Journal(told, ENGLISH),
    )
    await ours.send_all(b"LISTAR\n")
    await connection.run()
    (crash,) = told.named("crashed")
    assert "RuntimeError: a bug" in crash["traceback"]
    assert told.named("closed") == [{"peer": "peer:1", "reason": "crashed"}]
