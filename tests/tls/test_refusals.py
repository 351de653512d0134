"""Handshakes that fail: what the peer hears, and what is told of it."""

from __future__ import annotations

import os
import socket
import ssl

import pytest
import trio

from tcpecho_trio.server import Settings
from tcpecho_trio.server.tls import Tls
from tests.support.certificates import Certificates
from tests.support.running import read_all, read_exactly, running_server, until
from tests.support.tls_clients import RESET, ask, connect, refusal


@pytest.mark.parametrize("said", [b"hola\n", b"GET / HTTP/1.1\r\n\r\n", b"\x1b[2J\xff\0\n" * 9])
async def test_a_plain_client_gets_an_alert_and_is_told_of_in_one_escaped_line(
    tls: Tls, said: bytes
) -> None:
    async with running_server(tls=tls) as server, await server.connect() as client:
        await client.send_all(said)
        alert = await read_all(client)
        assert alert == b"" or alert[0] == 21  # RFC 8446 §5.1
        reason = await refusal(server)
        assert reason
        assert reason.isprintable()
        assert ".c:" not in reason  # OpenSSL's source files are nobody's business


async def test_a_probe_that_connects_and_leaves_makes_no_noise(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(tls=tls) as server:
        await (await server.connect()).aclose()
        rude = await server.connect()
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await rude.aclose()
        async with await connect(server, certificates) as client:  # they were before it
            await ask(client, b"DESCONEXION\n")
        assert await server.endings(3) == ["disconnected", "probe", "probe"]
        assert server.told.named("tls_refused") == []
        assert len(server.told.named("connected")) == 1


async def test_whoever_leaves_in_mid_handshake_is_told(tls: Tls) -> None:
    async with running_server(tls=tls) as server, await server.connect() as client:
        await client.send_all(b"\x16\x03\x01\x02\x00\x01")  # the start of a ClientHello
        await client.send_eof()
        assert await refusal(server) == "EOF in the handshake"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
async def test_a_handshake_has_its_time(
    tls: Tls, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpecho_trio.server.tls.HANDSHAKE_TIME", 0.05)
    async with running_server(tls=tls) as server, await server.connect() as client:
        if said:
            await client.send_all(said)
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client)
        assert await refusal(server) == "no handshake within 0.05 s"


async def test_the_handshakes_time_is_not_the_conversations(
    certificates: Certificates, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tls=tls) as server, await connect(server, certificates) as client:
        await server.told.wait_for("connected")
        monkeypatch.setattr("tcpecho_trio.server.tls.HANDSHAKE_TIME", 0)
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"


async def test_a_handshake_that_is_under_way_as_the_drain_begins_is_finished(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(Settings(drain_timeout=3600), tls=tls) as server:
        client = certificates.secured(server.at_the_door())
        server.lifecycle.drain()
        assert await ask(client, b"hola\n") == b"HOLA\n"
        await client.aclose()


async def test_a_drain_does_not_wait_for_handshakes_that_do_not_come(tls: Tls) -> None:
    async with (
        running_server(Settings(drain_timeout=3600), tls=tls) as server,
        await server.connect() as client,
    ):
        await until(lambda: len(server.registry.admitting) == 1)
        server.lifecycle.drain()
        await server.lifecycle.wait_stopped()
        assert await read_all(client) == b""


async def test_a_peer_that_leaves_the_handshake_unread_is_told_so(
    tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise BlockingIOError

    async def stuck(*_: object) -> None:
        await trio.sleep_forever()

    for module in ("write_timeout", "tls"):
        monkeypatch.setattr(f"tcpecho_trio.server.{module}.write", full)
    hello = ssl.MemoryBIO()
    client_side = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        client_side.do_handshake()
    async with (
        running_server(Settings(write_timeout=0.05), tls=tls) as server,
        await server.connect() as client,
    ):
        # From the first byte of its answer on; so the client sends without Trio.
        monkeypatch.setattr("trio._socket._SocketType.send", stuck)
        with socket.socket(fileno=os.dup(client.socket.fileno())) as same:
            same.sendall(hello.read())
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client)
        assert await refusal(server) == "it took nothing for 0.05 s"
