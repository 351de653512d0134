"""Reading from and writing to a socket that does not block, without a wait.

Where a socket is a file (POSIX), read(2) and write(2) of :mod:`os` are the shortest way. Elsewhere
(Windows) the socket's own calls do the same.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SOCKETS_ARE_FILES = os.name == "posix"
"""Whether read(2) and write(2) take a socket."""


@contextmanager
def _borrowed(handle: int) -> Iterator[socket.socket]:
    """A socket object for a handle that another object owns."""
    borrowed = socket.socket(fileno=handle)
    try:
        yield borrowed
    finally:
        borrowed.detach()


def receive(handle: int, size: int) -> bytes:
    """What has come, at most so many bytes; empty at the end of input.

    Raises:
      BlockingIOError: nothing has come.
      OSError: the connection broke.
    """
    with _borrowed(handle) as sock:
        return sock.recv(size)


def send(handle: int, data: bytes | memoryview) -> int:
    """Send what the socket takes now; return how many bytes that were.

    Raises:
      BlockingIOError: it takes nothing.
      OSError: the connection broke.
    """
    with _borrowed(handle) as sock:
        return sock.send(data)


read: Callable[[int, int], bytes] = os.read if SOCKETS_ARE_FILES else receive
write: Callable[[int, bytes | memoryview], int] = os.write if SOCKETS_ARE_FILES else send


def bottom(stream: object) -> object:
    """What lies below all layers of a stream (TLS, faults): the socket, if there is one."""
    while (below := getattr(stream, "below", None)) is not None:
        stream = below
    return stream
