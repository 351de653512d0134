"""The TLS stream that server and client share: both sides are tested alike, and with each other."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.server.tls import Tls
from tcpecho_trio.tls.client_hello import MAX_OPENING, server_name
from tcpecho_trio.tls.context import prepare
from tcpecho_trio.tls.stream import MAX_UNSENT, PIECE, TlsStream
from tests.support.certificates import HOST, Certificates
from tests.support.protocol_inputs import cuts
from tests.support.running import read_all, read_exactly

Pair = tuple[TlsStream, TlsStream]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
BULK = bytes(range(256)) * 2000


class Ends:
    """Contexts of a server and of a client that trusts it."""

    def __init__(self, certificates: Certificates, version: ssl.TLSVersion) -> None:
        self.server = Tls(certificates.files).context
        self.client = certificates.client()
        prepare(self.client)
        self.client.minimum_version = self.client.maximum_version = version

    def over(self, ours: Any, theirs: Any) -> Pair:
        """A server's and a client's stream over two ends of a connection."""
        server = TlsStream(ours, self.server, server_side=True)
        return server, TlsStream(theirs, self.client, name=HOST)

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Pair]:
        """A server and a client that have shaken hands over a real connection."""
        server, client = self.over(*sockets())
        async with server, client:
            await shake_hands(server, client)
            yield server, client


def sockets() -> list[trio.SocketStream]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return [trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in ends]


async def shake_hands(*ends: TlsStream) -> None:
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(end.do_handshake)


@pytest.fixture(scope="module")
def each(certificates: Certificates) -> dict[ssl.TLSVersion, Ends]:
    return {version: Ends(certificates, version) for version in VERSIONS}


@pytest.fixture(params=VERSIONS, ids=lambda version: str(version.name))
def ends(each: dict[ssl.TLSVersion, Ends], request: pytest.FixtureRequest) -> Ends:
    return each[request.param]


@pytest.fixture
def modern(each: dict[ssl.TLSVersion, Ends]) -> Ends:
    return each[ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=[False, True], ids=["the server", "the client"])
def turned(request: pytest.FixtureRequest) -> Callable[[Pair], Pair]:
    """One side and its peer: the server first, or the client first."""
    return lambda pair: pair[::-1] if request.param else pair


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


# Handshakes


async def test_an_end_in_the_handshake_is_called_so(
    ends: Ends, turned: Callable[[Pair], Pair]
) -> None:
    first, second = turned(ends.over(*sockets()))
    async with first, second:
        await second.below.send_eof()
        with pytest.raises(trio.BrokenResourceError, match=r"^EOF in the handshake$"):
            await first.do_handshake()


async def outcomes(*ends: TlsStream) -> list[str | None]:
    """Why each handshake failed."""
    reasons: list[str | None] = [None, None]

    async def shake(place: int, end: TlsStream) -> None:
        try:
            await end.do_handshake()
            await end.send_all(b"hola")
            await end.receive_some()
        except trio.BrokenResourceError as error:
            reasons[place] = getattr(error.__cause__, "reason", None)
        await end.aclose()

    async with trio.open_nursery() as nursery:
        for place, end in enumerate(ends):
            nursery.start_soon(shake, place, end)
    return reasons


async def test_a_server_is_told_why_its_client_refuses_it(modern: Ends) -> None:
    ours, theirs = sockets()
    server = TlsStream(ours, modern.server, server_side=True)
    client = TlsStream(theirs, ssl.create_default_context(), name=HOST)
    assert await outcomes(server, client) == ["TLSV1_ALERT_UNKNOWN_CA", "CERTIFICATE_VERIFY_FAILED"]


async def test_a_client_is_told_why_its_server_refuses_it(certificates: Certificates) -> None:
    ours, theirs = sockets()
    server = TlsStream(ours, Tls(certificates.mutual).context, server_side=True)
    client = TlsStream(theirs, certificates.client(), name=HOST)
    assert await outcomes(server, client) == [
        "PEER_DID_NOT_RETURN_A_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    ]


async def test_both_sides_know_what_was_agreed_on(certificates: Certificates) -> None:
    ours, theirs = sockets()
    server = TlsStream(ours, Tls(certificates.mutual).context, server_side=True)
    client = TlsStream(theirs, certificates.client(shows="ana"), name=HOST)
    async with server, client:
        await shake_hands(server, client)
        await client.send_all(b"x")
        await server.receive_some()
        for end, peer in ((server, "ana"), (client, "server")):
            told = end.described()
            assert (told["version"], told["alpn"]) == ("TLSv1.3", "tcpecho")
            assert isinstance(told["peer"], dict)
            assert told["peer"]["commonName"] == peer


async def test_the_opening_is_the_first_hello_and_no_more_than_is_looked_at(modern: Ends) -> None:
    async with modern.connected() as (server, client):
        assert server.opening.startswith(b"\x16\x03\x01")
        assert HOST.encode() in server.opening
        assert client.opening == b""
    ours, theirs = trio.testing.memory_stream_pair()
    server, _ = modern.over(ours, theirs)
    # A hello as long as OpenSSL takes, in records of 16 bytes, that is never finished.
    hello = b"\x01\x01\xff\x00\x03\x03" + bytes(1 << 16)
    for start in range(0, len(hello), 16):
        piece = hello[start : start + 16]
        await theirs.send_all(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece)
    await theirs.send_eof()
    with pytest.raises(trio.BrokenResourceError):
        await server.do_handshake()
    assert MAX_OPENING <= len(server.opening) <= MAX_OPENING + PIECE


# KeyUpdate (RFC 8446 §4.6.3) and renegotiation (RFC 5246 §7.4.1.1). Python has no way to ask for
# either, so OpenSSL is called itself.


def called(stream: TlsStream, function: str, *arguments: int) -> int:
    """The result of a function of OpenSSL's for the stream's connection."""
    openssl = ctypes.CDLL(importlib.import_module("_ssl").__file__)
    if not hasattr(openssl, function):
        pytest.skip("this Python's OpenSSL cannot be called")
    # PyObject_HEAD, a reference, and then the SSL*: Modules/_ssl.c, PySSLSocket.
    python_side: object = vars(stream.ssl_object)["_sslobj"]
    inside = id(python_side) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    connection = ctypes.c_void_p.from_address(inside)
    return int(getattr(openssl, function)(connection, *arguments))


def key_updates(stream: TlsStream, count: int) -> bytes:
    """The records of requests for new keys, from a stream of which nothing else is on its way."""
    for _ in range(count):
        assert called(stream, "SSL_key_update", 1) == 1
        called(stream, "SSL_do_handshake")
    return stream.outgoing.read()


async def test_a_request_for_new_keys_is_answered_with_what_is_sent_next(
    modern: Ends, turned: Callable[[Pair], Pair]
) -> None:
    async with modern.connected() as pair:
        first, second = turned(pair)
        for word in (b"uno", b"dos", b"tres"):
            await first.below.send_all(key_updates(first, 2))
            await first.send_all(word)
            assert await second.receive_some() == word
            assert second.outgoing.pending
            await second.send_all(word)
            assert not second.outgoing.pending
            assert await first.receive_some() == word


async def test_a_flood_of_requests_for_new_keys_ends_the_connection_within_a_bound(
    modern: Ends, turned: Callable[[Pair], Pair]
) -> None:
    async with modern.connected() as pair:
        first, second = turned(pair)
        flood = key_updates(second, 20_000)

        async def send() -> None:
            with contextlib.suppress(trio.BrokenResourceError):
                await second.below.send_all(flood)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with pytest.raises(trio.BrokenResourceError, match="KeyUpdate"):
                await first.receive_some()
            await first.aclose()
        assert first.outgoing.pending <= MAX_UNSENT + 2 * PIECE


async def test_a_client_that_renegotiates_is_told_no_and_the_connection_ends(
    each: dict[ssl.TLSVersion, Ends],
) -> None:
    async with each[ssl.TLSVersion.TLSv1_2].connected() as (server, client):
        called(client, "SSL_clear_options", int(ssl.OP_NO_RENEGOTIATION))
        assert called(client, "SSL_renegotiate") == 1
        called(client, "SSL_do_handshake")
        assert client.outgoing.pending
        await client.below.send_all(client.outgoing.read())
        with pytest.raises(trio.BrokenResourceError, match="no renegotiation"):
            await server.receive_some()
        with pytest.raises(trio.BrokenResourceError, match="NO_RENEGOTIATION"):
            await client.receive_some()


async def test_a_server_that_asks_for_a_renegotiation_is_not_obeyed(
    each: dict[ssl.TLSVersion, Ends],
) -> None:
    async with each[ssl.TLSVersion.TLSv1_2].connected() as (server, client):
        called(server, "SSL_clear_options", int(ssl.OP_NO_RENEGOTIATION))
        assert called(server, "SSL_renegotiate") == 1
        called(server, "SSL_do_handshake")
        await server.below.send_all(server.outgoing.read())
        server.ssl_object.write(b"hola")
        await server.below.send_all(server.outgoing.read())
        assert await client.receive_some() == b"hola"
        await client.send_all(b"adios")


# Whatever a peer sends


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with a piece of them changed, cut off, or followed by something."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 4)))
    rest = whole[end:] if draw(st.booleans()) else b""
    return whole[:start] + draw(st.binary(max_size=6)) + rest


@given(data=st.data())
def test_a_spoilt_hello_is_an_agreement_or_one_kind_of_error(
    each: dict[ssl.TLSVersion, Ends], data: Any
) -> None:
    ends = each[data.draw(st.sampled_from(VERSIONS))]

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        server, client = ends.over(ours, theirs)
        with pytest.raises(ssl.SSLWantReadError):
            client.ssl_object.do_handshake()
        await theirs.send_all(data.draw(spoilt(client.outgoing.read())))
        await theirs.send_eof()
        with pytest.raises(trio.BrokenResourceError):
            await server.do_handshake()
        server_name(bytes(server.opening))  # it may be any, but there is an end to it

    trio.run(main)


@given(data=st.data())
def test_of_spoilt_records_only_what_was_said_is_received(
    each: dict[ssl.TLSVersion, Ends], data: Any
) -> None:
    ends = each[data.draw(st.sampled_from(VERSIONS))]
    words = [b"uno ", b"dos ", b"tres"]

    async def main() -> None:
        server, client = ends.over(*trio.testing.memory_stream_pair())
        await shake_hands(server, client)
        for word in words:
            client.ssl_object.write(word)
        with contextlib.suppress(ssl.SSLError):
            client.ssl_object.unwrap()
        await client.below.send_all(data.draw(spoilt(client.outgoing.read())))
        await client.below.send_eof()
        received = b""
        with contextlib.suppress(trio.BrokenResourceError):
            while piece := await server.receive_some():
                received += piece
        assert b"".join(words).startswith(received)
        with contextlib.suppress(trio.BrokenResourceError):
            await server.send_all(b"hola")
            await server.send_eof()

    trio.run(main)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"\x16\3\1\0\xf0" + rest))
def test_the_name_in_any_bytes_is_a_name_or_none(opening: bytes) -> None:
    assert server_name(opening) is None or isinstance(server_name(opening), str)
