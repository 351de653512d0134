"""How the two ends of a TLS stream agree on keys, at first and later."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable

import pytest
import trio
import trio.testing

from tcpecho_trio.server.tls import Tls
from tcpecho_trio.tls.client_hello import MAX_OPENING
from tcpecho_trio.tls.stream import MAX_UNSENT, PIECE, TlsStream
from tests.support.certificates import HOST, Certificates
from tests.support.tls_pairs import Ends, Pair, called, key_updates, shake_hands, sockets

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
