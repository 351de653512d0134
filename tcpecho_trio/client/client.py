"""A conversation with a server: messages over its connection, and their replies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from tcpecho_trio.client.connection import ClientConnection
from tcpecho_trio.client.replies import GAP, Framing, Part, Replies
from tcpecho_trio.dialects import Command, Dialect
from tcpecho_trio.display import MAX_SHOWN
from tcpecho_trio.errors import (
    ConnectionLost,
    MessageRefused,
    ServerLeft,
    TooSlow,
)

LEAVE_TIME = 2.0
"""Seconds that the server gets to say farewell and close: as long as it lingers for us."""


class Client(ClientConnection):
    """A conversation with a server.

    Args:
      stream: the connection.
      dialect: which words the server obeys, and whether it greets.
      address: the server's name in messages for people.
      timeout: seconds that :meth:`ask` waits for one reply; None for as long as it takes.
    """

    framing: Framing = "line"

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        dialect: Dialect,
        address: str,
        *,
        timeout: float | None = None,
    ) -> None:
        super().__init__(stream, dialect, address)
        self.dialect = dialect
        self.timeout = timeout
        # A cancelled ask() leaves its reply due here, for the next one to receive and throw away.
        self._replies = Replies(self.framing)
        self._lines: list[str] = []  # what has come of the reply that ask() waits for
        self._turn = trio.Lock()  # one ask() at a time; a fair one: first come, first served

    @property
    def leaving_word(self) -> str | None:
        """The gentlest word by which to leave; None where there is none.

        It is one of the dialect in which the server has greeted. A word of the client's own may
        mean something else there: ``DESCONEXION`` ends the whole server in ``admin``.
        """
        return next(iter((self.greeted_by or self.dialect).leaving_words), None)

    async def ask(self, text: str) -> str:
        """Send one message, return its reply without the line's end.

        A list (LISTAR in the ``admin`` dialect) is returned as its lines, joined by LF. Several
        tasks may ask at once: they take turns. Cancelled while it waits for the reply, it leaves
        the client as good as new; cancelled while the message is being sent, it leaves half a
        message on the wire, and whatever is sent next raises :exc:`ClientClosed`.

        Raises:
          MessageRefused: the text cannot be one message (it holds a line feed); a ValueError.
          ServerFull: the server has no room for us, and has closed.
          TooSlow: no reply within the client's `timeout`. The next ask() is not affected.
          ReplyTooLong: the reply does not end; the client cannot go on.
          ServerLeft: the server closed the connection.
          ConnectionLost: it broke.
          ClientClosed: after the end of the block, or after a cancelled send.
        """
        async with self._turn:
            self._check_whole()
            with self._reply_in_time():
                while self._awaits_reply:
                    await self._next_reply()
                await self._before_asking()
                await self._send_or_explain(text)
                return await self._next_reply()

    @contextmanager
    def _reply_in_time(self) -> Iterator[None]:
        seconds = math.inf if self.timeout is None else self.timeout
        try:
            with trio.fail_after(seconds):
                yield
        except trio.TooSlowError as error:
            received = "\n".join([*self._lines, self._replies.unfinished])
            raise self.too_slow(seconds, received) from error

    def too_slow(self, seconds: float, received: str) -> TooSlow:
        """The error that says that a reply took longer than so many seconds.

        Args:
          seconds: the limit.
          received: what has come of the reply.
        """
        message = f"{'unfinished' if received else 'no'}_{self.framing}_reply"
        return TooSlow(message, address=self.address, seconds=seconds, text=received[:MAX_SHOWN])

    async def _send_or_explain(self, text: str) -> None:
        """Send a message. If that fails, the server may have said why before it closed."""
        try:
            await self.send_message(text)
        except ConnectionLost as error:
            lost = error
        else:
            return
        with trio.move_on_after(GAP):
            self._replies.feed(await self.receive())
        raise lost

    @property
    def _awaits_reply(self) -> bool:
        """Whether a message that was sent has no complete reply yet."""
        return bool(self._replies.due)

    async def _before_asking(self) -> None:
        """What has to be done before a message can have a reply: nothing, with lines."""

    async def _next_reply(self) -> str:
        """The reply that is due next. Cancelled, it goes on later where it was."""
        while True:
            part = await self.receive_part()
            if part is None:
                raise ServerLeft("client_server_gone")
            if part.text is not None:
                self._lines.append(part.text)
            if part.complete:
                reply, self._lines = "\n".join(self._lines), []
                return reply

    async def leave(self, word: str | None = None) -> str:
        """Send a leaving word (by default :attr:`leaving_word`), return the farewell.

        Waits for the server to close, at most :data:`LEAVE_TIME` seconds.

        Raises:
          ConnectionLost: the connection broke, before or after the word.
        """
        if word is None:
            word = self.leaving_word
        if word is None:
            await self.end_input()
        else:
            await self.send_message(word)
        return await self._read_to_end()

    async def _read_to_end(self) -> str:
        """The lines that still come, until the server closes; it has :data:`LEAVE_TIME`."""
        lines: list[str] = []
        with trio.move_on_after(LEAVE_TIME):
            while (line := await self.receive_line()) is not None:
                lines.append(line)
        return "\n".join(lines)

    def command_in(self, text: str) -> Command | None:
        """The command that the server will take this message for, if any."""
        return self.dialect.command_in(text.encode("utf-8", "surrogateescape"))

    def check(self, text: str) -> None:
        """See whether the text can be sent as one message.

        Raises:
          MessageRefused: it holds a line feed, so it would be two.
        """
        if "\n" in text:
            raise MessageRefused("message_with_line_feed")

    async def send_message(self, text: str) -> None:
        """Send one message, and do not wait for its reply.

        Raises:
          MessageRefused: as :meth:`check`; nothing has been sent.
          ConnectionLost, ClientBusy, ClientClosed: as :meth:`send`.
        """
        self.check(text)
        data = text.encode("utf-8", "surrogateescape") + b"\n"
        await trio.lowlevel.checkpoint_if_cancelled()  # else no reply must be expected
        # Before it goes out: another task may receive the reply before this one goes on.
        self._replies.expect(self.command_in(text), len(data))
        await self.send(data)

    async def receive_line(self) -> str | None:
        """The next line from the server, without its end; None when the server has closed.

        A last line without an end is returned as it is. Cancelling it loses nothing.

        Raises:
          ServerFull: the server has no room for us.
          ReplyTooLong: the line does not end.
          ConnectionLost: the connection broke.
        """
        while (part := await self.receive_part()) is not None:
            if part.text is not None:
                return part.text
        return None

    async def receive_part(self, *, moment: float = math.inf) -> Part | None:
        """The next line, and whether the reply is complete with it; None at the end.

        Cancelling it loses nothing.

        Args:
          moment: seconds without a byte after which a line that has no end yet is taken for
            a whole one.

        Raises:
          ServerFull, ReplyTooLong, ConnectionLost: as :meth:`receive_line`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        waited = False
        while (part := self._replies.next_part()) is None and not self._replies.closed:
            waited = True
            gap = self._replies.gap
            unfinished = gap == math.inf and self._replies.has_unfinished
            if not await self._receive_more(moment if unfinished else gap):
                if unfinished:
                    return self._replies.take_unfinished()
                self._replies.quiet()
        if not waited:  # a flood of lines must not keep other tasks from running
            await trio.lowlevel.cancel_shielded_checkpoint()
        return part

    async def _receive_more(self, gap: float) -> bool:
        """Receive, and tell the replies; whether anything came within the gap."""
        if gap == math.inf:  # a scope for every receive would cost as much as the receive
            self._replies.feed(await self.receive())
            return True
        with trio.move_on_after(gap):
            self._replies.feed(await self.receive())
            return True
        return False
