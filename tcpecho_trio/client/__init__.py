"""The client as a library.

::

    async with open_client("localhost", 5000) as client:
        reply = await client.ask("hola")

It speaks as a line client: a message ends in LF, and so does its reply. One task at a time
may send, and one may receive.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.dialects import STANDARD, Action, Command, Dialect
from tcpecho_trio.errors import CannotConnect, ConnectionLost

__all__ = ["Client", "open_client"]

RECEIVE_SIZE = 65536
"""Bytes asked for in one receive."""

LEAVE_TIME = 2.0
"""Seconds that the server gets to say farewell and close: as long as it lingers for us."""

LIST_GAP = 0.1
"""Seconds without a line after which a list is complete: nothing marks its end."""


class Client:
    """A conversation with a server.

    Args:
      stream: the connection.
      dialect: which words the server obeys, and whether it greets.
      address: the server as the user named it, host and port, for messages.
    """

    def __init__(
        self, stream: trio.abc.HalfCloseableStream, dialect: Dialect, address: tuple[str, int]
    ) -> None:
        self.dialect = dialect
        self.address = address
        self._stream = stream
        self._buffer = bytearray()
        self._scanned = 0  # buffer[:scanned] has no LF: never look twice
        self._greeting = dialect.greeting.encode()  # still expected
        self._greeted = b""  # how much of it has come
        self._ended = False

    async def ask(self, text: str) -> str:
        """Send one message, return its reply without the line's end.

        A list (LISTAR in the ``admin`` dialect) is returned as its lines, joined by LF.

        Raises:
          ValueError: the text holds a line feed, so it would be two messages.
          ConnectionLost: the server closed the connection, or it broke.
        """
        await self.say(text)
        reply = await self.hear()
        if reply is None:
            raise ConnectionLost("client_server_gone")
        lines = [reply]
        command = self.command_in(text)
        while command is not None and command.action is Action.LIST:
            line = None
            with trio.move_on_after(LIST_GAP):
                line = await self.hear()
            if line is None:
                break
            lines.append(line)
        return "\n".join(lines)

    async def leave(self, word: str | None = None) -> str:
        """Send a leaving word (by default the dialect's gentlest), return the farewell.

        Waits for the server to close, at most :data:`LEAVE_TIME` seconds.

        Raises:
          ConnectionLost: the connection broke, before or after the word.
        """
        if word is None:
            word = next(iter(self.dialect.leaving_words), None)
        if word is None:
            await self.end_input()
        else:
            await self.say(word)
        lines: list[str] = []
        with trio.move_on_after(LEAVE_TIME):
            while (line := await self.hear()) is not None:
                lines.append(line)
        return "\n".join(lines)

    def command_in(self, text: str) -> Command | None:
        """The command that the server will take this message for, if any."""
        return self.dialect.command_in(text.encode("utf-8", "surrogateescape"))

    async def say(self, text: str) -> None:
        """Send one message, and do not wait for its reply.

        Raises:
          ValueError: the text holds a line feed.
          ConnectionLost: the connection broke.
        """
        if "\n" in text:
            raise ValueError("a message is one line: it cannot hold a line feed")
        await self.send(text.encode("utf-8", "surrogateescape") + b"\n")

    async def hear(self) -> str | None:
        """The next line from the server, without its end; None when the server has closed.

        A last line without an end is returned as it is. Cancelling it loses nothing.

        Raises:
          ConnectionLost: the connection broke.
        """
        while True:
            end = self._buffer.find(b"\n", self._scanned)
            if end < 0 and not self._ended:
                self._scanned = len(self._buffer)
                data = await self.receive()
                self._buffer += data
                self._ended = not data
                continue
            if end < 0 and not self._buffer:
                return None
            end = len(self._buffer) if end < 0 else end
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._scanned = 0
            return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")

    async def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
          ConnectionLost: the connection broke.
        """
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise self._broken(error) from error

    async def receive(self) -> bytes:
        """Some bytes as they come, without the dialect's greeting; empty at the end.

        Raises:
          ConnectionLost: the connection broke.
        """
        while True:
            try:
                data = await self._stream.receive_some(RECEIVE_SIZE)
            except trio.BrokenResourceError as error:
                raise self._broken(error) from error
            text = self._without_greeting(data) if self._greeting else bytes(data)
            if text is not None:
                return text

    def _without_greeting(self, data: bytes | bytearray) -> bytes | None:
        """What is left of the first bytes; None while they may all be the greeting."""
        start = self._greeted + data
        if data and self._greeting.startswith(start):
            self._greeted = start
            return None
        greeting, self._greeting = self._greeting, b""
        return start.removeprefix(greeting)

    async def end_input(self) -> None:
        """Half-close: the server answers what it has, then closes.

        Raises:
          ConnectionLost: the connection broke.
        """
        try:
            await self._stream.send_eof()
        except trio.BrokenResourceError as error:
            raise self._broken(error) from error

    def _broken(self, error: trio.BrokenResourceError) -> ConnectionLost:
        cause = error.__cause__
        reason = (cause.strerror if isinstance(cause, OSError) else None) or str(error)
        address = format_address(self.address)
        return ConnectionLost("connection_broke", address=address, reason=reason.lower())


@asynccontextmanager
async def open_client(
    host: str = "localhost", port: int = 5000, *, dialect: Dialect = STANDARD
) -> AsyncGenerator[Client, None]:
    """Connect to a server; the connection is closed at the end of the block.

    Raises:
      CannotConnect: nobody answers there.
    """
    try:
        stream = await trio.open_tcp_stream(host, port)
    except (OSError, UnicodeError) as error:
        raise CannotConnect.because(error, host, port) from error
    async with stream:
        yield Client(stream, dialect, (host, port))
