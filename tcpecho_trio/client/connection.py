"""A connection to a server: bytes in both directions, once it has said what it says first."""

from __future__ import annotations

from collections.abc import Callable

import trio

from tcpecho_trio.client.opening import Opening
from tcpecho_trio.dialects import Dialect
from tcpecho_trio.errors import (
    ClientBusy,
    ClientClosed,
    ConnectionLost,
    ServerFull,
    TcpEchoError,
)

TRIO_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
"""What a stream of Trio's raises; none of them leaves this package."""

RECEIVE_SIZE = 131_072
"""Bytes asked for in one receive. Trio's share of one is as long as copying some 50 KiB takes, so
less is slower; more no longer fits a processor's cache beside what else moves through it."""


class ClientConnection:
    """A connection to a server. Its greeting, or that it is full, is told apart from replies.

    Args:
      stream: the connection.
      dialect: whether the server greets, and how.
      address: the server's name in messages for people.
    """

    def __init__(
        self, stream: trio.abc.HalfCloseableStream, dialect: Dialect, address: str
    ) -> None:
        self.address = address
        self.greeting = ""
        """What the server has said before anything was asked."""
        self.on_greeting: Callable[[str], None] = lambda _: None
        """Called with the greeting when it comes."""
        self._stream = stream
        self._opening = Opening(dialect)
        self._refusal: ServerFull | None = None
        self._cut_short = False  # a cancelled send: nobody knows how much of it is on its way

    @property
    def greeted_by(self) -> Dialect | None:
        """The dialect whose greeting the server has sent; it may not be the client's."""
        return self._opening.greeted

    async def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
          ConnectionLost: the connection broke.
          ClientBusy: another task is sending.
          ClientClosed: after the end of the block, or after a send that was cancelled: nobody
            knows how much of it went out.
        """
        await trio.lowlevel.checkpoint_if_cancelled()  # before anything has gone out
        self._check_whole()
        if not self._opening.over:
            self._opening.sent(data)
        try:
            await self._stream.send_all(data)
        except trio.Cancelled:
            self._cut_short = True
            raise
        except TRIO_ERRORS as error:
            raise self._translated(error) from error

    def _check_whole(self) -> None:
        """Only whole messages have been sent, else no more can be."""
        if self._cut_short:
            raise ClientClosed("client_cut_short")

    async def receive(self) -> bytes:
        """Some bytes as they come, without a greeting; empty at the end.

        Cancelling it loses nothing.

        Raises:
          ServerFull: the server has no room for us: it has said so, and closed.
          ConnectionLost: the connection broke.
          ClientBusy: another task is receiving.
          ClientClosed: after the end of the block.
        """
        while not self._opening.over:
            if data := await self._receive_opening():
                return data
        if self._refusal is not None:
            raise self._refusal
        return await self._receive_bytes()

    async def _receive_opening(self) -> bytes:
        """What comes before it is certain what the server has said first; empty for not yet."""
        opening = self._opening
        with trio.move_on_after(opening.wait):
            try:
                data = await self._receive_bytes()
            except ConnectionLost as error:
                self._see_refusal(error)
                raise
            if not data:
                self._see_refusal(None)
                return opening.release()
            data = opening.received(data)
            if opening.greeted is not None:
                self._take_greeting(opening.greeted.greeting)
            return data
        return opening.release()

    def _see_refusal(self, cause: ConnectionLost | None) -> None:
        """The connection is over: see whether that was a refusal.

        Raises:
          ServerFull: it was.
        """
        if reason := self._opening.refusal:
            self._opening.release()
            self._refusal = ServerFull("server_full", address=self.address, reason=reason)
            raise self._refusal from cause

    def _take_greeting(self, text: str) -> None:
        self.greeting += text
        self.on_greeting(text)

    async def _receive_bytes(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(RECEIVE_SIZE))
        except TRIO_ERRORS as error:
            raise self._translated(error) from error

    async def end_input(self) -> None:
        """Half-close: the server answers what it has, then closes.

        Raises:
          ConnectionLost, ClientBusy, ClientClosed: as :meth:`send`.
        """
        try:
            await self._stream.send_eof()
        except TRIO_ERRORS as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> TcpEchoError:
        """The border: what Trio raised goes in, what this package raises comes out."""
        if isinstance(error, trio.BusyResourceError):
            return ClientBusy("client_busy")
        if isinstance(error, trio.ClosedResourceError):
            return ClientClosed("client_closed")
        cause = error.__cause__
        said = getattr(cause, "reason", None)  # OpenSSL's, whose numbers mean nothing to errno(3)
        reason: object = str(said or error).lower()
        if said is None and isinstance(cause, OSError):
            reason = cause
        elif "certificate_required" in str(reason):  # what TLS 1.3 says only after the handshake
            return ConnectionLost("tls_failed", address=self.address, reason=reason)
        return ConnectionLost("connection_broke", address=self.address, reason=reason)
