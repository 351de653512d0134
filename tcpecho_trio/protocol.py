"""The protocol as a sans-I/O state machine: no trio, no sockets, no clock.

The theory
==========
The reply is a *stream transform*: ``upper(bytes received)``, passed on as soon as it is
certain that it is not part of a command. So a message of any length costs O(1) memory, LF
comes back as LF and CRLF as CRLF, and where the network cut the stream never shows.

A command is a message that equals a word of the dialect exactly, once at most
:data:`~tcpecho_trio.dialects.MAX_BLANKS` trailing blanks are cut off. What a message *is*
depends on the client, and nobody says which kind it is:

- a **line** client ends each message with LF or CRLF;
- an **unframed** client makes one ``send()`` and waits for the answer.

So two candidates are kept, each dropped as soon as it can no longer become a command:

``line``
    the bytes since the last LF (or the start, or the last command obeyed). Decided when its
    LF arrives. It outlives a quiet flush, so a person who types a character at a time is
    understood. A last line without its LF is not a message: it is answered, never obeyed.
``burst``
    the bytes since the connection last *settled*: a quiet period, or the start of a chunk
    when nothing was held. Kept only while no LF has ever been seen. Decided by a quiet
    period, or by the end of input.

Bytes of a living candidate are **held**: at most ``dialect.longest``, and up to 3 bytes of
a UTF-8 sequence whose rest has not come yet. The first LF makes the client a line client
for good, and from then on no quiet period is ever asked for.

The table
=========
Every (state, input) pair; :attr:`Protocol.state` names the state.

========== =============================== ========================= =====================
state      data                            quiet                     eof
========== =============================== ========================= =====================
UNDECIDED  answer what is certain, hold    decide the burst: obey    decide the burst: obey
           the rest; first LF → LINES      it or answer it           it or answer it
                                                                     → FINISHED
LINES      answer and obey whole lines,    nothing                   answer what is held
           hold a line that may be a                                 → FINISHED
           command
FINISHED   nothing                         nothing                   nothing
========== =============================== ========================= =====================

A disconnecting command → FINISHED from anywhere, and what follows it is not answered.
So does, in a dialect whose words have power over others (``Dialect.guarded``), a client that turns
out to speak another protocol: HTTP by how its first line ends, TLS by its first two bytes.

Text is UTF-8 with ``surrogateescape``: bytes that are not UTF-8 come back unchanged, so
nothing is lost and no client is disconnected for it. ``str.upper()`` maps code point by code
point (Unicode 3.13, default case conversion; upper-casing has no context conditions), so
it commutes with splitting. Commands are compared before upper-casing: ``deſconexıon``
becomes DESCONEXION, but is not the command.
"""

from __future__ import annotations

import enum
import re
from codecs import utf_8_decode
from dataclasses import dataclass
from typing import TypeAlias

from tcpecho_trio.dialects import Command, Dialect

LF = 0x0A
"""The byte that ends a line. To look at a number is cheaper than to cut out a byte."""

TLS_HELLO = b"\x16\x03"
"""How a TLS connection begins: a handshake record of some version 3.x (RFC 8446 §5.1)."""

HTTP_REQUEST_LINE = re.compile(rb" HTTP/[0-9](?:\.[0-9])?\r?\Z")
"""How the first line of an HTTP connection ends, LF apart, whatever its method and its target
(RFC 9112 §3; RFC 9113 §3.4 for HTTP/2)."""

OPENING = 16
"""Bytes of the first line that are kept to recognise that: more than the pattern can match."""


class State(enum.Enum):
    """Where the conversation stands; the module's docstring has the table."""

    UNDECIDED = "undecided"
    LINES = "lines"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Request:
    """A command to obey, and the terminator that its message had: LF, CRLF or nothing."""

    command: Command
    terminator: bytes


@dataclass(frozen=True, slots=True)
class Foreign:
    """The client speaks another protocol, ``HTTP`` or ``TLS``: to be cut."""

    protocol: str


Output: TypeAlias = bytes | Request | Foreign


