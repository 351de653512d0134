"""What the system and OpenSSL say is said in the user's language, to the end of the line."""

from __future__ import annotations

import os
import socket

import pytest

from tcpecho_trio.errors import CannotConnect, CannotListen, ConnectionLost, in_words
from tcpecho_trio.server.event_fields import fields_of
from tcpecho_trio.server.events import AcceptFailed, CertificateKept
from tcpecho_trio.server.renderers import console_renderer, json_renderer
from tcpecho_trio.texts import ENGLISH, SPANISH
from tests.support.certificates import Certificates
from tests.support.old_servers import double
from tests.support.processes import run, serving
from tests.support.victim import reset


@pytest.mark.parametrize(
    ("language", "reason"),
    [("es", "se cortó: el otro extremo cortó la conexión."), ("en", "connection reset by peer.")],
)
def test_a_connection_that_is_reset(language: str, reason: str) -> None:
    def rude(peer: socket.socket) -> None:
        peer.recv(100)
        reset(peer)

    with double(rude) as port:
        where = ("--host", "127.0.0.1", "--port", str(port))
        done = run("--lang", language, "client", *where, "-m", "hola")
    assert done.returncode == 1
    assert reason in done.stderr.decode()


def test_a_certificate_that_convinces_nobody(certificates: Certificates) -> None:
    files = ("--tls-cert", certificates.files.certificate, "--tls-key", certificates.files.key)
    with serving("--host", "127.0.0.1", *files) as server:
        where = ("--host", "127.0.0.1", "--port", str(server.port), "--tls", "-m", "hola")
        told = run("client", *where).stderr.decode()
        assert "de 127.0.0.1:" in told
        assert ": no lo firma ninguna CA conocida. Indica su CA" in told
        done = run("client", *where, "--tls-ca", certificates.ca_file, "--sni", "b.example")
        assert ": no vale para 'b.example'. Indica su CA" in done.stderr.decode()
    with serving("--host", "127.0.0.1") as server:
        told = run("client", *where[:3], str(server.port), *where[4:]).stderr.decode()
        assert "no aceptó TLS: lo que contestó no es TLS. " in told


def test_a_connection_for_which_every_attempt_failed_says_how_the_first_did() -> None:
    error = OSError("all attempts to connect to [::1]:5000 failed")
    error.__cause__ = ExceptionGroup("", [OSError(101, os.strerror(101)), OSError(113, "")])
    told = CannotConnect.because(error, "::1", 5000).localized(SPANISH)
    assert told.startswith("no se puede conectar a [::1]:5000: no hay ruta a esa red.")


def test_a_number_inside_of_other_words() -> None:
    error = OSError("descriptor 3: [Errno 88] Socket operation on non-socket")
    told = CannotListen.on_inherited(error).localized(SPANISH)
    assert ": descriptor 3: no es un socket. Revisa" in told
    assert in_words(str(error), ENGLISH) == "descriptor 3: socket operation on non-socket"


def test_words_that_nobody_has_translated_are_left_as_they_are() -> None:
    assert in_words("strange_alert.", SPANISH) == "strange_alert"
    assert in_words("[Errno 84] x", SPANISH) == os.strerror(84).lower()
    lost = ConnectionLost("connection_broke", address="here:1", reason="strange")
    assert "strange" in lost.localized(SPANISH)


def test_the_journal_for_people_and_never_the_one_for_programs() -> None:
    for event, told in (
        (AcceptFailed("[Errno 24] Too many open files"), ": demasiados archivos abiertos"),
        (CertificateKept("[Errno 13] Permission denied: 'a.pem'"), ": permiso denegado: 'a.pem'"),
    ):
        lines: list[str] = []
        fields = {**fields_of(event), "count": 1}
        console_renderer(lines.append, SPANISH)(event.name, fields)
        json_renderer(lines.append, "here")(event.name, fields)
        person, program = lines
        assert person.endswith(told)
        assert event.error in program
