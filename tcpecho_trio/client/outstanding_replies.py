"""Whether the server has answered everything that was sent, in a stream of any length.

The rule is that of :mod:`tcpecho_trio.client.replies`: a line has a line as its reply. So the
lines that went out and those that came back are counted. The last of them may lack its end.

To count the lines of everything costs as much as to move it. But text that is ASCII and mentions no
command comes back in exactly as many bytes. So behind the first :data:`COUNTED` bytes such text is
counted by its length alone. As soon as anything else is sent, lines are counted again from there
on. What was sent before has as many bytes of replies, so it is known where the replies to the rest
begin.
"""

from __future__ import annotations

from tcpecho_trio.client.replies import Ending, ending_of
from tcpecho_trio.dialects import Command, Dialect

COUNTED = 1_048_576
"""Bytes sent whose lines are counted in any case: all of an ordinary conversation, where the
server may well answer in other words than those of the dialect that the client was told."""

KEPT = 1024
"""Bytes of a line without an end that are kept, to be shown."""


class _Lines:
    """Counts the lines of a stream, the last of which may lack its end."""

    def __init__(self) -> None:
        self.ended = 0
        self.open = False

    def add(self, data: bytes) -> None:
        if data:
            self.ended += data.count(b"\n")
            self.open = not data.endswith(b"\n")

    def __len__(self) -> int:
        return self.ended + self.open


class OutstandingReplies:
    """What was sent, what has been received, and whether that is all."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._sent = self._received = 0  # bytes
        self._plain = True  # all of it is ASCII without a command: as many bytes come back
        self._by_length = False
        self._base = 0  # where the counted lines begin, in what was sent and in the replies
        self._lines_sent, self._lines_received = _Lines(), _Lines()
        self._tail = b""  # the end of what was sent, long enough to hold a word and its ends
        self.unfinished = b""
        """The start of the last line received, if that has no end yet."""

    def sent(self, data: bytes) -> None:
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

    def received(self, data: bytes) -> bool:
        """Count what has come back; whether a line has ended in it."""
        if not self._by_length:
            ahead = self._base - self._received  # replies to what was sent before the base
            self._lines_received.add(data if ahead <= 0 else data[ahead:])
        self._received += len(data)
        end = data.rfind(b"\n") + 1
        if end:
            self.unfinished = data[end : end + KEPT]
        elif len(self.unfinished) < KEPT:
            self.unfinished += data[:KEPT]
        return end > 0

    @property
    def owed(self) -> bool:
        """Whether something that was sent has no complete reply yet."""
        if self._by_length:
            return self._received < self._sent
        sent, received = self._lines_sent, self._lines_received
        return (
            self._received < self._base or received.ended < sent.ended or len(received) < len(sent)
        )

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
        return self._received < self._base or len(self._lines_received) < due

    @property
    def leaves(self) -> bool:
        """Whether the last line of what was sent asked the server to close."""
        command = self._last_command
        return command is not None and command.leaves

    @property
    def ends_by_gap(self) -> bool:
        """Whether only silence shows that the last reply is complete."""
        return ending_of(self._last_command) is Ending.GAP

    @property
    def _last_command(self) -> Command | None:
        return self._dialect.command_in(self._tail.removesuffix(b"\n").rpartition(b"\n")[2])

    def _mentions_word(self, data: bytes) -> bool:
        dialect = self._dialect
        return dialect.mentions_word(data) or dialect.mentions_word(
            self._tail + data[: dialect.longest]  # where the chunks meet
        )

    def _count_lines_again(self) -> None:
        """From the start of the line that is open: it may be part of a command."""
        line = self._tail.rpartition(b"\n")[2]
        self._base = self._sent - len(line)
        self._lines_sent, self._lines_received = _Lines(), _Lines()
        self._lines_received.add(line[: max(0, self._received - self._base)])
