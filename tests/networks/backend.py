"""The server as a backend: what it says of itself, and what it must not have said."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

from tests.support.victim import PATIENCE, Victim, read_all

TROUBLE = {"crashed", "proxy_refused", "tls_refused", "foreign", "accept_failed"}


@contextlib.contextmanager
def backend(*options: str, expected: frozenset[str] = frozenset(), **rest: Any) -> Iterator[Victim]:
    """A server that reports (``--dialect inspect``) and has to end well and without trouble.

    Args:
      options: of ``serve``; another ``--dialect`` among them holds.
      expected: troubles that the test is about.
      rest: as for :class:`Victim`.
    """
    victim = Victim("--dialect", "inspect", *options, **rest)
    try:
        yield victim
        if victim.process.poll() is None:
            assert victim.stop() == 0
        assert [e for e in victim.events() if e["event"] in TROUBLE - expected] == []
    finally:
        victim.close()


def connect(port: int) -> socket.socket:
    """A client of whoever listens there on this machine."""
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(PATIENCE)
    return client


def ask(client: socket.socket, text: str) -> str:
    """One line, and the one that answers it."""
    client.sendall(f"{text}\n".encode())
    return read_line(client)


def read_line(client: socket.socket) -> str:
    """One line without its end; empty if there is none any more."""
    line = b""
    while not line.endswith(b"\n") and (data := client.recv(1)):
        line += data
    return line.decode().removesuffix("\n")


def report(client: socket.socket) -> dict[str, Any]:
    """What the backend saw of this connection."""
    said: dict[str, Any] = json.loads(ask(client, "INFORME"))
    return said


def reported(output: str) -> dict[str, Any]:
    """The report among the lines that a program wrote."""
    (line,) = [line for line in output.splitlines() if line.startswith('{"connection"')]
    said: dict[str, Any] = json.loads(line)
    return said


def leave(client: socket.socket) -> None:
    """Say goodbye, and see the server's close."""
    client.sendall(b"DESCONEXION\n")
    assert read_all(client) == "Conexión cerrada\n".encode()
    client.shutdown(socket.SHUT_WR)  # so that the server does not linger


def name_of(client: socket.socket) -> str:
    """The client's own address, as it is written."""
    return "{}:{}".format(*client.getsockname())
