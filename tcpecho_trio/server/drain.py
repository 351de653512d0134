"""How much of a client is answered once the drain has begun: what it may have sent before."""

from __future__ import annotations

import socket

import trio

from tcpecho_trio.server.sockets import bottom
from tcpecho_trio.tls.stream import TlsStream

PEERS_BUFFER = 4 * 1024 * 1024
"""Bytes that a client's own socket holds at most: where tcp_wmem ends (tcp(7))."""


def on_its_way(stream: object) -> int:
    """How many bytes may lie between a client's ``send()`` and our ``recv()``, at most.

    They are in its socket, on the network, or in ours. What is not in its own any more fits into
    ours (SO_RCVBUF, socket(7)), because it sends no more than that. So all that was sent before the
    drain is answered, and a client that never stops sending does not hold up the end.
    """
    socket_below = bottom(stream)
    if not isinstance(socket_below, trio.SocketStream):
        return PEERS_BUFFER
    return PEERS_BUFFER + int(socket_below.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))


def taken_in(stream: object) -> int:
    """How many bytes a stream over TLS has received, of which some may be no message yet."""
    while not isinstance(stream, TlsStream):
        stream = getattr(stream, "below", None)
        if stream is None:
            return 0
    return stream.taken_in
