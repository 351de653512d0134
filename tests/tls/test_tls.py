"""TLS below the conversation: everything that holds without it, and what only it can do."""

from __future__ import annotations

import json
import ssl
import struct

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.dialects import INSPECT
from tcpecho_trio.server import Settings
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.tls import Tls
from tcpecho_trio.tls.client_hello import server_name
from tests.support.certificates import HOST, Certificates
from tests.support.running import Running, read_exactly, running_server
from tests.support.tls_clients import FAREWELL, ask, connect


async def test_a_conversation_ends_with_a_close_notify(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(tls=tls) as server:
        assert server.told.named("listening") == [{"listener": f"tls://127.0.0.1:{server.port}"}]
        async with await connect(server, certificates) as client:
            await client.send_all("año\r\n".encode())
            assert await read_exactly(client, 6) == "AÑO\r\n".encode()
            assert await ask(client, b"DESCONEXION\n") == FAREWELL
        assert await server.endings() == ["disconnected"]


@pytest.mark.parametrize(
    "settings", [Settings(max_connections=1), Settings(max_connections_per_address=1)]
)
async def test_a_full_server_says_so_with_an_alert_and_has_room_again_at_once(
    certificates: Certificates, tls: Tls, settings: Settings
) -> None:
    async with running_server(settings, tls=tls) as server:
        async with await connect(server, certificates) as client:
            further = certificates.secured(await server.connect())
            with pytest.raises(trio.BrokenResourceError) as refused:
                await further.do_handshake()
            await trio.aclose_forcefully(further)
            error = refused.value.__cause__
            assert isinstance(error, ssl.SSLError)
            assert error.reason == "TLSV1_ALERT_INTERNAL_ERROR"
            assert await ask(client, b"DESCONEXION\n") == FAREWELL
        await server.endings(1)
        async with await connect(server, certificates) as client:
            assert await ask(client, b"DESCONEXION\n") == FAREWELL
        assert len(server.told.named("refused")) == 1


async def test_tcp_and_tls_are_one_server(certificates: Certificates, tls: Tls) -> None:
    both = tuple(Endpoint(scheme, "127.0.0.1", 0) for scheme in (Scheme.TCP, Scheme.TLS))
    async with running_server(Settings(listen=both), tls=tls) as server:
        assert await server.ask(b"hola") == b"HOLA"
        secured = await trio.open_tcp_stream(*server.listeners[1].socket.getsockname())
        async with certificates.secured(secured) as client:
            await client.send_all(b"hola")
            assert await read_exactly(client, 4) == b"HOLA"


async def test_an_inherited_tcp_socket_speaks_tls(certificates: Certificates, tls: Tls) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with (
        running_server(tls=tls, listeners=listeners) as server,
        await connect(server, certificates) as client,
    ):
        assert await ask(client, b"hola\nDESCONEXION\n") == b"HOLA\n" + FAREWELL


async def test_a_large_message_comes_back_whole(certificates: Certificates, tls: Tls) -> None:
    text = b"hola y adios, ".join([b"x"] * 50_000)
    async with (
        running_server(tls=tls) as server,
        await connect(server, certificates) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.send_all, text)
        assert await read_exactly(client, len(text)) == text.upper()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_was_agreed_on_is_in_the_report(
    certificates: Certificates, tls: Tls, version: ssl.TLSVersion
) -> None:
    context = certificates.client()
    context.minimum_version = context.maximum_version = version
    async with (
        running_server(Settings(dialect=INSPECT), tls=tls) as server,
        certificates.secured(await server.connect(), context) as client,
    ):
        await client.send_all(b"INFORME\n")
        assert json.loads(await client.receive_some())["tls"] == {
            "version": version.name.replace("_", "."),
            "cipher": client.cipher()[0],
            "sni": HOST,
            "alpn": "tcpecho",
            "client": None,
        }


async def test_clients_that_ask_for_nothing_or_something_else_are_served(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(Settings(dialect=INSPECT), tls=tls) as server:
        for protocols in ([], ["http/1.1"]):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if protocols:
                context.set_alpn_protocols(protocols)
            async with trio.SSLStream(await server.connect(), context) as client:
                await client.send_all(b"INFORME\n")
                agreed = json.loads(await client.receive_some())["tls"]
                assert (agreed["sni"], agreed["alpn"]) == (None, None)


async def test_a_handshake_notes_the_name_that_it_was_asked_for_itself(
    certificates: Certificates, tls: Tls
) -> None:
    context = certificates.client()
    context.check_hostname = False
    names = [f"host-{number}.example" for number in range(10)]

    async def visit(server: Running, name: str) -> None:
        async with certificates.secured(await server.connect(), context, name) as client:
            await client.send_all(b"INFORME\n")
            assert json.loads(await client.receive_some())["tls"]["sni"] == name

    async with (
        running_server(Settings(dialect=INSPECT), tls=tls) as server,
        trio.open_nursery() as nursery,
    ):
        for name in names:
            nursery.start_soon(visit, server, name)


NAMES = st.from_regex(r"[a-z]{1,30}(\.[a-z]{1,30}){0,4}", fullmatch=True)


GULLIBLE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
GULLIBLE.check_hostname = False


def client_hello(name: str | None) -> bytes:
    """What a client says first, in one record."""
    said = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        GULLIBLE.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    return said.read()


@given(st.none() | NAMES, st.integers(1, 700), st.binary())
def test_the_name_is_found_however_the_hello_is_cut_into_records(
    name: str | None, size: int, rest: bytes
) -> None:
    whole = client_hello(name)
    hello = whole[5:]
    pieces = [hello[start : start + size] for start in range(0, len(hello), size)]
    records = [whole[:3] + struct.pack("!H", len(piece)) + piece for piece in pieces]
    assert server_name(b"".join(records) + b"\x17\x03\x03" + rest) == name


async def test_a_name_that_is_not_ascii_is_served_and_no_noise(
    certificates: Certificates, tls: Tls, capfd: pytest.CaptureFixture[str]
) -> None:
    name = b"no.name.at.all"
    async with running_server(tls=tls) as server, await server.connect() as client:
        hello = client_hello(name.decode()).replace(name, b"\xff" * len(name))
        assert server_name(hello) == r"\xff" * len(name)
        await client.send_all(hello)
        assert (await client.receive_some()).startswith(b"\x16")  # a ServerHello, no alert
    assert capfd.readouterr().err == ""
