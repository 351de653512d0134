"""How long a connection may be silent, and how long it may leave its replies unread."""

from __future__ import annotations

import socket
import struct

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tcpecho_trio.dialects import ADMIN
from tcpecho_trio.server.conversation import QUIET_PERIOD
from tcpecho_trio.server.write_timeout import PIECE, WriteTimeout, send_all
from tests.support.wire import served

RESET = struct.pack("ii", 1, 0)


async def test_a_silent_client_is_let_go_at_the_idle_timeout(autojump_clock: MockClock) -> None:
    async with served(idle_timeout=60) as wire:
        start = trio.current_time()
        assert await wire.hear_end() == b""
        assert trio.current_time() - start == pytest.approx(60 + QUIET_PERIOD)  # a last look
    assert wire.ending() == "idle"


async def test_whoever_speaks_in_time_stays(autojump_clock: MockClock) -> None:
    async with served(idle_timeout=60) as wire:
        for _ in range(10):
            await trio.sleep(59)  # the mock clock's
            await wire.say(b"hola\n")
            await wire.hear(b"HOLA\n")
        start = trio.current_time()
        assert await wire.hear_end() == b""
        assert trio.current_time() - start == pytest.approx(60 + QUIET_PERIOD)  # a last look
    assert wire.ending() == "idle"


async def test_what_an_idle_client_had_begun_to_say_is_answered(autojump_clock: MockClock) -> None:
    async with served(idle_timeout=60) as wire:
        await wire.say(b"hola\nDESCO")
        assert await wire.hear_end() == b"HOLA\nDESCO"
    assert wire.ending() == "idle"


async def test_an_idle_timeout_within_a_quiet_period_loses_nothing(
    autojump_clock: MockClock,
) -> None:
    async with served(idle_timeout=0.01) as wire:
        await wire.say(b"DESCONEXION")
        assert await wire.hear_end() == "Conexión cerrada".encode()
    assert wire.ending() == "disconnected"


async def test_a_clock_that_jumps_ends_who_was_silent_and_nothing_else(
    mock_clock: MockClock,
) -> None:
    async with served(idle_timeout=3600) as silent, served(idle_timeout=0) as patient:
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(365 * 24 * 3600)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(QUIET_PERIOD)
        assert await silent.hear_end() == b""
        await patient.say(b"hola\n")
        await patient.hear(b"HOLA\n")
        await silent.stream.aclose()
        await patient.stream.aclose()
        await patient.told.wait_for("closed")
    assert (silent.ending(), patient.ending()) == ("idle", "eof")


async def test_a_client_that_reads_nothing_is_cut_at_the_write_timeout(
    autojump_clock: MockClock,
) -> None:
    async with served(write_timeout=30, lockstep=True) as wire:
        start = trio.current_time()
        await wire.say(b"hola\n")
        await wire.told.wait_for("closed")
        assert trio.current_time() - start == pytest.approx(30)
    assert wire.ending() == "write_timeout"


async def test_a_client_that_reads_a_piece_now_and_then_is_kept(autojump_clock: MockClock) -> None:
    text = b"x" * 10 * PIECE + b"\n"
    async with served(write_timeout=30, lockstep=True) as wire:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.say, text)
            received = b""
            while len(received) < len(text):
                await trio.sleep(20)
                received += await wire.stream.receive_some(PIECE)
        assert received == text.upper()
    assert wire.ending() == "eof"


async def test_who_takes_replies_is_not_silent(autojump_clock: MockClock) -> None:
    text = b"x" * 10 * PIECE + b"\n"
    async with served(idle_timeout=60, lockstep=True) as wire:
        async with trio.open_nursery() as nursery:

            async def say() -> None:
                await wire.say(text)
                await wire.say(b"adios\n")

            nursery.start_soon(say)
            received = b""
            while len(received) < len(text) + 6:
                await trio.sleep(20)
                received += await wire.stream.receive_some(PIECE)
        assert received == text.upper() + b"ADIOS\n"


async def test_a_greeting_that_nobody_reads_is_not_waited_for_for_ever(
    autojump_clock: MockClock,
) -> None:
    async with served(ADMIN, write_timeout=30, lockstep=True) as wire:
        await wire.told.wait_for("closed")
    assert wire.ending() == "write_timeout"


