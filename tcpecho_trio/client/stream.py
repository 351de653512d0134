"""Input → server → output, both directions at once: a pipe, a file, or ``-m``.

At the end of the input the connection is half-closed, once the replies to complete lines have come
or had a second to come, and everything the server still has to say is written before this ends.
Sending and receiving are two tasks, so that a server whose replies nobody reads yet can never stall
the input that it waits for.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio

from tcpecho_trio.client import Client
from tcpecho_trio.client.outstanding_replies import OutstandingReplies
from tcpecho_trio.display import MAX_SHOWN, shown
from tcpecho_trio.errors import ConnectionLost, ServerLeft, TcpEchoError

END_TIME = 0.05
"""Seconds in which the input may show that it was at its end, when the server has closed before
anybody had looked: what is there already is seen in far less."""

ANSWER_TIME = 1.0
"""Seconds in which complete lines may have their replies before our half-close. Many a proxy takes
that for the end of everything (nginx without proxy_half_close), and drops what is on its way."""

Source = Callable[[], Awaitable[bytes]]
"""Returns the next bytes to send; empty at the end."""

Sink = Callable[[bytes], Awaitable[None]]
"""Takes bytes that were received; empty at the end."""


async def relay(
    client: Client, source: Source, sink: Sink, *, patience: float | None = None
) -> None:
    """Send all that the source has, give all that comes back to the sink.

    Args:
      client: the connection, with lines as its framing.
      source: where the input comes from; it may be slow.
      sink: where the replies go; it may be slow, too.
      patience: seconds without a byte from the server while it owes a reply, or its end, after
        which it is given up. None for no limit. Time that the sink takes is not counted.

    Raises:
      ServerLeft: the server closed before it had all of the input, or with fewer replies than
        messages (a last leaving word needs none).
      ConnectionLost: the connection broke.
      TooSlow: the server took longer than `patience`.
      OSError: from the source or the sink.
    """
    failures: list[TcpEchoError | OSError] = []
    ledger = OutstandingReplies(client.dialect)
    watch = _Patience(patience)
    sent_all = between_chunks = False
    answered = trio.Event()  # everything that was sent, to the end

    async def receive(sending: trio.CancelScope) -> None:
        try:
            while data := await watch.wait(client.receive):
                ledger.hear(data)
                await sink(data)
                watch.renew(owed=sent_all or ledger.owed)
                if sent_all and not ledger.owed:
                    answered.set()
            await sink(b"")
        except trio.TooSlowError:
            failures.append(client.too_slow())
        except (TcpEchoError, OSError) as error:
            failures.append(error)
        sending.cancel()

    async with trio.open_nursery() as nursery:
        sending = trio.CancelScope()  # cancelled when the server has closed
        nursery.start_soon(receive, sending)
        with sending:
            try:
                between_chunks = True
                while data := await source():
                    between_chunks = False
                    ledger.send(data)
                    watch.begin()
                    await client.send(data)
                    between_chunks = True
                sent_all = True
                watch.begin()
                if ledger.owed and ledger.between_lines:
                    with trio.move_on_after(ANSWER_TIME):
                        await answered.wait()
                await client.end_input()
            except ConnectionLost:
                pass  # what the server had to say before it left is still coming in
            except OSError as error:
                failures.append(error)
                nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]
    unsent: bytes | None = None
    if between_chunks and not sent_all:
        with trio.move_on_after(END_TIME):
            unsent = await source()
            sent_all = not unsent
    if unsent or not (sent_all or ledger.leaves):
        raise ServerLeft("client_input_lost")
    if ledger.lost:
        raise ServerLeft("client_replies_lost")


class _Patience:
    """How long the server may still be silent.

    It starts when the server comes to owe something, starts again with every byte, and stops
    when nothing is owed.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._deadline = math.inf
        self._waiting: trio.CancelScope | None = None

    def begin(self) -> None:
        """The server owes something from now on, if it did not before."""
        if self._deadline == math.inf:
            self._deadline = trio.current_time() + self._seconds
            if self._waiting is not None:
                self._waiting.deadline = self._deadline

    def renew(self, *, owed: bool) -> None:
        """Something came."""
        self._deadline = trio.current_time() + self._seconds if owed else math.inf

    async def wait(self, receive: Callable[[], Awaitable[bytes]]) -> bytes:
        """What comes in time.

        Raises:
          trio.TooSlowError: nothing did.
        """
        if self._seconds == math.inf:  # a scope for every receive would cost what it does
            return await receive()
        with trio.CancelScope(deadline=self._deadline) as self._waiting:
            return await receive()
        raise trio.TooSlowError


class TerminalSink:
    """Shows replies to a person, line by line, with what a terminal would obey escaped."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._rest = b""

    async def __call__(self, data: bytes) -> None:
        """Show the lines that are complete; at the end, what is left."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            lines.append(self._rest)
        self._rest = self._rest[: 4 * MAX_SHOWN + 5]  # more of a line is never shown
        for line in lines:
            self._write(shown(line.removesuffix(b"\r")) + "\n")
        await trio.lowlevel.checkpoint()
