"""A person at a terminal: the exercise's conversation, one message and one reply at a time.

Three tasks share it. One reads what is typed and sends it. One receives from the server, so that
a server that goes away is noticed at once and not at the next message. One tells of lines that
were too many to be shown.
"""

from __future__ import annotations

import trio

from tcpecho_trio.client.client import LEAVE_TIME, Client
from tcpecho_trio.client.flood import LineAllowance
from tcpecho_trio.client.opening import REFUSAL
from tcpecho_trio.client.replies import GAP, Part
from tcpecho_trio.client.terminal import Terminal
from tcpecho_trio.display import shown
from tcpecho_trio.errors import ConnectionLost, MessageRefused, ServerFull, ServerLeft, TcpEchoError
from tcpecho_trio.texts import Texts

MOMENT = 1.0
"""Seconds after which a line without an end is shown as it is. A server that sends lines sends
the whole of one at once; a person wonders after a second where the reply is."""

SUMMARY_INTERVAL = 1.0
"""Seconds between two summaries of lines that were not shown."""


class Conversation:
    """A conversation at a terminal.

    Args:
      client: the connection.
      terminal: where the person is.
      texts: the language to speak.
    """

    def __init__(self, client: Client, terminal: Terminal, *, texts: Texts) -> None:
        self._client = client
        self._terminal = terminal
        self._texts = texts
        client.on_greeting = self._show_greeting
        self._interrupted = False  # Ctrl-C: no more input
        self._waiting: trio.CancelScope | None = None  # for a line, or for a reply
        self._answered = trio.Event()  # the message that was sent last has its reply
        self._asked = False  # a reply is due
        self._leaving = False
        self._in_reply = False  # the first line of it has been shown
        self._allowance = LineAllowance()
        self._skipping = trio.Event()
        self._failure: TcpEchoError | OSError | None = None

    def interrupt(self) -> None:
        """Leave now, as at the end of the input."""
        self._interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> None:
        """Talk until the person leaves.

        Raises:
          ServerFull: the server has no room for us.
          ConnectionLost: the server left first, or the connection broke.
          OSError: from the terminal.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, nursery.cancel_scope)
            nursery.start_soon(self._summarize, nursery.cancel_scope)
            try:
                await self._talk()
            except ConnectionLost as error:
                await trio.sleep(GAP)  # what the server has said before it left explains more
                self._failure = self._failure or error
            except OSError as error:
                self._failure = self._failure or error
            nursery.cancel_scope.cancel()
        if self._failure is None or isinstance(self._failure, ConnectionLost):
            self._tell_skipped()
        refused = isinstance(self._failure, ServerFull)
        if self._failure is not None and (refused or not self._leaving):
            raise self._failure

    async def _talk(self) -> None:
        while True:
            typed = await self._ask_for_line()
            line = self._client.leaving_word if typed is None else typed
            if line is None:
                return
            try:
                self._client.check(line)
            except MessageRefused as error:  # nothing has been sent
                reason = error.localized(self._texts)
                self._tell(self._texts.error.format(message=reason))
                continue
            command = self._client.command_in(line)
            self._leaving = typed is None or (command is not None and command.leaves)
            self._answered = trio.Event()
            self._asked = True
            if self._leaving:
                self._tell(self._texts.client_leaving)
            await self._client.send_message(line)
            if self._leaving:
                with trio.move_on_after(LEAVE_TIME):
                    await self._answered.wait()
                if self._leaving:  # not refused
                    return
            with trio.CancelScope() as self._waiting:
                await self._answered.wait()
            self._hint_at_word(line)

    async def _ask_for_line(self) -> str | None:
        """What is typed next; None when nothing will be typed any more."""
        line = None
        if not self._interrupted:
            with trio.CancelScope() as self._waiting:
                line = await self._terminal.read_line(self._texts.client_prompt)
        return line

    async def _receive(self, conversation: trio.CancelScope) -> None:
        """Show what the server says; end the conversation when it has closed."""
        try:
            while (part := await self._client.receive_part(moment=MOMENT)) is not None:
                self._take(part)
            raise ServerLeft("client_server_gone")
        except (TcpEchoError, OSError) as error:
            self._failure = error
        conversation.cancel()

    def _take(self, part: Part) -> None:
        """Show a part of a reply, or of what the server says unasked."""
        if part.text is not None:
            if self._leaving and part.text.startswith(REFUSAL.decode()):
                self._leaving = False  # the server goes on, and so does the conversation
            if self._allowance.take(trio.current_time()):
                self._show(part.text)
            else:
                self._skipping.set()
            if not part.ended and self._asked:
                self._tell(self._texts.client_hint_raw)
        self._in_reply = not part.complete
        if part.complete and not self._leaving:
            self._asked = False
            self._answered.set()

    def _show(self, text: str) -> None:
        line = shown(text)
        self._tell(line if self._in_reply else self._texts.client_reply.format(text=line))

    def _show_greeting(self, text: str) -> None:
        self._tell(shown(text))
        dialect = self._client.greeted_by
        if dialect is not None and dialect.greeting != self._client.dialect.greeting:
            self._tell(self._texts.client_hint_dialect.format(dialect=dialect.name))

    def _hint_at_word(self, line: str) -> None:
        """Say how a command is written, after a message that almost was one."""
        dialect = self._client.dialect
        if self._client.command_in(line) is not None:
            return
        for word in dialect.words:
            if line.strip().casefold() == word.decode().casefold():
                self._tell(self._texts.client_hint_case.format(word=word.decode()))

    async def _summarize(self, conversation: trio.CancelScope) -> None:
        """Tell, once in a while, how many lines were not shown."""
        try:
            while True:
                await self._skipping.wait()
                await trio.sleep(SUMMARY_INTERVAL)
                self._skipping = trio.Event()
                self._tell_skipped()
        except OSError as error:
            self._failure = self._failure or error
            conversation.cancel()

    def _tell_skipped(self) -> None:
        if skipped := self._allowance.renew(trio.current_time()):
            self._tell(self._texts.counted("client_more_lines", skipped))

    def _tell(self, line: str) -> None:
        self._terminal.write(f"{line}\n")
