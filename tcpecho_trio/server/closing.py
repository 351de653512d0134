"""How a connection is closed: in an orderly way, or with a reset."""

from __future__ import annotations

import contextlib
import socket
import struct

import trio

from tcpecho_trio.server.sockets import bottom

RECEIVE_SIZE = 65536
"""Bytes discarded at a time."""

LINGER_TIME = 2.0
"""Seconds to wait for the peer's close after ours (a lingering close; nginx waits 5 s,
Apache 2 s): without it unread input turns close(2) into a reset, which destroys replies
that are still on their way (RFC 1122 §4.2.2.13, RFC 9112 §9.6)."""

LINGER_BYTES = 256 * 1024
"""Bytes discarded meanwhile. A client that sends more is not about to read."""


async def linger(stream: trio.abc.HalfCloseableStream) -> None:
    """Half-close, then discard input until the peer closes too; the caller bounds the time."""
    await stream.send_eof()
    room = LINGER_BYTES
    while room > 0 and (discarded := await stream.receive_some(RECEIVE_SIZE)):
        room -= len(discarded)


def reset_on_close(stream: object) -> None:
    """Make the close of a socket a reset: what is still to be sent is dropped (socket(7)).

    Also where the socket lies below TLS, or below a fault.
    """
    below = bottom(stream)
    if isinstance(below, trio.SocketStream):
        with contextlib.suppress(OSError):
            below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
