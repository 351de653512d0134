"""A TLS stream whose peer sends anything at all."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.tls.client_hello import server_name
from tests.support.tls_pairs import VERSIONS, Ends, shake_hands


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