@pytest.mark.parametrize(
    "opening", [b"POST / HTTP/1.1\r\nX: y\r\n\r\nDESCONEXION", b"\x16\x03\x01"]
)
async def test_another_protocol_is_cut_where_a_word_has_power(
    autojump_clock: MockClock, opening: bytes
) -> None:
    async with served(ADMIN) as wire:
        await wire.hear(ADMIN.greeting.encode())
        await wire.say(opening)
        assert await wire.hear_end() == b""
        assert not wire.lifecycle.draining
    assert wire.ending() == "foreign"
    (told,) = wire.told.named("foreign")
    assert told["client"] == "peer:1"
    assert told["protocol"] == ("TLS" if opening[0] == 0x16 else "HTTP")


# From here on real sockets: the kernel decides when a full one takes more.

PERIOD = 0.5
"""Short, because nobody can wind the kernel's clock."""


async def sockets() -> tuple[trio.SocketStream, trio.SocketStream]:
    """A TCP connection: the sender's end with a large send buffer, the receiver's with little."""
    with trio.socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        sender = await trio.open_tcp_stream(*listener.getsockname())
        receiver, _ = await listener.accept()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
    return sender, trio.SocketStream(receiver)


async def given_up(sender: trio.SocketStream, data: bytes, period: float = PERIOD) -> bool:
    try:
        await send_all(sender, data, period)
    except WriteTimeout:
        return True
    return False


async def test_a_socket_whose_peer_reads_nothing_is_given_up() -> None:
    sender, receiver = await sockets()
    async with sender, receiver:
        assert await given_up(sender, bytes(10_000_000))


async def sipped(size: int, period: float = PERIOD) -> tuple[bool, float]:
    """Send to a peer that reads so much fifty times a second.

    Returns:
      Whether it was given up, and its longest pause: a busy machine makes it a slower reader.
    """
    sender, receiver = await sockets()
    longest = 0.0

    async def sip() -> None:
        nonlocal longest
        last = trio.current_time()
        while await receiver.receive_some(size):  # at a pace of its own
            await trio.sleep(0.02)  # fifty times a second
            now = trio.current_time()
            longest, last = max(longest, now - last), now

    async with sender, receiver, trio.open_nursery() as nursery:
        nursery.start_soon(sip)
        # 200 KB a second: one and a half seconds for what the sockets do not hold, or for ever.
        gave_up = await given_up(sender, bytes(300_000), period)
        nursery.cancel_scope.cancel()
    return gave_up, longest


async def test_a_socket_whose_peer_sips_is_kept_if_it_is_worth_waiting() -> None:
    period = PERIOD
    while True:
        gave_up, longest_pause = await sipped(4096, period)
        if longest_pause < period / 4:
            break
        period *= 2  # on a busy machine it was no peer that reads fifty times a second
    assert not gave_up


async def test_a_socket_whose_peer_sips_a_byte_at_a_time_is_given_up() -> None:
    gave_up, _ = await sipped(1)
    assert gave_up


async def test_a_reset_while_sending_is_a_broken_connection() -> None:
    sender, receiver = await sockets()
    async with sender, receiver, trio.open_nursery() as nursery:

        async def reset() -> None:
            await receiver.receive_some(1)
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            await receiver.aclose()

        nursery.start_soon(reset)
        with pytest.raises(trio.BrokenResourceError, match=r"broken: .*(reset|pipe)"):
            await send_all(sender, bytes(10_000_000), PERIOD)


async def test_a_send_is_always_a_checkpoint() -> None:
    ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
    async with ours, theirs:
        with trio.testing.assert_checkpoints():
            await send_all(ours, b"hola", 30)
        assert await theirs.receive_some() == b"hola"


async def test_pieces_of_a_word_keep_a_client_though_nothing_is_answered(
    autojump_clock: MockClock,
) -> None:
    async with served(idle_timeout=60) as wire:
        await wire.say(b"hola\n")
        await wire.hear(b"HOLA\n")
        for letter in (b"D", b"E", b"S", b"C"):
            await trio.sleep(40)
            await wire.say(letter)
        start = trio.current_time()
        assert await wire.hear_end() == b"DESC"
        assert trio.current_time() - start == pytest.approx(60 + QUIET_PERIOD)
    assert wire.ending() == "idle"
