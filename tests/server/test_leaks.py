"""Whatever clients do, nothing is left of them: no descriptor, thread, task or memory."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support import processes

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc, connects from 127.0.0.0/8"
)

WARM_UP = 2_000
"""Connections until allocators and caches have the size that they keep."""
CONNECTIONS = 10_000
"""Connections on each path after that: a leak of 500 bytes each is 5 MB, far above the noise."""
TOGETHER = 100
"""Connections open at a time; it also fits the smallest usual backlog."""
SOURCES = 50
"""Addresses that clients come from, so that ports in TIME_WAIT (tcp(7)) never run out."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close(2) resets the connection (socket(7))."""


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def read_all(client: socket.socket) -> bytes:
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def hears(expected: bytes) -> Callable[[socket.socket], None]:
    """Read to the server's close, then leave."""

    def end(client: socket.socket) -> None:
        assert read_all(client) == expected
        client.close()

    return end


def half_closes(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    hears(b"HOLA\nADIOS")(client)


def resets_mid_reply(client: socket.socket) -> None:
    client.recv(1)
    reset(client)


def asks_unframed(client: socket.socket) -> None:
    assert client.recv(1024) == b"HOLA SERVIDOR"
    client.sendall(b"DESCONEXION")
    client.close()


# What a client says as soon as it is connected, and what it does then, when the others of its
# batch have spoken as well.
MIX: list[tuple[bytes, Callable[[socket.socket], None]]] = [
    (b"hola\nDESCONEXION\n", hears("HOLA\nConexión cerrada\n".encode())),
    (b"hola\nadios", half_closes),
    (b"hola\nadios\n" * 50, reset),
    (b"hola\nadios\n" * 50, resets_mid_reply),
    (b"", socket.socket.close),
    (b"hola\nmid-messa", socket.socket.close),
    (b"hola servidor", asks_unframed),
    (b"DESCONEXION", socket.socket.close),
    ("adi\xf3s \U0001f600\n".encode()[:-3], reset),
]


def connect(port: int, source: str) -> socket.socket:
    client = socket.socket()
    client.settimeout(processes.PATIENCE)
    client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    return client


def visit(port: int, count: int) -> None:
    """Come and go that often, in every way there is; a batch is at the server together."""
    for batch in range(count // TOGETHER):
        source = f"127.0.0.{2 + batch % SOURCES}"
        clients = []
        for number in range(TOGETHER):
            client = connect(port, source)
            if number % 10 == 9:
                reset(client)  # before it is accepted, mostly
            else:
                says, ends = MIX[number % 10]
                if says:
                    client.sendall(says)
                clients.append((client, ends))
        for client, ends in clients:
            ends(client)


@contextmanager
def measured_server(*options: str) -> Iterator[tuple[int, Callable[[], dict[str, int]]]]:
    """A server's port, and how to ask for what it holds once nobody is connected."""
    command = [sys.executable, "-bb", "-m", "tests.support.measured_server", *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=processes.ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def measure() -> dict[str, int]:
            questions.write(b"?\n")
            questions.flush()
            held: dict[str, int] = json.loads(answers.readline())
            return held

        try:
            yield int(answers.readline()), measure
            questions.close()
            assert process.wait(processes.PATIENCE) == 0
        finally:
            process.kill()


def test_ten_thousand_visitors_leave_nothing_behind(path: str) -> None:
    with measured_server(*processes.PATH) as (port, measure):
        fresh = measure()
        visit(port, WARM_UP)
        before = measure()
        visit(port, CONNECTIONS)
        after = measure()
    assert after["accepted"] - before["accepted"] > CONNECTIONS // 2
    assert after["crashed"] == 0
    for held in ("connected", "tasks", "descriptors", "threads"):
        assert fresh[held] == before[held] == after[held], held
    assert after["rss"] < before["rss"] * 1.1, "it grows"