class Protocol:
    """One client's side of the conversation, as a machine fed with what its socket yields.

    Each ``receive_…`` returns what is now due, in the order of the input: ``bytes`` are a
    reply ready to be sent (never empty, never two in a row), a :class:`Request` is to be
    obeyed, a :class:`Foreign` is the last that comes. No method raises for anything that a
    peer can send.
    """

    __slots__ = (
        "_burst",
        "_head",
        "_held",
        "_marks",
        "_open",
        "_opening",
        "_settled",
        "_steady",
        "_upper",
        "begun",
        "dialect",
        "state",
    )

    def __init__(self, dialect: Dialect) -> None:
        self.state = State.UNDECIDED
        self.begun = 0
        """How many messages began in the chunk that :meth:`receive_data` took last."""
        self.dialect = dialect
        self._marks, self._upper = dialect.marks, dialect.upper
        # Bytes received and not yet answered. Never holds an LF.
        self._held = b""
        # The part of the living `line` that a quiet flush has answered already (the rest
        # of it is `_held`); None once that line can no longer be a command.
        self._head: bytes | None = b""
        # How many of the held bytes lie before the burst: at most an unfinished UTF-8
        # sequence that outlived a quiet period. `_burst` is False once it was dropped.
        self._settled = 0
        self._burst = False
        # The end of the first line as far as it has come; None once it is not needed any more.
        self._opening: bytes | None = b"" if dialect.guarded else None
        # Whether a line client's last line lacks its LF so far.
        self._open = False
        # A line client between two lines: the fast path.
        self._steady = False

    @property
    def awaits_quiet(self) -> bool:
        """Whether :meth:`receive_quiet` is due if nothing arrives for a quiet period."""
        return self.state is State.UNDECIDED and len(self._held) > self._settled

    @property
    def holds(self) -> bool:
        """Whether the message that began last is still without an answer, or without all of it."""
        return bool(self._held)

    def receive_data(self, data: bytes) -> tuple[Output, ...]:
        """Take a chunk as the network cut it; an empty one is no input at all."""
        reply = self.receive_plain(data)
        if reply is None:
            return self._receive_any(data)
        self.begun = data.count(b"\n")
        return (reply,)

    def receive_plain(self, data: bytes) -> bytes | None:
        """Take a chunk if it is a plain one: whole lines of text from a line client.

        Returns the reply, or None if the chunk has to go through :meth:`receive_data`; then
        nothing has changed. The hot path: lines that do not even contain a word cannot be
        commands and leave the machine as it was, so they are answered without looking closer.
        Each LF in a plain chunk is the end of a message that began in it.
        """
        if self._steady and data and data[-1] == LF:
            for mark, word in self._marks:  # dialect.mentions_word(data), without the call
                if mark in data and word in data:
                    return None
            if not self._upper:
                return data
            if data.isascii():
                return data.upper()
            return (
                data.decode("utf-8", "surrogateescape").upper().encode("utf-8", "surrogateescape")
            )
        return None

    def _receive_any(self, data: bytes) -> tuple[Output, ...]:
        """Do what :meth:`receive_data` promises, for every chunk in every state."""
        self.begun = 0
        if self.state is State.FINISHED or not data:
            return ()
        if self._opening is not None and (place_and_foreign := self._foreign_in(data)):
            place, foreign = place_and_foreign
            return self._finish([*self._receive_any(data[:place]), foreign])
        dialect, head, held, settled = self.dialect, self._head, self._held, self._settled
        continues = self._open or self.awaits_quiet
        if not (dialect.upper or dialect.words):  # nothing to recognise, nothing to change
            if LF in data:
                self.state = State.LINES
            self._count_begun(data, continues)
            self._steady = self.state is State.LINES and not self._open
            return (data,)
        if self.state is State.UNDECIDED and len(held) == settled:
            self._burst = True
        raw = held + data
        outputs: list[Output] = []
        done = 0  # raw[:done] has been answered or obeyed
        line = 0  # where the last line starts in raw; before it, `head`
        end = raw.find(b"\n", len(held))
        if end >= 0:
            self.state, self._burst, settled = State.LINES, False, 0
            # The line that was open ends here: only now is it known what it is.
            if head is not None and len(head) + end <= dialect.longest:
                command = dialect.command_in(head + raw[:end])
                if command is not None:
                    done = end + 1
                    crlf = (head + raw[:end]).endswith(b"\r")
                    outputs.append(Request(command, b"\r\n" if crlf else b"\n"))
                    if command.disconnects:
                        self._count_begun(raw[:done], continues)
                        return self._finish(outputs)
            head, line = b"", end + 1
            # The lines that lie whole in this chunk.
            if dialect.mentions_word(data):
                for found in dialect.command_line.finditer(raw, line):
                    self._answer(raw[done : found.start()], outputs)
                    done, command = found.end(), dialect.words[found[1]]
                    outputs.append(Request(command, b"\r\n" if found[2][-1:] == b"\r" else b"\n"))
                    if command.disconnects:
                        self._count_begun(raw[:done], continues)
                        return self._finish(outputs)
            line = raw.rfind(b"\n") + 1
        self._count_begun(raw, continues)
        # What is left is the start of a line; keep the candidates that still live.
        if head is not None and not self._may_become(head, raw, line):
            head = None
        self._burst = self._burst and self._may_become(b"", raw, settled)
        if head is not None:
            hold = line
        elif self._burst:
            hold, settled = settled, 0
        else:
            hold, settled = len(raw), 0
        answered = self._answer(raw[done:hold], outputs, final=hold < len(raw))
        self._held = raw[min(hold, done + answered) :]
        self._head, self._settled = head, settled
        self._steady = self.state is State.LINES and not self._held and head == b""
        return tuple(outputs)

    def _count_begun(self, text: bytes, continues: bool) -> None:
        """Count the messages that began in a chunk.

        Args:
          text: the chunk, with what was held before it.
          continues: whether it goes on with a message that has begun.
        """
        if self.state is State.UNDECIDED:  # a message is what one send() brings
            self.begun = int(not continues)
        else:
            self._open = not text.endswith(b"\n")
            self.begun = text.count(b"\n") + self._open - continues

    def receive_quiet(self) -> tuple[Output, ...]:
        """Nothing more came for a quiet period: an unframed message is complete."""
        outputs: list[Output] = []
        if self.awaits_quiet and not self._obey_burst(outputs):
            answered = self._answer(self._held, outputs, final=False)
            if self._head is not None:
                self._head += self._held[:answered]
            self._held = self._held[answered:]
            self._settled = len(self._held)
        return tuple(outputs)

    def receive_eof(self) -> tuple[Output, ...]:
        """The peer has closed its sending direction: everything held falls due."""
        outputs: list[Output] = []
        if not self._obey_burst(outputs):
            self._answer(self._held, outputs)
        return self._finish(outputs)

    def _obey_burst(self, outputs: list[Output]) -> bool:
        """Ask for the command that the burst is, if it is one; then all starts afresh."""
        if not self._burst:
            return False
        command = self.dialect.command_in(self._held[self._settled :])
        if command is None:
            return False
        self._answer(self._held[: self._settled], outputs)
        outputs.append(Request(command, b""))
        # The line ends with the message obeyed: an Enter that follows must not repeat it.
        self._held, self._head, self._settled, self._burst = b"", b"", 0, False
        if command.disconnects:
            self._finish(outputs)
        return True

    def _foreign_in(self, data: bytes) -> tuple[int, Foreign] | None:
        """Where in `data` it is certain that the client speaks another protocol, and which."""
        before = self._opening or b""
        opening = before + data
        end = opening.find(b"\n", len(before))
        self._opening = opening[-OPENING:] if end < 0 else None
        if len(before) < len(TLS_HELLO) <= len(opening) and opening.startswith(TLS_HELLO):
            self._opening = None
            return len(TLS_HELLO) - 1 - len(before), Foreign("TLS")
        if end >= 0 and HTTP_REQUEST_LINE.search(opening, max(0, end - OPENING), end):
            return end - len(before), Foreign("HTTP")
        return None

    def _may_become(self, head: bytes, raw: bytes, start: int) -> bool:
        """Whether head + raw[start:] can still become a command (never slices a long one)."""
        if len(head) + len(raw) - start > self.dialect.longest:
            return False
        return self.dialect.may_become_command(head + raw[start:])

    def _answer(self, text: bytes, outputs: list[Output], *, final: bool = True) -> int:
        """Append the reply to `text`; return how many of its bytes that answers.

        Unless `final`, an unfinished UTF-8 sequence at the end is left for later.
        """
        if not text:
            return 0
        if not self.dialect.upper:
            outputs.append(text)
            return len(text)
        if text.isascii():
            outputs.append(text.upper())
            return len(text)
        decoded, used = utf_8_decode(text, "surrogateescape", final)
        if b"\xed\xa0" <= text[used:] <= b"\xed\xbf":
            # Half of a surrogate, which CPython's decoder waits with (bpo-24214): no letter.
            decoded, used = utf_8_decode(text, "surrogateescape", True)
        if decoded:
            outputs.append(decoded.upper().encode("utf-8", "surrogateescape"))
        return used

    def _finish(self, outputs: list[Output]) -> tuple[Output, ...]:
        """Enter FINISHED, let go of everything, and return the last outputs."""
        self.state, self._held, self._head = State.FINISHED, b"", None
        self._settled, self._burst, self._steady = 0, False, False
        return tuple(outputs)
