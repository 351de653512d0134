"""One connection over memory streams, where the clock can be wound."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from tcpecho_trio.dialects import ADMIN, SALUTATION
from tcpecho_trio.server import Events, Registry, RemoteShutdown, Settings
from tcpecho_trio.server.closing import LINGER_TIME
from tcpecho_trio.server.conversation import QUIET_PERIOD, REPLY_SIZE
from tcpecho_trio.server.events import Event, RepliesSent
from tcpecho_trio.server.journal import MAX_LINES
from tests.support.running import Told, read_all
from tests.support.steps import counted_steps
from tests.support.wire import over, served


async def test_an_unframed_word_is_obeyed_after_a_quiet_period(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"DESCONEXION")
        start = trio.current_time()
        await wire.hear("Conexión cerrada".encode())
        assert trio.current_time() - start == pytest.approx(QUIET_PERIOD) == 0.05
        assert await wire.hear_end() == b""
        await wire.stream.aclose()
    assert wire.ending() == "disconnected"


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
    assert wire.ending() == "disconnected"


async def test_a_word_without_a_farewell_is_a_message_without_a_reply(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await wire.say(b"hola")
        await wire.hear(b"HOLA")
        await wire.say(b"DESCONEXION")
        await wire.stream.send_eof()
        assert await wire.hear_end() == b""
    totals = wire.registry.totals()
    assert (totals.messages_in, totals.messages_out) == (2, 1)


async def test_an_end_is_answered_with_an_end(autojump_clock: MockClock) -> None:
    ends = 0

    class Ended:
        """A client that has ended."""

        async def receive_some(self, _: int) -> bytes:
            await trio.lowlevel.checkpoint()
            return b""

        async def send_eof(self) -> None:
            nonlocal ends
            ends += 1
            await trio.lowlevel.checkpoint()

    await over(Ended()).run()
    assert ends == 1


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


async def test_who_has_heard_enough_is_told_no_reply_to_what_came_since(
    autojump_clock: MockClock,
) -> None:
    events, heard = Events(), list[str]()

    def hear(event: Event) -> None:
        heard.append(event.name)

    events.subscribe(hear, messages=True)
    async with served(events=events) as wire:
        for line in (b"uno\n", b"dos\n", b"tres\n"):
            await wire.say(line)
            await wire.hear(line.upper())
            events.stop_asking(hear)
    assert heard == ["connected", "received", "replied", "closed"]
    assert events.begun == 3  # what nobody is told of is counted


async def test_a_chunk_without_a_reply_is_told_of_as_received_only(
    autojump_clock: MockClock,
) -> None:
    async with served() as wire:
        await wire.say(b"hola\n")
        await wire.hear(b"HOLA\n")
        await wire.say(b"DESCO")
        await trio.testing.wait_all_tasks_blocked()
        assert [name for name, _ in wire.told.events] == [
            *("connected", "received", "replied", "received"),
        ]


async def test_messages_are_counted_only_where_somebody_looks(autojump_clock: MockClock) -> None:
    for counting in (False, True):
        events = Events()
        events.subscribe(lambda _: None, counting=counting)
        async with served(events=events) as wire:
            await wire.say(b"hola\n")
            await wire.hear(b"HOLA\n")
        totals = wire.registry.totals()
        assert (totals.bytes_in, totals.messages_in) == (5, 1 if counting else None)


async def test_messages_are_answered_with_the_last_piece_of_their_replies(
    autojump_clock: MockClock,
) -> None:
    class Long(Registry):
        def clients(self) -> list[str]:
            return ["x" * REPLY_SIZE]

    events, answered = Events(), list[int]()

    def hear(event: Event) -> None:
        if isinstance(event, RepliesSent):
            answered.append(event.messages)

    events.subscribe(hear, messages=True)
    ours, theirs = memory_stream_pair()
    connection = over(theirs, Settings(dialect=ADMIN), registry=Long(), events=events)
    await ours.send_all(b"LISTAR\nLISTAR\nLISTAR\n")
    await ours.send_eof()
    await connection.run()
    await theirs.aclose()
    assert answered == [0, 0, 0, 3]  # the greeting first
    listing = f"{ADMIN.words[b'LISTAR'].text}\n{'x' * REPLY_SIZE}\n"
    assert await read_all(ours) == (ADMIN.greeting + 3 * listing).encode()


async def test_a_client_that_says_nothing_costs_nothing(autojump_clock: MockClock) -> None:
    async with served() as wire:
        await wire.say(b"hola\n")
        await wire.hear(b"HOLA\n")
        await trio.testing.wait_all_tasks_blocked()
        with counted_steps() as steps:
            await trio.sleep(3600)  # the mock clock's
        assert steps.count == 1  # our own


async def test_a_connection_that_is_cut_passes_the_cancellation_on(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = lockstep_stream_pair()  # its sends wait until they are received
    told = Told()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(over(theirs, told=told).run)
            await ours.send_all(b"DESCONEXION\n")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    (closed,) = told.named("closed")
    assert closed["reason"] == "aborted"  # nobody has heard the farewell


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

    connection = over(Watched(), Settings(dialect=ADMIN))
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
    assert wire.ending() == "disconnected"
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
    refusals = wire.told.named("shutdown_refused")
    assert [told["client"] for told in refusals] == ["peer:1"] * (not obeyed)


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
        def clients(self) -> list[str]:
            raise RuntimeError("a bug")

    ours, theirs = memory_stream_pair()
    told = Told()
    connection = over(theirs, Settings(dialect=ADMIN), registry=Broken(), told=told)
    await ours.send_all(b"LISTAR\n")
    await connection.run()
    (crash,) = told.named("crashed")
    assert "RuntimeError: a bug" in crash["traceback"]
    (closed,) = told.named("closed")
    assert (closed["client"], closed["reason"]) == ("peer:1", "crashed")
