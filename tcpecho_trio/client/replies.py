"""When is a reply complete? The one answer, for the library, the prompt, the pipe and raw.

======================= ===================================================================
the message             its reply is complete
======================= ===================================================================
a line of text          with its line feed
a word that lists       when :data:`GAP` has passed after its last line: nothing marks its end
anything, framing raw   when :data:`GAP` has passed after its last byte
======================= ===================================================================

At the end of the connection whatever has come is complete.

:class:`Replies` cuts what a server sends into replies, and :mod:`outstanding_replies
<tcpecho_trio.client.outstanding_replies>` only counts them, for streams of any length. Nothing
here reads, sends or waits: the client does, and tells what has come, and when nothing has.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

from tcpecho_trio.dialects import Action, Command
from tcpecho_trio.errors import ReplyTooLong

Framing = Literal["line", "raw"]
"""What ends a message: an LF, or the end of a ``send()``."""

GAP = 0.1
"""Seconds of silence that end a reply whose end nothing marks. A server sends such a reply at
once, so its segments follow each other in far less; a person notices no tenth of a second."""

REPLY_LIMIT = 16 * 1_048_576
"""Bytes of a reply that are kept, beside three bytes for each byte of its message (upper case
makes UTF-8 at most three times as long). A list of 500 000 clients fits. Without a limit a server
that never ends its reply would fill the memory."""


class Ending(enum.Enum):
    """What shows that a reply is complete."""

    LINE_FEED = "line feed"
    GAP = "gap"


def ending_of(command: Command | None, framing: Framing = "line") -> Ending:
    """What ends the reply to a message.

    Args:
      command: what the server will take the message for; None for text.
      framing: how the client and the server tell messages apart.
    """
    lists = command is not None and command.action is Action.LIST
    return Ending.GAP if lists or framing == "raw" else Ending.LINE_FEED


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of what the server says.

    Args:
      text: a line; with framing raw a whole reply. None when silence alone ended a list.
      complete: the reply that is due is complete with this.
      ended: the line had its line feed, or the connection was at its end.
    """

    text: str | None
    complete: bool
    ended: bool = True


@dataclass(slots=True)
class _Due:
    """A reply that has not come yet, or not all of it."""

    ending: Ending
    room: int  # bytes that may still come


class Replies:
    """What a server says, cut into replies.

    Tell it what was sent (:meth:`expect`), what came (:meth:`feed`) and that nothing came for
    :attr:`gap` seconds (:meth:`quiet`); then take what there is (:meth:`next_part`).
    """

    def __init__(self, framing: Framing = "line") -> None:
        self.closed = False
        """Whether the server has said its last."""
        self._framing = framing
        self._buffer = bytearray()
        self._scanned = 0  # buffer[:scanned] has no LF: never look twice
        self._due: deque[_Due] = deque()
        self._in_list = False  # the first line of a list has come, and perhaps not its last
        self._quiet = False

    def expect(self, command: Command | None, size: int = 0) -> None:
        """A message is being sent, and will have a reply.

        Args:
          command: what the server will take it for.
          size: its bytes.
        """
        self._due.append(_Due(ending_of(command, self._framing), REPLY_LIMIT + 3 * size))

    def feed(self, data: bytes) -> None:
        """Bytes have come; empty at the end of the connection."""
        self._buffer += data
        self._quiet = False
        self.closed = self.closed or not data

    def quiet(self) -> None:
        """Nothing has come for :attr:`gap` seconds."""
        self._quiet = True

    @property
    def gap(self) -> float:
        """Seconds of silence that would complete a reply now; infinite if none would."""
        if self._framing == "raw":
            return GAP if self._buffer else math.inf
        return GAP if self._in_list and not self._buffer else math.inf

    @property
    def due(self) -> int:
        """How many replies are not complete yet."""
        return len(self._due)

    @property
    def has_unfinished(self) -> bool:
        """Whether bytes have come that are no complete line, or reply, yet."""
        return bool(self._buffer)

    @property
    def unfinished(self) -> str:
        """What has come of a line, or reply, that is not complete."""
        return self._buffer.decode("utf-8", "surrogateescape")

    def next_part(self) -> Part | None:
        """The next piece of what has come; None when more has to come first.

        Raises:
          ReplyTooLong: the reply is longer than anybody can want to keep.
        """
        if self._framing == "raw":
            return self._raw_part()
        end = self._buffer.find(b"\n", self._scanned)
        if end >= 0:
            return self._line(end)
        self._scanned = len(self._buffer)
        if self._buffer and self.closed:
            return self._line(self._scanned)
        if self._in_list and (self.closed or (self._quiet and not self._buffer)):
            self._complete()
            return Part(None, complete=True)
        self._check(self._scanned)
        return None

    def take_unfinished(self) -> Part:
        """Take what has come of a line as if it were a whole one."""
        self._scanned = 0
        text = self._text(len(self._buffer))
        self._complete()
        return Part(text, complete=True, ended=False)

    def forget(self) -> None:
        """Drop what has come and was not taken: it is no reply."""
        self._buffer.clear()
        self._scanned = 0

    def _line(self, end: int) -> Part:
        """The line that ends here; an end of input counts as a line feed."""
        self._check(end)
        lists = bool(self._due) and self._due[0].ending is Ending.GAP
        if lists:
            self._due[0].room -= end + 1
        text = self._text(end)
        complete = not lists or (self.closed and not self._buffer)
        if complete:
            self._complete()
        else:
            self._in_list, self._quiet = True, False
        return Part(text, complete=complete)

    def _raw_part(self) -> Part | None:
        if not self._buffer or not (self._quiet or self.closed):
            self._check(len(self._buffer))
            return None
        end = len(self._buffer) - self._buffer.endswith(b"\n")
        text = self._text(end)
        self._complete()
        return Part(text, complete=True)

    def _check(self, size: int) -> None:
        if size > (self._due[0].room if self._due else REPLY_LIMIT):
            raise ReplyTooLong("reply_too_long", limit=REPLY_LIMIT >> 20)

    def _text(self, end: int) -> str:
        """Take this much, and the line feed behind it."""
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")

    def _complete(self) -> None:
        self._in_list = self._quiet = False
        if self._due:
            self._due.popleft()
