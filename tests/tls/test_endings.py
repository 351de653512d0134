"""How a conversation over TLS ends: with a close_notify, without one, with a reset, at a limit."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

import pytest
import trio

from tcpecho_trio.server import Settings
from tcpecho_trio.server.faults import Fault
from tcpecho_trio.server.tls import Tls, TlsStream
from tests.support.certificates import HOST, Certificates
from tests.support.running import read_all, read_exactly, running_server
from tests.support.tls_clients import FAREWELL, RESET, SECURED, ask, connect


class Raw:
    """A client that chooses its records itself, and may half-close (RFC 8446 §6.1)."""

    def __init__(self, below: trio.SocketStream, context: ssl.SSLContext) -> None:
        self.below = below
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=HOST)

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.exchange()

    async def hear_all(self) -> bytes:
        """Say what has been written; hear everything until the other's close_notify."""
        received = b""
        while True:
            try:
                piece = self.tls.read(1000)
            except ssl.SSLWantReadError:
                await self.exchange()
            except ssl.SSLZeroReturnError:  # the other's close_notify
                return received
            else:
                if not piece:
                    return received
                received += piece

    async def exchange(self) -> None:
        if said := self.outgoing.read():
            await self.below.send_all(said)
        if heard := await self.below.receive_some():
            self.incoming.write(heard)
        else:
            self.incoming.write_eof()


@pytest.mark.parametrize("said", [b"hola", b"hola\nDESCO", b"DESCO", b"hola\n" * 1000])
async def test_a_half_closed_client_hears_everything_and_a_close_notify(
    certificates: Certificates, tls: Tls, said: bytes
) -> None:
    async with running_server(tls=tls) as server:
        async with await server.connect() as below:
            client = Raw(below, certificates.client())
            await client.shake_hands()
            client.tls.write(said)
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.unwrap()
            assert await client.hear_all() == said.upper()
        assert await server.endings() == ["eof"]


async def test_an_end_without_a_close_notify_is_an_end(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(tls=tls) as server:
        client = await connect(server, certificates)
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"
        await client.transport_stream.aclose()
        assert await server.endings() == ["eof"]


async def test_a_client_that_has_ended_is_told_goodbye_without_a_wait(
    certificates: Certificates, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_closed = list[TlsStream]()

    async def send_eof(self: TlsStream) -> None:
        half_closed.append(self)

    monkeypatch.setattr(TlsStream, "send_eof", send_eof)
    async with running_server(tls=tls) as server:
        async with await server.connect() as below:
            client = Raw(below, certificates.client())
            await client.shake_hands()
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.unwrap()
            assert await client.hear_all() == b""  # and then a close_notify
        assert await server.endings() == ["probe"]
    assert half_closed == []


async def test_an_end_without_a_close_notify_costs_no_held_reply_a_crash(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(tls=tls) as server:
        client = await connect(server, certificates)
        await client.send_all(b"hola\nDESCO")
        assert await read_exactly(client, 5) == b"HOLA\n"
        await client.transport_stream.aclose()
        assert await server.endings() == ["eof"]


async def test_a_reset_is_a_reset(certificates: Certificates, tls: Tls) -> None:
    async with running_server(tls=tls) as server:
        client = await connect(server, certificates)
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"
        client.transport_stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await client.transport_stream.aclose()
        assert await server.endings() == ["reset"]


async def test_what_is_no_tls_any_more_ends_the_connection(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(tls=tls) as server:
        client = await connect(server, certificates)
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"
        await client.transport_stream.send_all(b"no record at all\n" * 10)
        assert await server.endings() == ["reset"]
        await client.transport_stream.aclose()


async def test_replies_are_not_lost_when_the_close_finds_unread_input(
    certificates: Certificates, tls: Tls
) -> None:
    async with (
        running_server(tls=tls) as server,
        await connect(server, certificates) as client,
    ):
        text, unread = b"x" * 999 + b"\n", b"unread\n" * 5000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, text * 500 + b"DESCONEXION\n" + unread)
            assert await read_all(client) == text.upper() * 500 + FAREWELL


async def test_records_behind_the_farewell_do_not_take_its_close_notify_away(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(tls=tls) as server:
        async with await server.connect() as below:
            client = Raw(below, certificates.client())
            await client.shake_hands()
            for record in (b"hola\nDESCONEXION\n", b"unread\n", b"unread\n"):
                client.tls.write(record)
            assert await client.hear_all() == b"HOLA\n" + FAREWELL
        assert await server.endings() == ["disconnected"]


async def fill(client: SECURED) -> None:
    """Send and never read, until the server has stopped reading too."""
    with trio.move_on_after(0.2):
        while True:
            await client.send_all(b"hola\n" * 10_000)


async def test_a_client_that_never_reads_is_cut_at_the_write_timeout(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(Settings(write_timeout=0.1), tls=tls) as server:
        client = await connect(server, certificates)
        with pytest.raises(trio.BrokenResourceError):  # it is reset
            await client.send_all(b"hola\n" * 4_000_000)
        assert await server.endings() == ["write_timeout"]
        await trio.aclose_forcefully(client)


async def test_the_drain_wakes_the_idle_and_says_goodbye(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(tls=tls) as server:
        async with await connect(server, certificates) as client:
            await server.told.wait_for("connected")
            await client.send_all(b"hola\nDESCO")
            assert await read_exactly(client, 5) == b"HOLA\n"
            server.lifecycle.drain()
            assert await read_all(client) == b"DESCO"
        assert await server.endings() == ["drained"]


async def test_the_cut_reaches_whoever_never_reads(certificates: Certificates, tls: Tls) -> None:
    async with running_server(Settings(drain_timeout=3600), tls=tls) as server:
        client = await connect(server, certificates)
        await fill(client)
        server.lifecycle.abort()
        await server.lifecycle.wait_stopped()
        assert await server.endings() == ["aborted"]
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client.transport_stream)
        await trio.aclose_forcefully(client)


@pytest.mark.parametrize("spec", ["close:3", "reset:3"])
async def test_faults_lie_above_tls(certificates: Certificates, tls: Tls, spec: str) -> None:
    settings = Settings(faults=(Fault.parse(spec),))
    async with running_server(settings, tls=tls) as server:
        client = await connect(server, certificates)
        await client.send_all(b"hola\n" * 100)
        if spec == "close:3":
            assert await read_all(client) == b"HOL"
        else:
            with pytest.raises(trio.BrokenResourceError):
                await read_all(client)
        await trio.aclose_forcefully(client)
        assert await server.endings() == ["fault"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
async def test_nobody_leaves_a_descriptor_behind(certificates: Certificates, tls: Tls) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = descriptors()
    async with running_server(tls=tls) as server:
        for _ in range(3):
            polite, rude = [await connect(server, certificates) for _ in range(2)]
            assert await ask(polite, b"DESCONEXION\n") == FAREWELL
            await polite.aclose()
            await rude.transport_stream.aclose()
            async with await server.connect() as plain:
                await plain.send_all(b"hola\n")
                await read_all(plain)
            await (await server.connect()).aclose()
        await server.endings(6)
    assert descriptors() == before
