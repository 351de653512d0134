"""Joins a browser's connection, which one process has, with a socket of which another has the end.

Frames of WebSockets pass as they are; the process at the other end understands them.
"""

from __future__ import annotations

import socket
from contextlib import suppress

import trio

from tcpecho_trio.server import write_timeout

BUFFER = 64 * 1024
"""Bytes that may wait in the socket, each way: whoever does not read shall fill little."""

RECEIVE_SIZE = 16 * 1024
"""Bytes that are passed at a time."""


def socket_pair() -> tuple[trio.SocketStream, socket.socket]:
    """Our end, and the one to be given away.

    Raises:
      OSError: there are no descriptors left.
    """
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    ours.setblocking(False)
    return trio.SocketStream(trio.socket.from_stdlib_socket(ours)), theirs


async def bridge(
    browser: trio.abc.Stream, begun: bytes, end: trio.SocketStream, period: float
) -> None:
    """Pass everything both ways until the other process closes.

    Args:
      browser: its connection; stays open.
      begun: what has been received from it already.
      end: our end of the socket; closed.
      period: seconds in which the browser has to take some of what is sent to it.

    Raises:
      trio.BrokenResourceError: the browser has gone.
      WriteTimeout: it does not read.
    """
    async with end, trio.open_nursery() as nursery:
        nursery.start_soon(_pass_on, browser, begun, end)
        while data := await _received(end):
            await write_timeout.send_all(browser, data, period)
        nursery.cancel_scope.cancel()


async def _pass_on(browser: trio.abc.Stream, begun: bytes, end: trio.SocketStream) -> None:
    """What the browser sends; its end is passed on, and the other process decides what follows."""
    with suppress(trio.BrokenResourceError):
        data = begun or await _received(browser)
        while data:
            await end.send_all(data)
            data = await _received(browser)
        await end.send_eof()


async def _received(stream: trio.abc.ReceiveStream) -> bytes:
    """Some bytes; none at the end, or when it is broken."""
    try:
        return bytes(await stream.receive_some(RECEIVE_SIZE))
    except trio.BrokenResourceError:
        return b""
