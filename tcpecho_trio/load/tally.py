"""What a load has seen so far: counters that its parts add to, and what is read off them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tcpecho_trio.load.histogram import Counts, Histogram, new_counts

KINDS = (
    *("wrong", "late", "missing", "unexpected", "unsent"),
    *("closed", "reset", "refused", "full", "connect_timeout", "tls", "local"),
)
"""The kinds of errors, in the order in which they are told; the names are an interface.

=================== ========================================================================
``wrong``           a reply that is not what it must be
``late``            a right reply that took longer than the timeout
``missing``         a reply that did not come: not until the end, or the connection ended first
``unexpected``      something came that nobody had asked for
``unsent``          a message that was due, and that could not be sent until the end
``closed``          the server closed a connection
``reset``           a connection was reset, or broke otherwise
``refused``         a connection was refused, or its server could not be reached
``full``            the server said that it has no room, and closed
``connect_timeout`` a connection, with its TLS handshake, took longer than the timeout
``tls``             no agreement on TLS
``local``           this machine ran out of something: ports, descriptors, memory
=================== ========================================================================
"""

MOST_SAMPLES = 3
"""Wrong replies that are kept to be shown."""

LONGEST_SAMPLE = 200
"""Bytes of each that are kept."""


@dataclass(frozen=True, slots=True)
class WrongReply:
    """A reply that was wrong.

    Args:
      connection: number of the connection, from 0.
      expected: how the reply should have begun.
      received: how it began.
    """

    connection: int
    expected: bytes
    received: bytes


@dataclass(slots=True)
class Tally:
    """Counters of a load.

    Attributes:
      two_clocks: whether messages may be due before they are sent.
      sent: messages that have been sent.
      limit: no message with this number, or a higher one, is sent any more.
      since_due, since_sent: latencies of the replies since they were counted last; the same
        object without `two_clocks`.
      lateness: how late the generator itself noticed that a message was due.
      connecting, handshaking: how long that took.
      errors: by kind.
      replied: replies that came and were right, but for those in `since_sent`.
      cut: messages whose replies were still under way when the load was ended early.
      connections: how many there are now.
      last_reply: when the last reply came, in nanoseconds.
    """

    two_clocks: bool
    sent: int = 0
    limit: float = 0
    since_sent: Counts = field(default_factory=new_counts)
    since_due: Counts = field(default_factory=new_counts)
    lateness: Counts = field(default_factory=new_counts)
    connecting: Counts = field(default_factory=new_counts)
    handshaking: Counts = field(default_factory=new_counts)
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    replied: int = 0
    cut: int = 0
    connections: int = 0
    last_reply: int = 0
    samples: deque[WrongReply] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if not self.two_clocks:
            self.since_due = self.since_sent

    def wrong(self, connection: int, expected: bytes, received: bytes) -> None:
        """A reply is not what it must be."""
        self.errors["wrong"] += 1
        if len(self.samples) < MOST_SAMPLES:
            self.samples.append(
                WrongReply(connection, expected[:LONGEST_SAMPLE], received[:LONGEST_SAMPLE])
            )

    def take(self) -> tuple[Histogram, Histogram]:
        """The latencies since the last time, since due and since sent; they are counted anew."""
        service = Histogram(self.since_sent)
        due = Histogram(self.since_due) if self.two_clocks else service
        self.since_sent.clear()
        self.since_due.clear()
        self.replied += service.total
        return due, service
