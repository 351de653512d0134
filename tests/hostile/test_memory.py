"""Memory: what a client costs that asks and never reads, whatever it asks for."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time

import pytest

from tcpecho_trio.dialects import ADMIN
from tcpecho_trio.server.memory import CLIENT
from tests.hostile.lab import Lab
from tests.hostile.test_resources import unread
from tests.support.victim import Victim, attacked

NEVER_READING = 30
"""Clients whose cost is taken together."""

PROMISED = CLIENT
"""Bytes that docs/security.md promises for each: 320 KiB."""

PROMISED_OVER_TLS = 384 * 1024
"""The same over TLS: OpenSSL 3.5 takes up to 70 KiB more for a connection than 3.0 does."""

# Its upper case is three letters: six bytes instead of two.
LONGEST = "ΐ".encode()

FLOODS = {
    "text": ("standard", b"hola\n", ""),
    "text that grows": ("standard", LONGEST, ""),
    "starts of words": ("standard", b"DESCONEXIO\n", ""),
    "words": ("salutation", b"hola servidor\n", ""),
    "words and text": ("salutation", b"hola servidor\n" + LONGEST * 200, ""),
    "lists": ("admin", b"LISTAR\n", ADMIN.greeting),
    "reports": ("inspect", b"REPORT\n", ""),
    "bytes": ("echo", b"x", ""),
}


def flood(clients: list[socket.socket], data: bytes) -> None:
    """Send until the server has taken nothing more of anybody for a while."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.setblocking(False)
            selector.register(client, selectors.EVENT_WRITE)
        last = time.monotonic()
        while ready := selector.select(0.5):
            for key, _ in ready:
                with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                    assert isinstance(key.fileobj, socket.socket)
                    key.fileobj.send(data)
                    last = time.monotonic()
            assert time.monotonic() - last < 60


def cost(server: Victim, data: bytes, context: ssl.SSLContext | None = None) -> float:
    """Bytes of memory that each of them costs at most."""
    before = server.memory()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(context.wrap_socket(client, server_hostname="localhost"))
            if context
            else stack.enter_context(client)
            for client in (unread(server) for _ in range(NEVER_READING))
        ]
        flood(clients, data)
        return (server.peak_memory() - before) / NEVER_READING


@pytest.mark.parametrize("kind", FLOODS)
def test_a_client_that_never_reads_costs_no_more_than_was_promised(kind: str, way: str) -> None:
    dialect, unit, greeting = FLOODS[kind]
    options = ("--dialect", dialect, "--quiet", "--write-timeout", "60", "--drain-timeout", "0")
    with attacked(*options, way=way, greeting=greeting) as server:
        assert cost(server, unit * (200_000 // len(unit))) < PROMISED
        assert server.stop() == 0


@pytest.mark.parametrize("kind", ["text that grows", "lists", "reports"])
def test_over_tls_it_costs_little_more(kind: str, way: str, lab: Lab) -> None:
    dialect, unit, greeting = FLOODS[kind]
    options = ("--dialect", dialect, "--quiet", "--write-timeout", "60", "--drain-timeout", "0")
    with attacked(*options, *lab.server, way=way, greeting=greeting) as server:
        server.encrypt(lab.context)
        assert cost(server, unit * (200_000 // len(unit)), lab.context) < PROMISED_OVER_TLS
        assert server.stop() == 0
