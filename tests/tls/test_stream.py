"""The TLS stream that server and client share: what is said, and how each direction ends."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.tls.stream import PIECE, TlsStream
from tests.support.certificates import HOST
from tests.support.protocol_inputs import cuts
from tests.support.running import read_all, read_exactly
from tests.support.tls_pairs import BULK, VERSIONS, Ends, Pair, shake_hands

# Conversations


def talk(ends: Ends, said: list[bytes], answered: list[bytes], sizes: list[int]) -> None:
    """Both sides speak at once over memory streams; each hears exactly what the other said."""

    async def say(end: TlsStream, pieces: list[bytes]) -> None:
        for piece in pieces:
            await end.send_all(piece)
        await end.send_eof()

    async def hear(end: TlsStream, expected: bytes) -> None:
        heard, turn = b"", 0
        while data := await end.receive_some(sizes[turn % len(sizes)]):
            assert len(data) <= sizes[turn % len(sizes)]
            heard += data
            turn += 1
        assert heard == expected

    async def main() -> None:
        server, client = ends.over(*trio.testing.memory_stream_pair())
        await shake_hands(server, client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, client, said)
            nursery.start_soon(say, server, answered)
            nursery.start_soon(hear, server, b"".join(said))
            nursery.start_soon(hear, client, b"".join(answered))

    trio.run(main)


pieces = st.lists(st.integers(0, 40_000).map(lambda size: BULK[:size]) | st.binary(), max_size=6)


@given(data=st.data())
def test_what_is_said_is_heard_however_it_is_cut(
    each: dict[ssl.TLSVersion, Ends], data: Any
) -> None:
    ends = each[data.draw(st.sampled_from(VERSIONS))]
    sizes = data.draw(st.lists(st.sampled_from([1, 7, 500, PIECE, 65536]), min_size=1))
    if min(sizes) == 1:
        sizes.append(65536)
    talk(ends, data.draw(pieces), data.draw(pieces), sizes)


@given(data=st.data())
def test_how_the_network_cuts_the_records_never_shows(
    each: dict[ssl.TLSVersion, Ends], data: Any
) -> None:
    ends = each[data.draw(st.sampled_from(VERSIONS))]
    said = data.draw(st.binary(max_size=50)) + BULK[: data.draw(st.sampled_from([0, 100, 20_000]))]

    async def main() -> None:
        server, client = ends.over(*trio.testing.memory_stream_pair())
        await shake_hands(server, client)
        client.ssl_object.write(said or b"x")
        with contextlib.suppress(ssl.SSLError):
            client.ssl_object.unwrap()
        for piece in data.draw(cuts(client.outgoing.read())):
            await client.below.send_all(piece)
        assert await read_all(server) == (said or b"x")

    trio.run(main)


async def test_a_reception_that_is_cancelled_loses_nothing(modern: Ends) -> None:
    async with modern.connected() as (server, client):
        client.ssl_object.write(b"hola y adios")
        heard = b""
        for byte in client.outgoing.read():
            await client.below.send_all(bytes([byte]))
            with trio.move_on_after(0):  # which is over before the record is whole
                heard += await server.receive_some(5)
        assert heard + await read_exactly(server, 12 - len(heard)) == b"hola y adios"


async def test_receiving_and_sending_are_checkpoints(modern: Ends) -> None:
    async with modern.connected() as (server, client):
        await client.send_all(b"hola")
        await server.receive_some(1)
        with trio.testing.assert_checkpoints():
            await server.receive_some(3)  # decrypted already
        for data in (b"", b"hola"):
            with trio.testing.assert_checkpoints():
                await server.send_all(data)


async def test_what_openssl_holds_decrypted_is_received_before_the_end(modern: Ends) -> None:
    async with modern.connected() as (server, client):
        await client.send_all(b"hola")
        assert await server.receive_some(1) == b"h"
        await client.below.send_eof()
        assert await read_all(server) == b"ola"


async def test_only_one_task_at_a_time_may_send(modern: Ends) -> None:
    async with modern.connected() as (server, _), trio.open_nursery() as nursery:
        nursery.start_soon(server.send_all, BULK)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await server.send_all(b"hola")
        nursery.cancel_scope.cancel()


async def test_a_connection_passes_through_openssl_in_pieces_and_by_the_given_way(
    modern: Ends,
) -> None:
    # So a MemoryBIO, which never shrinks, stays small, and the sender sees progress.
    sent: list[int] = []
    ours, theirs = trio.testing.memory_stream_pair()

    async def send(data: bytes) -> None:
        sent.append(len(data))
        await ours.send_all(data)

    server = TlsStream(ours, modern.server, server_side=True, send=send)
    client = TlsStream(theirs, modern.client, name=HOST)
    await shake_hands(server, client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.send_all, BULK)
        assert await read_exactly(client, len(BULK)) == BULK
    assert len(sent) > len(BULK) / PIECE
    assert max(sent) <= PIECE + 256
    assert client.incoming.pending <= PIECE


# Endings


async def test_each_side_may_end_while_the_other_goes_on(
    ends: Ends, turned: Callable[[Pair], Pair]
) -> None:
    async with ends.connected() as pair:
        first, second = turned(pair)
        await first.send_all(b"adios")
        await first.send_eof()
        assert await read_all(second) == b"adios"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.send_all, BULK)
            assert await read_exactly(first, len(BULK)) == BULK
        await second.send_eof()
        assert await read_all(first) == await read_all(second) == b""


async def test_what_had_come_before_our_own_end_is_still_received(
    ends: Ends, turned: Callable[[Pair], Pair]
) -> None:
    async with ends.connected() as pair:
        first, second = turned(pair)
        for word in (b"hola ", b"y ", b"adios"):
            await second.send_all(word)
        assert await first.receive_some(3) == b"hol"
        await first.send_eof()
        await second.send_all(b"!")
        await second.send_eof()
        assert await read_all(first) == b"a y adios!"
        assert await read_all(second) == b""


async def test_an_end_without_a_close_notify_is_an_end_and_the_other_direction_goes_on(
    ends: Ends, turned: Callable[[Pair], Pair]
) -> None:
    async with ends.connected() as pair:
        first, second = turned(pair)
        await first.send_all(b"hola")
        await first.below.send_eof()
        assert await read_all(second) == b"hola"
        assert await second.receive_some() == b""
        await second.send_all(b"adios")
        await second.send_eof()
        assert await read_all(first) == b"adios"


async def test_what_is_no_record_breaks_the_connection(
    ends: Ends, turned: Callable[[Pair], Pair]
) -> None:
    async with ends.connected() as pair:
        first, second = turned(pair)
        await second.below.send_all(b"no record at all\n" * 10)
        with pytest.raises(trio.BrokenResourceError, match="SSL"):
            await first.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await first.send_all(b"hola")
