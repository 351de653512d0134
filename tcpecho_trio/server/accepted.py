"""What a stage of the admission takes and returns: an accepted connection, or a rejection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import Event
from tcpecho_trio.server.faults import Fault
from tcpecho_trio.server.peer import Peer


@dataclass(frozen=True, slots=True)
class AcceptedConnection:
    """A connection on its way to its conversation.

    Args:
      stream: what the next stage talks over.
      socket: the bare connection below it.
      peer: whose socket it is.
      info: what is known so far.
      trusted: whether the client is on this machine.
      host: the client's IP address; empty where it has none, or where nobody knows it.
      faults: what it will be made to suffer.
    """

    stream: trio.abc.HalfCloseableStream
    socket: trio.SocketStream
    peer: Peer
    info: ConnectionInfo
    trusted: bool
    host: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A connection whose client may not talk.

    Args:
      reason: why.
      event: what subscribers are told.
      reply: sent to the client before the close.
      linger: whether the close waits until the client has read what was sent to it. Otherwise it
        is a reset, but for a client that has left by itself.
    """

    reason: CloseReason
    event: Event
    reply: bytes = b""
    linger: bool = False


Outcome = AcceptedConnection | Rejection

Stage = Callable[[AcceptedConnection], Awaitable[Outcome]]
"""One step of the admission. It raises ``OSError`` or ``trio.BrokenResourceError`` if the client
has left; a cancellation loses nothing but the connection."""
