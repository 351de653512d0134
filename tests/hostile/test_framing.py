"""How the network cuts the stream, and what is and is not a word."""

from __future__ import annotations

import socket
import subprocess
import threading

import pytest

from tests.support.victim import Victim, read_all, read_exactly

FAREWELL = "Conexión cerrada".encode()


def test_one_byte_a_segment(server: Victim) -> None:
    text = "canción en minúsculas\n".encode()
    with server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in text:
            client.send(bytes([byte]))
        assert read_exactly(client, len(text)) == "CANCIÓN EN MINÚSCULAS\n".encode()


def test_hundreds_of_messages_in_one_segment_answered_in_one_send(server: Victim) -> None:
    messages = b"".join(b"mensaje %d\n" % number for number in range(500))
    with server.connect() as client:
        client.send(messages)
        assert client.recv(1 << 16) == messages.upper()


def test_64_kib_of_short_lines(server: Victim) -> None:
    assert server.ask(b"a\n" * 32768) == b"A\n" * 32768


def test_nothing_but_line_feeds(server: Victim) -> None:
    assert server.ask(b"\n" * 100_000) == b"\n" * 100_000


def test_cr_at_the_end_of_one_read_and_lf_at_the_start_of_the_next(server: Victim) -> None:
    with server.connect() as client:
        client.send(b"hola\n")
        assert read_exactly(client, 5) == b"HOLA\n"
        client.send(b"hola\r")
        assert read_exactly(client, 5) == b"HOLA\r"  # so it has been read alone
        client.send(b"\nDESCONEXION\r\n")
        assert read_all(client) == b"\n" + FAREWELL + b"\r\n"


def test_a_second_cr_is_data(server: Victim) -> None:
    assert server.ask(b"hola\r\r\n") == b"HOLA\r\r\n"


@pytest.mark.timeout(3600)  # so much may take long; each read of it has its own deadline
def test_a_gibibyte_without_a_line_feed_leaves_memory_flat(server: Victim, way: str) -> None:
    total = 1 << 30 if way == "pump" else 1 << 27
    before = server.peak_memory()
    block = b"a" * (1 << 20)
    with server.connect() as client:

        def send() -> None:
            for _ in range(total // len(block)):
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=send)
        sending.start()
        received, buffer = 0, bytearray(1 << 20)
        while size := client.recv_into(buffer):
            received += buffer.count(b"A", 0, size)
        sending.join()
    assert received == total
    assert server.peak_memory() - before < 4 << 20


def test_nothing_after_the_word_is_answered(server: Victim) -> None:
    assert server.ask(b"DESCONEXION\nhola\n") == FAREWELL + b"\n"


@pytest.mark.parametrize(
    "text",
    [
        "holaDESCONEXION",
        "DESCONEXIONES",
        "desconexion",
        "Desconexion",
        "DESCONEXION\x00",
        "\ufeffDESCONEXION",
        "DESCONEXION\xa0",
        "\xa0DESCONEXION",
        " DESCONEXION",
        "DESCONEXION" + 17 * " ",
        "deſconexıon",
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_ordinary_text(server: Victim, text: str, end: str) -> None:
    sent = text + end
    assert server.ask(sent.encode() + b"x") == sent.upper().encode() + b"X"


def test_a_word_and_the_end_of_input_from_nc(server: Victim, which_nc: str) -> None:
    nc = f"printf DESCONEXION | {which_nc} -N 127.0.0.1 {server.port}"
    done = subprocess.run(["bash", "-c", nc], capture_output=True, check=True)
    assert done.stdout in (b"", FAREWELL)  # it may have half-closed before the word was read
