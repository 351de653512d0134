"""Trio's own TLS client, against a server in the test: a second opinion on our stream."""

from __future__ import annotations

import struct

import trio

from tcpecho_trio.server.close_reason import CloseReason
from tests.support.certificates import Certificates
from tests.support.running import Running, read_all

SECURED = trio.SSLStream[trio.SocketStream]
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close(2) resets the connection (socket(7))."""

FAREWELL = "Conexión cerrada\n".encode()


async def connect(server: Running, certificates: Certificates) -> SECURED:
    """A client that has shaken hands."""
    stream = certificates.secured(await server.connect())
    await stream.do_handshake()
    return stream


async def ask(stream: SECURED, data: bytes) -> bytes:
    """Send, and everything until a close_notify."""
    await stream.send_all(data)
    return await read_all(stream)


async def refusal(server: Running) -> str:
    """What the server told of the one handshake that it refused."""
    (told,) = await server.told.wait_for("tls_refused")
    assert server.told.named("connected") == server.told.named("crashed") == []
    assert server.registry.close_reasons == {CloseReason.TLS_HANDSHAKE: 1}
    return str(told["error"])
