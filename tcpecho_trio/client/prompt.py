"""A person at a terminal: the exercise's conversation, one message and one reply at a time.

Two tasks share it: one reads what is typed and sends it, the other listens to the server,
so that a server that goes away is noticed at once and not at the next message.
"""

from __future__ import annotations

import trio

from tcpecho_trio.client import LEAVE_TIME, LIST_GAP, Client
from tcpecho_trio.client.terminal import Terminal
from tcpecho_trio.dialects import SHUTDOWN_REFUSED, Action
from tcpecho_trio.display import shown
from tcpecho_trio.errors import ConnectionLost, MessageRefused
from tcpecho_trio.texts import Texts


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
        client.on_greeting = lambda text: terminal.write(f"{shown(text)}\n")
        self._interrupted = False  # Ctrl-C: no more input
        self._waiting: trio.CancelScope | None = None  # for a line, or for a reply
        self._answered = trio.Event()  # the message that was sent last has its reply
        self._leaving = False
        self._listing = False
        self._lost: ConnectionLost | OSError | None = None

    def interrupt(self) -> None:
        """Leave now, as at the end of the input."""
        self._interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> None:
        """Talk until the person leaves.

        Raises:
          ConnectionLost: the server left first, or the connection broke.
          OSError: from the terminal.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, nursery.cancel_scope)
            try:
                await self._talk()
            except (ConnectionLost, OSError) as error:
                self._lost = self._lost or error
            nursery.cancel_scope.cancel()
        if self._lost is not None and not self._leaving:
            raise self._lost

    async def _talk(self) -> None:
        while True:
            line = await self._ask_for_line()
            if line is None:
                line = next(iter(self._client.dialect.leaving_words), None)
                if line is None:
                    return
            try:
                self._client.check(line)
            except MessageRefused as error:  # said here, and nothing sent
                reason = error.localized(self._texts)
                self._terminal.write(f"{self._texts.error.format(message=reason)}\n")
                continue
            command = self._client.command_in(line)
            self._leaving = command is not None and command.leaves
            self._listing = command is not None and command.action is Action.LIST
            self._answered = trio.Event()
            if self._leaving:
                self._terminal.write(f"{self._texts.client_leaving}\n")
            await self._client.say(line)
            if self._leaving:
                with trio.move_on_after(LEAVE_TIME):
                    await self._answered.wait()
                if self._leaving:  # not refused
                    return
            with trio.CancelScope() as self._waiting:
                await self._answered.wait()
            if self._listing:
                await trio.sleep(LIST_GAP)
                self._listing = False

    async def _ask_for_line(self) -> str | None:
        """What is typed next; None when nothing will be typed any more."""
        line = None
        if not self._interrupted:
            with trio.CancelScope() as self._waiting:
                line = await self._terminal.read_line(self._texts.client_prompt)
        return line

    async def _listen(self, conversation: trio.CancelScope) -> None:
        """Show what the server says; end the conversation when it has closed."""
        try:
            while (line := await self._client.hear()) is not None:
                if self._leaving and line == SHUTDOWN_REFUSED:
                    self._leaving = False
                self._show(shown(line))
                if not self._leaving:
                    self._answered.set()
            raise ConnectionLost("client_server_gone")
        except (ConnectionLost, OSError) as error:
            self._lost = error
        conversation.cancel()

    def _show(self, line: str) -> None:
        more_of_list = self._listing and self._answered.is_set()
        told = line if more_of_list else self._texts.client_reply.format(text=line)
        self._terminal.write(f"{told}\n")
