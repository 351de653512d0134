"""The client as a library.

::

    async with open_client("localhost", 5000) as client:
        reply = await client.ask("hola")

It speaks as a line client: a message ends in LF, and so does its reply. For servers that know
no lines there is :class:`tcpecho_trio.client.raw.RawClient`, with the same methods.

:meth:`Client.ask` may be used by any number of tasks at once (they take turns), and may be
cancelled (the late reply is never taken for the next one's). Of the methods below it one task at
a time may send, and one may listen. Whatever goes wrong is an error of
:mod:`tcpecho_trio.errors`; none of Trio's comes out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

import trio

from tcpecho_trio.client.connect import ProxyVersion, Target, connect
from tcpecho_trio.client.tls import ClientTls
from tcpecho_trio.dialects import STANDARD, Action, Command, Dialect
from tcpecho_trio.errors import (
    ClientBusy,
    ClientClosed,
    ConnectionLost,
    MessageRefused,
    ServerLeft,
    TcpEchoError,
    TooSlow,
)

__all__ = ["Client", "ClientTls", "Framing", "open_client"]

Framing = Literal["line", "raw"]
"""What ends a message: an LF, or the end of a ``send()``."""

TRIO_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
"""What a stream of Trio's raises; none of them leaves this package."""

RECEIVE_SIZE = 131_072
"""Bytes asked for in one receive. Trio's share of one is as long as copying some 50 KiB takes, so
less is slower; more no longer fits a processor's cache beside what else moves through it."""

LEAVE_TIME = 2.0
"""Seconds that the server gets to say farewell and close: as long as it lingers for us."""

PARTING_TIME = 3 * LEAVE_TIME
"""Seconds that leaving a server without lines may take even where all else is cancelled: it gets
:data:`LEAVE_TIME` for a reply that is due, for its farewell, and for its end."""

LIST_GAP = 0.1
"""Seconds without a line after which a list is complete: nothing marks its end."""


