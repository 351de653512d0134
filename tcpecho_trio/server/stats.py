"""Counters: what passed on each connection, and on all of them.

The pump and :class:`~tcpecho_trio.server.conversation.Conversation` add to a connection's counters
inline. Nothing else is done in the hot path. Totals are made when somebody asks for them: those of
the closed connections, plus a sum over the open ones.

What is counted as a message
============================
A message is counted when its first byte comes. A line client's message ends with LF. Each chunk
of a client that has never sent an LF is a message of its own, unless it continues a chunk that
is still held (see :mod:`tcpecho_trio.protocol`). A reply is counted when the socket has taken it
whole. A message without a reply (the word of a client that has gone) has none to count.

Bytes are always counted. Messages are counted where somebody looks: a subscriber to messages or to
counters, or a dialect that reports. To count the LFs of a chunk (:func:`count_lines`) is nothing
for a short line, and up to a third of all the work for 64 KiB.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass

SHORT = 256
"""Bytes from which on the LFs of a chunk are counted in the longer way."""

STRIDE = 509
"""Every so-manieth byte of a chunk is looked at first; a prime, so that it meets no line length."""

DENSE = 1 / 32 if sys.version_info < (3, 14) else 1 / 64
"""The share of LFs from which on to look at each byte is the quicker way."""


def count_lines(data: bytes) -> int:
    """How many LFs are in a chunk.

    ``bytes.count`` looks at each byte: 64 KiB take 20 µs with Python 3.11, 40 with 3.13, and 14
    with 3.14. ``bytes.replace`` finds its bytes with memchr(3). It takes 3 µs where the lines are
    long, 13 where they have 64 bytes, and 50 where they have 16.
    """
    if len(data) < SHORT or data[::STRIDE].count(b"\n") > DENSE * len(data) / STRIDE:
        return data.count(b"\n")
    return len(data) - len(data.replace(b"\n", b""))


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

    Args:
      now: the clock of the run.
      messages: whether messages are counted.
      read_sizes: whether the sizes of reads are kept, for a dialect that reports them.

    Attributes:
      opened_at: when the conversation began, on the clock of the run.
      active: when a byte came or went last, on that clock. The pump stamps it to a slice.
      bytes_in, bytes_out: bytes received and sent, TLS and PROXY headers apart.
      messages_in: messages received; None if nobody counts.
      unanswered: how many of them have no reply yet, or not all of it.
      read_sizes: the sizes of the latest reads; None if nobody asks.
      short: whether its lines have been short lately, so that a short read will do.
    """

    __slots__ = (
        "active",
        "bytes_in",
        "bytes_out",
        "messages_in",
        "opened_at",
        "read_sizes",
        "short",
        "unanswered",
    )

    def __init__(self, now: float, *, messages: bool = True, read_sizes: bool = False) -> None:
        self.opened_at = self.active = now
        self.bytes_in = self.bytes_out = 0
        self.messages_in: int | None = 0 if messages else None
        self.unanswered = 0
        self.read_sizes = ReadSizes() if read_sizes else None
        self.short = False

    @property
    def messages_out(self) -> int | None:
        """Replies sent; None if nobody counts."""
        return None if self.messages_in is None else self.messages_in - self.unanswered

    def received(self, data: bytes, messages: int) -> None:
        """Count a chunk, and the messages that began in it."""
        self.bytes_in += len(data)
        if self.messages_in is not None:
            self.messages_in += messages
            self.unanswered += messages
        if self.read_sizes is not None:
            self.read_sizes.add(len(data))

    def answered(self, unanswered: int) -> int:
        """All messages but so many have their replies; return how many more that are now."""
        if self.messages_in is None:
            return 0
        before, self.unanswered = self.unanswered, unanswered
        return before - unanswered


@dataclass(slots=True)
class Totals:
    """Sums over connections: bytes and messages in both directions.

    ``messages_…`` are None where nobody counts messages.
    """

    bytes_in: int = 0
    bytes_out: int = 0
    messages_in: int | None = 0
    messages_out: int | None = 0

    def add(self, stats: ConnectionStats | Totals) -> None:
        """Add what these counters say."""
        self.bytes_in += stats.bytes_in
        self.bytes_out += stats.bytes_out
        if stats.messages_in is None or self.messages_in is None:
            self.messages_in = self.messages_out = None
        else:
            self.messages_in += stats.messages_in
            self.messages_out = (self.messages_out or 0) + (stats.messages_out or 0)
