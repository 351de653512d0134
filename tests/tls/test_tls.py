"""TLS below the conversation: everything that holds without it, and what only it can do."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.dialects import INSPECT
from tcpecho_trio.server import Settings
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.faults import Fault
from tcpecho_trio.server.tls import Tls, TlsFiles, TlsStream
from tcpecho_trio.tls.client_hello import server_name
from tests.support.certificates import HOST, Certificates
from tests.support.running import Running, read_all, read_exactly, running_server, until

SECURED = trio.SSLStream[trio.SocketStream]
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close(2) resets the connection (socket(7))."""


@pytest.fixture(scope="module")
def tls(certificates: Certificates) -> Tls:
    return Tls(certificates.files)


async def connect(server: Running, certificates: Certificates) -> SECURED:
    """A client that has shaken hands."""
    stream = certificates.secured(await server.connect())
    await stream.do_handshake()
    return stream


async def ask(stream: SECURED, data: bytes) -> bytes:
    """Send, and everything until a close_notify."""
    await stream.send_all(data)
    return await read_all(stream)


FAREWELL = "Conexión cerrada\n".encode()


# Conversations


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


async def test_a_full_server_says_so_with_an_alert_and_has_room_again_at_once(
    certificates: Certificates, tls: Tls
) -> None:
    async with running_server(Settings(max_connections=1), tls=tls) as server:
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


# Endings


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


# Handshakes that fail


async def refusal(server: Running) -> str:
    (told,) = await server.told.wait_for("tls_refused")
    assert server.told.named("connected") == server.told.named("crashed") == []
    return str(told["error"])


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


# Client certificates


async def test_the_clients_certificate_is_in_the_report(certificates: Certificates) -> None:
    settings = Settings(dialect=INSPECT)
    async with running_server(settings, tls=Tls(certificates.mutual)) as server:
        context = certificates.client(shows="Ñandú")
        async with certificates.secured(await server.connect(), context) as client:
            await client.send_all(b"INFORME\n")
            agreed = json.loads(await client.receive_some())["tls"]
            assert agreed["client"]["commonName"] == "Ñandú"


async def test_without_a_certificate_that_the_ca_has_signed_nobody_gets_in(
    certificates: Certificates, tmp_path: Path
) -> None:
    strange = Certificates(tmp_path)
    stranger = certificates.client()
    strange.ca.issue_cert("client@example.org").configure_cert(stranger)
    for context in (certificates.client(), stranger):
        async with running_server(tls=Tls(certificates.mutual)) as server:
            client = certificates.secured(await server.connect(), context)
            with pytest.raises(trio.BrokenResourceError):
                await ask(client, b"hola\n")
            assert "CERTIFICATE" in await refusal(server)
            await trio.aclose_forcefully(client)


# Files


def serial(stream: SECURED) -> str:
    return str(stream.getpeercert()["serialNumber"])


async def test_newcomers_see_the_new_certificate_and_the_others_notice_nothing(
    certificates: Certificates,
) -> None:
    tls = Tls(certificates.issue("renewed"))
    async with running_server(tls=tls) as server, await connect(server, certificates) as early:
        certificates.issue("renewed")
        async with await connect(server, certificates) as same:
            assert serial(same) == serial(early)
        tls.reload()
        async with await connect(server, certificates) as late:
            assert serial(late) != serial(early)
        await early.send_all(b"hola\n")
        assert await read_exactly(early, 5) == b"HOLA\n"


def test_when_reloading_fails_everything_stays_as_it_was(certificates: Certificates) -> None:
    files = certificates.issue("broken")
    tls = Tls(files)
    before = tls.context
    Path(files.certificate).write_text("no certificate")
    with pytest.raises(OSError, match=r".+"):
        tls.reload()
    Path(files.certificate).unlink()
    with pytest.raises(FileNotFoundError):
        tls.reload()
    assert tls.context is before


def test_a_key_of_another_certificate_is_an_error(certificates: Certificates) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)mismatch"):
        Tls(TlsFiles(certificates.files.certificate, certificates.issue("other").key))


def test_a_ca_that_is_none_is_an_error(certificates: Certificates) -> None:
    files = certificates.files
    with pytest.raises(OSError, match=r".+"):
        Tls(TlsFiles(files.certificate, files.key, files.key))


def test_nobody_is_asked_for_the_passphrase_of_a_key(certificates: Certificates) -> None:
    files = certificates.issue("locked")
    key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    Path(files.key).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(OSError, match="passphrase"):
        Tls(files)


async def test_a_stream_is_closed_without_a_word_if_none_has_been_said(tls: Tls) -> None:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    below = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    stream = TlsStream(below, tls, 1)
    await stream.aclose()
    assert ours.recv(10) == b""
    ours.close()