class Client:
    """A conversation with a server.

    Args:
      stream: the connection.
      dialect: which words the server obeys, and whether it greets.
      address: the server as it is said to people.
      timeout: seconds that :meth:`ask` waits for one reply; None for as long as it takes.
    """

    lists_are_lines = True
    """Whether a list comes as several lines, so that :meth:`ask` has to gather them."""

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        dialect: Dialect,
        address: str,
        *,
        timeout: float | None = None,
    ) -> None:
        self.dialect = dialect
        self.address = address
        self.timeout = timeout
        self._stream = stream
        self._buffer = bytearray()
        self._scanned = 0  # buffer[:scanned] has no LF: never look twice
        self.on_greeting: Callable[[str], None] = lambda _: None
        """Told what the server says before anything has been asked, as it comes."""
        self._greeting = dialect.greeting.encode()  # still expected
        self._greeted = b""  # how much of it has come
        self._ended = False
        self._cut_short = False  # a cancelled send: nobody knows how much of it is on its way
        self._turn = trio.Lock()  # one ask() at a time; a fair one: first come, first served
        # Replies that an ask() still has to hear, and whether each is a list. A cancelled ask()
        # leaves its own here, for the next one to hear and throw away; of a list, as much as
        # has been heard of it.
        self._due: deque[bool] = deque()
        self._heard: list[str] = []

    async def ask(self, text: str) -> str:
        """Send one message, return its reply without the line's end.

        A list (LISTAR in the ``admin`` dialect) is returned as its lines, joined by LF. Several
        tasks may ask at once: they take turns. Cancelled while it waits for the reply, it leaves
        the client as good as new; cancelled while the message is being sent, it leaves half a
        message on the wire, and whatever is sent next raises :exc:`ClientClosed`.

        Raises:
          MessageRefused: the text cannot be one message (it holds a line feed); a ValueError.
          TooSlow: no reply within the client's `timeout`. The next ask() is not affected.
          ServerLeft: the server closed the connection.
          ConnectionLost: it broke.
          ClientClosed: after the end of the block, or after a cancelled send.
        """
        async with self._turn:
            with self._reply_in_time():
                while self._due:
                    await self._next_reply()
                await self._before_asking()
                await self.say(text)
                command = self.command_in(text)
                lists = command is not None and command.action is Action.LIST
                self._due.append(lists and self.lists_are_lines)
                return await self._next_reply()

    @contextmanager
    def _reply_in_time(self) -> Iterator[None]:
        try:
            with trio.fail_after(math.inf if self.timeout is None else self.timeout):
                yield
        except trio.TooSlowError as error:
            raise self.too_slow() from error

    def too_slow(self) -> TooSlow:
        """The error that says that the server took longer than the client's `timeout`."""
        return TooSlow("reply_too_slow", address=self.address, seconds=self.timeout)

    async def _before_asking(self) -> None:
        """What has to be done before a message can have a reply: nothing, with lines."""

    async def _next_reply(self) -> str:
        """The reply that is due next. Cancelled, it goes on later where it was."""
        if not self._heard:
            line = await self.hear()
            if line is None:
                raise ServerLeft("client_server_gone")
            self._heard.append(line)
        while self._due[0]:
            more = None
            with trio.move_on_after(LIST_GAP):
                more = await self.hear()
            if more is None:
                break
            self._heard.append(more)
        reply, self._heard = "\n".join(self._heard), []
        self._due.popleft()
        return reply

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

    def check(self, text: str) -> None:
        """See whether the text can be sent as one message.

        Raises:
          MessageRefused: it holds a line feed, so it would be two.
        """
        if "\n" in text:
            raise MessageRefused("message_with_line_feed")

    async def say(self, text: str) -> None:
        """Send one message, and do not wait for its reply.

        Raises:
          MessageRefused: as :meth:`check`; nothing has been sent.
          ConnectionLost, ClientBusy, ClientClosed: as :meth:`send`.
        """
        self.check(text)
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
          ClientBusy: another task is sending.
          ClientClosed: after the end of the block, or after a send that was cancelled: nobody
            knows how much of it went out.
        """
        await trio.lowlevel.checkpoint_if_cancelled()  # before anything has gone out
        if self._cut_short:
            raise ClientClosed("client_cut_short")
        try:
            await self._stream.send_all(data)
        except trio.Cancelled:
            self._cut_short = True
            raise
        except TRIO_ERRORS as error:
            raise self._ours(error) from error

    async def receive(self) -> bytes:
        """Some bytes as they come, without the dialect's greeting; empty at the end.

        Cancelling it loses nothing.

        Raises:
          ConnectionLost: the connection broke.
          ClientBusy: another task is listening.
          ClientClosed: after the end of the block.
        """
        while True:
            try:
                data = await self._stream.receive_some(RECEIVE_SIZE)
            except TRIO_ERRORS as error:
                raise self._ours(error) from error
            text = self._without_greeting(data) if self._greeting else bytes(data)
            if text is not None:
                return text

    def _without_greeting(self, data: bytes | bytearray) -> bytes | None:
        """What is left of the first bytes; None while they may all be the greeting."""
        start = self._greeted + data
        if data and self._greeting.startswith(start):
            self._greeted = start
            if start == self._greeting:
                self.on_greeting(self.dialect.greeting)
            return None
        greeting, self._greeting = self._greeting, b""
        if start.startswith(greeting) and self._greeted != greeting:
            self.on_greeting(self.dialect.greeting)
        return start.removeprefix(greeting)

    async def end_input(self) -> None:
        """Half-close: the server answers what it has, then closes.

        Raises:
          ConnectionLost, ClientBusy, ClientClosed: as :meth:`send`.
        """
        try:
            await self._stream.send_eof()
        except TRIO_ERRORS as error:
            raise self._ours(error) from error

    def _ours(self, error: Exception) -> TcpEchoError:
        """The border: what Trio raised goes in, what this package raises comes out."""
        if isinstance(error, trio.BusyResourceError):
            return ClientBusy("client_busy")
        if isinstance(error, trio.ClosedResourceError):
            return ClientClosed("client_closed")
        cause = error.__cause__
        said = getattr(cause, "reason", None) or getattr(cause, "strerror", None)  # OpenSSL's first
        reason = str(said or error).lower()
        if "certificate_required" in reason:  # what TLS 1.3 says only after the handshake
            return ConnectionLost("tls_failed", address=self.address, reason=reason)
        return ConnectionLost("connection_broke", address=self.address, reason=reason)


@asynccontextmanager
async def open_client(
    host: str = "localhost",
    port: int = 5000,
    *,
    dialect: Dialect = STANDARD,
    framing: Framing = "line",
    unix: str = "",
    tls: ClientTls | None = None,
    send_proxy: ProxyVersion | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 (of each reply: no scope of the caller's is)
    connect_retry: float = 0.0,
    on_waiting: Callable[[], None] | None = None,
) -> AsyncGenerator[Client, None]:
    """Connect to a server; the connection is closed at the end of the block.

    Args:
      host: a name or an address.
      port: the port.
      dialect: which words the server obeys, and whether it greets.
      framing: ``"raw"`` for a server that knows no lines: the block then ends by saying the
        dialect's leaving word and reading to the end (:class:`~tcpecho_trio.client.raw.RawClient`).
      unix: path of a Unix socket to connect to instead of `host` and `port`.
      tls: how to speak TLS; None for not at all.
      send_proxy: PROXY header to begin with, saying our own addresses, as a proxy would.
      timeout: seconds for connecting, and again for each :meth:`Client.ask`; None for no limit.
      connect_retry: seconds to keep trying while the server is starting.
      on_waiting: called when a ``"raw"`` server has taken the connection but serves somebody
        else first, as those that serve one client at a time do.

    Raises:
      CannotConnect: nobody answers there, or not over TLS as it was asked for.
      CannotRead: a certificate or key cannot be used.
      TooSlow: connecting took longer than `timeout`.
    """
    target = Target(host=host, port=port, path=unix, tls=tls, proxy=send_proxy)
    stream = await connect(target, patience=timeout, retry=connect_retry)
    async with stream:
        if framing == "line":
            yield Client(stream, dialect, target.name, timeout=timeout)
        else:
            from tcpecho_trio.client.raw import RawClient

            client = RawClient(stream, dialect, target.name, timeout=timeout, on_waiting=on_waiting)
            try:
                yield client
            finally:
                with trio.move_on_after(PARTING_TIME, shield=True):
                    await client.part()
