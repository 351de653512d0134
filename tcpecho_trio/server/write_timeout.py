"""Sending to a peer that may read slowly, or not at all.

How long a send may take says nothing: a large reply to a slow peer takes its time. What is bounded
is the time *without progress*: each time the socket takes more, the period begins anew, as with
nginx's ``send_timeout``. A socket that was full takes more only once the peer has acknowledged
some 8 KiB, because Trio sets ``TCP_NOTSENT_LOWAT`` to 16 KiB (tcp(7)). With a period of half a
minute a peer that reads a few hundred bytes a second is kept. One that reads a byte a second, to
hold a descriptor, is not. Without that option the socket of a bulk transfer would take nothing more
until a megabyte has been read, and a slow peer would look like a dead one.
"""

from __future__ import annotations

import trio

from tcpecho_trio.server.sockets import write

PIECE = 16 * 1024
"""Bytes sent at a time to a stream that is not a bare socket, where only a whole piece shows
progress: what a TLS record holds (RFC 8446 §5.1)."""


class WriteTimeout(Exception):
    """The peer made no progress for too long; an unknown part has been sent."""


async def send_all(stream: trio.abc.SendStream, data: bytes | memoryview, period: float) -> None:
    """Send everything, as long as the peer makes progress.

    Always a checkpoint. Cancelled, it has sent an unknown part.

    Args:
      stream: where to; one that says it is ``patient`` minds the time itself, below.
      data: what to send.
      period: seconds in which some progress has to be made.

    Raises:
      WriteTimeout: there was none.
      trio.BrokenResourceError: the connection broke.
    """
    if getattr(stream, "patient", False):
        await stream.send_all(data)
    elif isinstance(stream, trio.SocketStream):
        try:
            await _send_to_socket(stream.socket, data, period)
        except OSError as error:
            raise trio.BrokenResourceError(f"socket connection broken: {error}") from error
    else:
        await _send_in_pieces(stream, data, period)


async def _send_in_pieces(
    stream: trio.abc.SendStream, data: bytes | memoryview, period: float
) -> None:
    for start in range(0, len(data), PIECE):
        with trio.move_on_after(period) as waiting:
            await stream.send_all(data[start : start + PIECE])
        if waiting.cancelled_caught:
            raise WriteTimeout(f"it took nothing for {period:g} s")


async def _send_to_socket(
    sock: trio.socket.SocketType, data: bytes | memoryview, period: float
) -> None:
    try:
        # Most replies fit, and need no deadline.
        sent = write(sock.fileno(), data)
    except BlockingIOError:
        sent = 0
    if sent == len(data):
        await trio.lowlevel.checkpoint()
    view = memoryview(data)[sent:]
    while view:
        with trio.move_on_after(period) as waiting:
            view = view[await sock.send(view) :]
        if waiting.cancelled_caught:
            raise WriteTimeout(f"it took nothing for {period:g} s")
