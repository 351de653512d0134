"""Counters: what passed on each connection, and on all of them.

The pump and :class:`~tcpecho_trio.server.connection.Connection` add to a connection's counters
inline, some 70 ns a message. Nothing else is done in the hot path. Totals are made when somebody
asks for them: those of the closed connections, plus a sum over the open ones.

What is counted as a message
============================
A message is counted when its first byte comes. A line client's message ends with LF. Each chunk
of a client that has never sent an LF is a message of its own, unless it continues a chunk that
is still held (see :mod:`tcpecho_trio.protocol`). A reply is counted when the socket has taken it
whole. A message without a reply (the word of a client that has gone) is not counted as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

READ_SIZES = 64
"""Read sizes that are kept, the latest: enough to see how a message was cut on its way."""


class ReadSizes:
    """How many reads there were, and the sizes of the latest :data:`READ_SIZES`."""

    __slots__ = ("count", "latest")

    def __init__(self) -> None:
        self.count = 0
        self.latest: deque[int] = deque(maxlen=READ_SIZES)

    def add(self, size: int) -> None:
        """One read returned so many bytes."""
        self.count += 1
        self.latest.append(size)


class ConnectionStats:
    """The counters of one connection.

    Attributes:
      opened_at: when the conversation began, on the clock of the run.
      active: when a byte came or went last, on that clock. The pump stamps it to a slice.
      bytes_in, bytes_out: bytes received and sent, TLS and PROXY headers apart.
      messages_in, messages_out: messages received, and replies sent.
      read_sizes: for a dialect that reports them; else None.
    """

    __slots__ = (
        "active",
        "bytes_in",
        "bytes_out",
        "messages_in",
        "messages_out",
        "opened_at",
        "read_sizes",
    )

    def __init__(self, now: float, *, read_sizes: bool = False) -> None:
        self.opened_at = self.active = now
        self.bytes_in = self.bytes_out = 0
        self.messages_in = self.messages_out = 0
        self.read_sizes = ReadSizes() if read_sizes else None

    def received(self, data: bytes, messages: int) -> None:
        """Count a chunk, and the messages that began in it."""
        self.bytes_in += len(data)
        self.messages_in += messages
        if self.read_sizes is not None:
            self.read_sizes.add(len(data))


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over connections: bytes and messages in both directions."""

    bytes_in: int = 0
    bytes_out: int = 0
    messages_in: int = 0
    messages_out: int = 0

    def plus(self, connections: Iterable[ConnectionStats]) -> Totals:
        """These sums, with the counters of some connections added."""
        sums = [self.bytes_in, self.bytes_out, self.messages_in, self.messages_out]
        for stats in connections:
            sums[0] += stats.bytes_in
            sums[1] += stats.bytes_out
            sums[2] += stats.messages_in
            sums[3] += stats.messages_out
        return Totals(*sums)
