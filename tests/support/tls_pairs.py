"""Both ends of a TLS connection, on the stream that server and client share."""

from __future__ import annotations

import ctypes
import importlib
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from tcpecho_trio.server.tls import Tls
from tcpecho_trio.tls.context import prepare
from tcpecho_trio.tls.stream import TlsStream
from tests.support.certificates import HOST, Certificates

Pair = tuple[TlsStream, TlsStream]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
BULK = bytes(range(256)) * 2000


class Ends:
    """Contexts of a server and of a client that trusts it."""

    def __init__(self, certificates: Certificates, version: ssl.TLSVersion) -> None:
        self.server = Tls(certificates.files).context
        self.client = certificates.client()
        prepare(self.client)
        self.client.minimum_version = self.client.maximum_version = version

    def over(self, ours: Any, theirs: Any) -> Pair:
        """A server's and a client's stream over two ends of a connection."""
        server = TlsStream(ours, self.server, server_side=True)
        return server, TlsStream(theirs, self.client, name=HOST)

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Pair]:
        """A server and a client that have shaken hands over a real connection."""
        server, client = self.over(*sockets())
        async with server, client:
            await shake_hands(server, client)
            yield server, client


def sockets() -> list[trio.SocketStream]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return [trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in ends]


async def shake_hands(*ends: TlsStream) -> None:
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(end.do_handshake)


def called(stream: TlsStream, function: str, *arguments: int) -> int:
    """The result of a function of OpenSSL's for the stream's connection."""
    openssl = ctypes.CDLL(importlib.import_module("_ssl").__file__)
    if not hasattr(openssl, function):
        pytest.skip("this Python's OpenSSL cannot be called")
    # PyObject_HEAD, a reference, and then the SSL*: Modules/_ssl.c, PySSLSocket.
    python_side: object = vars(stream.ssl_object)["_sslobj"]
    inside = id(python_side) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    connection = ctypes.c_void_p.from_address(inside)
    return int(getattr(openssl, function)(connection, *arguments))


def key_updates(stream: TlsStream, count: int) -> bytes:
    """The records of requests for new keys, from a stream of which nothing else is on its way."""
    for _ in range(count):
        assert called(stream, "SSL_key_update", 1) == 1
        called(stream, "SSL_do_handshake")
    return stream.outgoing.read()
