"""Certificates of clients, and the server's own files."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives import serialization

from tcpecho_trio.dialects import INSPECT
from tcpecho_trio.server import Settings
from tcpecho_trio.server.tls import Tls, TlsFiles, TlsStream
from tests.support.certificates import Certificates
from tests.support.running import read_exactly, running_server
from tests.support.tls_clients import SECURED, ask, connect, refusal


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
