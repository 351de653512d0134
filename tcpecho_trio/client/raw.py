r"""A client for servers that know no lines: a message is one ``send()``, a reply one pause.

So are most servers that have been written for the exercise. Nothing marks the end of what they
say, so time has to (:mod:`tcpecho_trio.client.replies`). The rest of this module avoids
what has stopped such servers:

- it reads 1024 bytes at a time and decodes them at once: a longer message goes in pieces
  (:func:`pieces`), cut between characters, and each waits for its answer;
- a newline makes ``DESCONEXION\n`` another message than ``DESCONEXION``: none is sent;
- a blank message may get no answer at all: it is refused here;
- a reset or a bare end of input kills it or makes it spin: the client sends the leaving word
  alone, reads to the end, and only then closes.

A greeting is not a reply. A dialect's own is known by its text; any other is what is said before
the first message. A server that serves one client at a time lets the others connect and leaves
them waiting: `on_waiting` is told so, and the client waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress

import trio

from tcpecho_trio.client.client import LEAVE_TIME, Client
from tcpecho_trio.client.replies import Part
from tcpecho_trio.dialects import Dialect
from tcpecho_trio.errors import ClientBusy, MessageRefused, ServerLeft, TcpEchoError

PIECE = 1024
"""Bytes in one send at most: what these servers ask for in one ``recv()``."""

GREETING_TIME = 0.2
"""Seconds that a server whose greeting is not known may take for one before the first
message. It greets as it accepts, so either at once or when our turn comes."""

STRAY_TIME = 0.001
"""Seconds to pick up what came after a reply seemed complete. It need only be more than
nothing: what has arrived is taken at once, but a scope that is over before it begins takes
nothing."""

TURN_NOTICE = 1.0
"""Seconds without any word from the server after which it is said that we wait for our turn:
a server that is ours to talk to answers in milliseconds."""


def pieces(data: bytes, words: frozenset[bytes] = frozenset()) -> list[bytes]:
    """The message in pieces of at most :data:`PIECE` bytes, cut between UTF-8 characters.

    No piece is blank (it might never be answered) and none is a command by itself: where a cut
    would make one, it is made elsewhere.

    Args:
      data: the message, not empty.
      words: what must not stand alone, upper-cased.

    Raises:
      MessageRefused: there is no such cut.
    """
    cut: list[bytes] = []
    while len(data) > PIECE:
        for end in _borders(data):
            rest = data[end : end + PIECE]
            if _safe(data[:end], words) and _safe(rest, words):
                break
        else:
            raise MessageRefused("message_without_pieces", limit=PIECE)
        cut.append(data[:end])
        data = data[end:]
    return [*cut, data]


def _borders(data: bytes) -> Iterator[int]:
    """Where the first piece may end, the longest first: not before a continuation byte.

    After three of those in a row it is no UTF-8, and may be cut anywhere (RFC 3629 §3).
    """
    for end in range(PIECE, 0, -1):
        if data[end] & 0xC0 != 0x80 or all(b & 0xC0 == 0x80 for b in data[max(0, end - 3) : end]):
            yield end


def _safe(piece: bytes, words: frozenset[bytes]) -> bool:
    """Whether a piece is neither blank nor a command."""
    bare = piece.decode("utf-8", "replace").strip()
    return bool(bare) and bare.upper().encode() not in words


def check(text: str, dialect: Dialect) -> None:
    """See whether a server that knows no lines can be sent this text as one message.

    Raises:
      MessageRefused: it is nothing but blanks, or cannot be cut.
    """
    if not text.strip():
        raise MessageRefused("message_blank")
    pieces(text.encode("utf-8", "surrogateescape"), _words_of(dialect))


def _words_of(dialect: Dialect) -> frozenset[bytes]:
    return frozenset(word.upper() for word in dialect.words)


class RawClient(Client):
    """A conversation with a server that knows no lines; used like any :class:`Client`.

    A conversation at a terminal may send in one task while another receives all the time.
    What the server says before the first message is its greeting: it is kept in `greeting`, and
    is not received as a reply. A reply comes whole, line feeds and all, :data:`GAP` after its
    last byte. A long message is sent piece by piece **while its reply is being received**, so
    one task has to receive. A message must not be sent before the one before it is answered,
    except a leaving word. :meth:`Client.check` tells beforehand which text would be refused.
    After a leaving word many of these servers close without a farewell: :meth:`receive_line`
    then returns None.

    Args:
      stream, dialect, address, timeout: as for :class:`Client`.
      on_waiting: called once when the server has not sent anything :data:`TURN_NOTICE` seconds
        after the first message. The client goes on waiting.
    """

    framing = "raw"

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        dialect: Dialect,
        address: str,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(stream, dialect, address, timeout=timeout)
        self._on_waiting = on_waiting
        self._words = _words_of(dialect)
        self._has_sent = False
        self._has_answered = False  # ever
        self._left = False  # the leaving word has been sent
        self._unsent: list[bytes] = []  # pieces that wait for the answers to those before
        self._answers: list[str] = []  # to the pieces so far
        self._notice_at = math.inf
        self._first_wait: trio.CancelScope | None = None  # for anything at all from the server

    def check(self, text: str) -> None:
        """See whether the text can be sent as one message.

        Raises:
          MessageRefused: it holds a line feed, or nothing but blanks, or cannot be cut.
        """
        super().check(text)
        check(text, self.dialect)

    async def ask(self, text: str) -> str:
        """Send one message, return its reply; to a leaving word the farewell, maybe empty.

        Otherwise as :meth:`Client.ask`.
        """
        command = self.command_in(text)
        if command is not None and command.leaves:
            return await self.leave(text)
        return await super().ask(text)

    @property
    def _awaits_reply(self) -> bool:
        return bool(self._replies.due or self._unsent or self._answers)

    async def _before_asking(self) -> None:
        """Take what the server says unasked: it is no reply to what will be asked now."""
        unknown = not (self._has_sent or self.greeting or self.dialect.greeting)
        if not self._replies.closed:
            with trio.move_on_after(GREETING_TIME if unknown else STRAY_TIME):
                while data := await self.receive():
                    self._before_first_message(data)
                self._replies.feed(b"")
        self._replies.forget()
        if self._replies.closed:
            raise ServerLeft("client_server_gone")

    async def send_message(self, text: str) -> None:
        """Send one message without anything around it, and do not wait for its reply.

        Raises:
          MessageRefused: as :meth:`check`; nothing has been sent.
          ClientBusy: the message before it has no answer yet, or another task is sending.
          ConnectionLost, ClientClosed: as :meth:`Client.send`.
        """
        self.check(text)
        await trio.lowlevel.checkpoint_if_cancelled()  # else no reply must be expected
        command = self.command_in(text)
        leaves = command is not None and command.leaves
        if command is not None:  # exactly the word: with blanks it would be another message
            text = text.rstrip(" \t\r")
        if leaves:
            self._answers.clear()
        elif self._awaits_reply:
            raise ClientBusy("client_busy")
        first, *self._unsent = pieces(text.encode("utf-8", "surrogateescape"), self._words)
        if not self._has_sent:
            self._notice_at = trio.current_time() + TURN_NOTICE
            if self._first_wait is not None:
                self._first_wait.deadline = self._notice_at
        self._has_sent, self._left = True, leaves
        self._replies.expect(command, len(first))
        await self.send(first)

    async def receive_part(self, *, moment: float = math.inf) -> Part | None:
        """The next reply, without a newline at its end; None when the server has closed.

        Cancelling it loses nothing. `moment` is of no use here: each reply ends after one.

        Raises:
          ServerFull, ReplyTooLong, ConnectionLost: as :meth:`Client.receive_line`.
          ClientBusy, ClientClosed: as :meth:`Client.receive`.
        """
        while True:
            if self._unsent and not self._replies.due:
                await self.send(self._unsent[0])
                # Only now: a cancelled send of nothing is made up for by the next call.
                self._replies.expect(None, len(self._unsent.pop(0)))
            part = await super().receive_part(moment=moment)
            if part is not None and part.text is not None:
                self._answers.append(part.text)
            if part is None or not self._unsent:
                break
        if not self._answers:
            return None
        reply, self._answers = "".join(self._answers), []
        return Part(reply, complete=True)

    async def _receive_more(self, gap: float) -> bool:
        if gap < math.inf:
            return await super()._receive_more(gap)
        data = await self._receive_or_notice()
        if self._has_sent or not data:
            self._has_answered = self._has_answered or bool(data)
            self._replies.feed(data)
        else:
            self._before_first_message(data)
        return True

    async def _receive_or_notice(self) -> bytes:
        """The first bytes of an answer; tell once if the server is long about its first word."""
        with trio.CancelScope(deadline=self._notice_at) as self._first_wait:
            return await self.receive()
        self._notice_at = math.inf
        if self._on_waiting is not None and not self._server_has_spoken:
            self._on_waiting()
        return await self.receive()

    @property
    def _server_has_spoken(self) -> bool:
        return self._has_answered or bool(self.greeting)

    def _before_first_message(self, data: bytes) -> None:
        """Keep what comes before the first message where it can be looked at."""
        if not self._has_sent:
            self._take_greeting(data.decode("utf-8", "replace"))

    async def leave(self, word: str | None = None) -> str:
        """Send the leaving word alone (by default :attr:`leaving_word`), return the farewell.

        A reply that is still due is waited for first, then the server's end; each for at most
        :data:`~tcpecho_trio.client.LEAVE_TIME` seconds. Without a word in the dialect it
        half-closes.

        Raises:
          ConnectionLost: the connection broke.
        """
        if word is None:
            word = self.leaving_word
        self._on_waiting = None  # the wait is over
        async with self._turn:
            # A server that has said nothing has not accepted us, and will not while we wait.
            if self._replies.due and self._server_has_spoken:
                with trio.move_on_after(LEAVE_TIME), suppress(ServerLeft):
                    await self._receive_due()
            if not self._replies.closed:
                await (self.end_input() if word is None else self.send_message(word))
            self._left = True
            return await self._read_to_end()

    async def _receive_due(self) -> None:
        while self._replies.due:
            self._unsent.clear()
            await self._next_reply()

    async def close_politely(self) -> None:
        """End the conversation as these servers need it, whatever has happened before.

        Leaves if that has not been done, and reads to the end so that closing sends no reset.
        """
        with suppress(TcpEchoError):  # the server has gone: then there is nothing to end
            if self._cut_short:
                await self.end_input()
            if self._left or self._cut_short:
                await self._read_to_end()
            elif not self._replies.closed:
                await self.leave()
            if not self._replies.closed:
                await self.end_input()
