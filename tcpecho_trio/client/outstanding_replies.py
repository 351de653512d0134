"""Whether the server has answered everything that was sent, in a stream of any length.

A reply for each message: so the lines that went out and those that came back are counted (the
last of them may lack its end). Counting the lines of everything costs as much as moving it,
though, and text that is ASCII and mentions no command comes back in exactly as many bytes. So
from :data:`COUNTED` on such text is counted by its length alone. As soon as there is anything
else, lines are counted from there on: what was sent before it has as many bytes of replies, so
one knows where the replies to the rest begin.
"""

from __future__ import annotations

from tcpecho_trio.dialects import Dialect

COUNTED = 1_048_576
"""Bytes sent whose lines are counted in any case: all of an ordinary conversation, where the
server may well answer in other words than those of the dialect that the client was told."""


class _Lines:
    """Counts the lines of a stream, the last of which may lack its end."""

    def __init__(self) -> None:
        self._ended = 0
        self._open = False

    def add(self, data: bytes) -> None:
        if data:
            self._ended += data.count(b"\n")
            self._open = not data.endswith(b"\n")

    def __len__(self) -> int:
        return self._ended + self._open


class OutstandingReplies:
    """What was sent, what has been heard, and whether that is all."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._sent = self._heard = 0  # bytes
        self._plain = True  # all of it is ASCII without a command: as many bytes come back
        self._by_length = False
        self._base = 0  # where the counted lines begin, in what was sent and in the replies
        self._lines_sent, self._lines_heard = _Lines(), _Lines()
        self._tail = b""  # the end of what was sent, long enough to hold a word and its ends

    def send(self, data: bytes) -> None:
        """Count what is about to be sent."""
        if self._plain:
            self._plain = data.isascii() and not self._mentions_word(data)
            if not self._plain and self._by_length:
                self._count_lines_again()
            self._by_length = self._plain and self._sent >= COUNTED
        if not self._by_length:
            self._lines_sent.add(data)
        self._sent += len(data)
        keep = self._dialect.longest + 3
        self._tail = data[-keep:] if len(data) >= keep else (self._tail + data)[-keep:]

    def hear(self, data: bytes) -> None:
        """Count what has come back."""
        if not self._by_length:
            ahead = self._base - self._heard  # replies to what was sent before the base
            self._lines_heard.add(data if ahead <= 0 else data[ahead:])
        self._heard += len(data)

    @property
    def owed(self) -> bool:
        """Whether something that was sent has no reply yet."""
        if self._by_length:
            return self._heard < self._sent
        return self._heard < self._base or len(self._lines_heard) < len(self._lines_sent)

    @property
    def between_lines(self) -> bool:
        """Whether what was sent ends with a line."""
        return self._tail.endswith(b"\n")

    @property
    def lost(self) -> bool:
        """Whether a reply is missing, now that no more will come: a last farewell may be."""
        if self._by_length:
            return self.owed
        due = len(self._lines_sent) - self.leaves
        return self._heard < self._base or len(self._lines_heard) < due

    @property
    def leaves(self) -> bool:
        """Whether the last line of what was sent asked the server to close."""
        last = self._tail.removesuffix(b"\n").rpartition(b"\n")[2]
        command = self._dialect.command_in(last)
        return command is not None and command.leaves

    def _mentions_word(self, data: bytes) -> bool:
        dialect = self._dialect
        return dialect.mentions_word(data) or dialect.mentions_word(
            self._tail + data[: dialect.longest]  # where the chunks meet
        )

    def _count_lines_again(self) -> None:
        """From the start of the line that is open: it may be part of a command."""
        line = self._tail.rpartition(b"\n")[2]
        self._base = self._sent - len(line)
        self._lines_sent, self._lines_heard = _Lines(), _Lines()
        self._lines_sent.add(line)
        self._lines_heard.add(line[: max(0, self._heard - self._base)])
