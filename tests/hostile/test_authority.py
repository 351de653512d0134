"""Words with power, and who may say them."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator

import pytest

from tcpecho_trio.dialects import ADMIN, SHUTDOWN_REFUSED
from tests.support.victim import PATIENCE, Victim, attacked, read_all, read_exactly, told_rarely


@pytest.fixture(scope="session")
def admin_server(way: str) -> Iterator[Victim]:
    with admin_dialect(way) as victim:
        yield victim


@pytest.fixture
def admin(admin_server: Victim) -> Iterator[Victim]:
    yield admin_server
    admin_server.check()
    assert admin_server.events("draining") == []


def admin_dialect(way: str) -> contextlib.AbstractContextManager[Victim]:
    return attacked("--dialect", "admin", "--host", "0.0.0.0", way=way, greeting=ADMIN.greeting)


def another_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; TEST-NET-1 (RFC 5737)
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("word", ["LISTAR", "APAGAR", "hola servidor"])
def test_words_of_other_dialects_are_plain_text(server: Victim, word: str) -> None:
    assert server.ask(f"{word}\n{word}".encode()) == f"{word}\n{word}".upper().encode()


def test_the_standard_word_ends_one_connection_and_not_the_server(server: Victim) -> None:
    assert server.ask(b"DESCONEXION\n") == "Conexión cerrada\n".encode()


def test_a_remote_shutdown_from_another_address_is_refused_and_logged(admin: Victim) -> None:
    with admin.connect(another_address()) as client:
        client.sendall(b"DESCONEXION\nhola\n")
        refusal = f"{SHUTDOWN_REFUSED}\nHOLA\n".encode()
        assert read_exactly(client, len(refusal)) == refusal
        peer = "{}:{}".format(*client.getsockname())
        admin.wait_for("shutdown_refused", lambda event: event["client"] == peer)


def test_a_browsers_post_is_cut_at_its_first_line(admin: Victim) -> None:
    browser = http.client.HTTPConnection("127.0.0.1", admin.port, timeout=PATIENCE)
    with contextlib.closing(browser), pytest.raises((http.client.HTTPException, ConnectionError)):
        post(browser, b"\nDESCONEXION\nLISTAR\n")


def post(browser: http.client.HTTPConnection, body: bytes) -> None:
    browser.request("POST", "/", body=body)
    browser.getresponse()


def test_a_request_in_pieces_is_cut_too(admin: Victim) -> None:
    with admin.connect() as client:
        for piece in (b"POST / HT", b"TP/1.1", b"\r"):
            client.sendall(piece)
            assert read_exactly(client, len(piece)) == piece
        client.sendall(b"\nContent-Length: 13\r\n\r\nDESCONEXION\n")
        assert admin.wait_for_end(client) == "foreign"


def test_a_tls_hello_on_the_plain_port_is_cut(admin: Victim) -> None:
    trusting = ssl.create_default_context()
    with admin.connect() as client:
        peer = "{}:{}".format(*client.getsockname())
        with pytest.raises(OSError, match=r"(?i)ssl|eof|reset"):
            trusting.wrap_socket(client, server_hostname="localhost")
    closed = admin.wait_for("closed", lambda event: event["client"] == peer)
    assert closed["reason"] == "foreign"


def test_elsewhere_http_is_ordinary_text(server: Victim) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\n\r\nDESCONEXIO"
    assert server.ask(request) == request.upper()


def test_the_log_of_such_clients_is_rate_limited(way: str) -> None:
    with admin_dialect(way) as server:
        for _ in range(200):
            with server.connect() as client, contextlib.suppress(ConnectionError):
                client.sendall(b"GET / HTTP/1.0\r\n")
                read_all(client)
        assert server.stop() == 0
        assert told_rarely(server.events("foreign"))
