"""Input → server → output, both directions at once: a pipe, a file, or ``-m``.

At the end of the input the connection is half-closed, but only when the replies to complete lines
have come, or had a second to come. Everything that the server still says is written before this
ends.
Sending and receiving are two tasks, so that a server whose replies are not read yet can never stall
the input that it waits for.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from tcpecho_trio.client.client import Client
from tcpecho_trio.client.outstanding_replies import OutstandingReplies
from tcpecho_trio.client.replies import GAP
from tcpecho_trio.display import MAX_SHOWN, shown
from tcpecho_trio.errors import ConnectionLost, ServerLeft, TcpEchoError

END_TIME = 0.05
"""Seconds in which the end of the input is still looked for when the server has closed first. What
is there already is seen in far less."""

ANSWER_TIME = 1.0
"""Seconds in which complete lines may have their replies before our half-close. Many a proxy takes
a half-close for the end of everything (nginx without proxy_half_close), and drops what is on its
way."""

Source = Callable[[], Awaitable[bytes]]
"""Returns the next bytes to send; empty at the end."""

Sink = Callable[[bytes], Awaitable[None]]
"""Takes bytes that were received; empty at the end."""


async def relay(
    client: Client, source: Source, sink: Sink, *, reply_timeout: float | None = None
) -> None:
    """Send all that the source has, give all that comes back to the sink.

    Args:
      client: the connection, with lines as its framing.
      source: where the input comes from; it may be slow.
      sink: where the replies go; it may be slow, too.
      reply_timeout: seconds that the server may take for each reply, and for closing when it has
        answered everything. None for no limit. Time that the sink takes is not counted.

    Raises:
      ServerFull: the server has no room for us.
      ServerLeft: the server closed before it had all of the input, or with fewer replies than
        messages (a last leaving word needs none).
      ConnectionLost: the connection broke.
      TooSlow: the server took longer than `reply_timeout`.
      OSError: from the source or the sink.
    """
    failures: list[TcpEchoError | OSError] = []
    replies = OutstandingReplies(client.dialect)
    deadline = _ReplyDeadline(reply_timeout)
    sent_all = between_chunks = False
    answered = trio.Event()  # everything that was sent, to the end
    last_received = 0.0

    async def receive(sending: trio.CancelScope) -> None:
        nonlocal last_received
        try:
            while data := await deadline.wait(client.receive):
                last_received = trio.current_time()
                line_ended = replies.received(data)
                with deadline.paused():
                    await sink(data)
                if replies.owed:
                    # A reply is complete, and the next one is due. Or the message that is being
                    # answered has not been sent to its end: then the server delays nothing.
                    if line_ended or not (sent_all or replies.between_lines):
                        deadline.restart()
                elif not sent_all:
                    deadline.stop()
                elif not answered.is_set():
                    deadline.restart()  # now the server has to close
                    answered.set()
            await sink(b"")
        except trio.TooSlowError:
            failures.append(client.too_slow(deadline.seconds, _text(replies.unfinished)))
        except (TcpEchoError, OSError) as error:
            failures.append(error)
        sending.cancel()

    async def wait_for_replies() -> None:
        """Until everything that was sent is answered."""
        if replies.owed:
            await answered.wait()
        while replies.ends_by_gap:
            quiet_at = last_received + GAP
            await trio.sleep_until(quiet_at)
            if quiet_at == last_received + GAP:
                break

    async with trio.open_nursery() as nursery:
        sending = trio.CancelScope()  # cancelled when the server has closed
        nursery.start_soon(receive, sending)
        with sending:
            try:
                between_chunks = True
                while data := await source():
                    between_chunks = False
                    replies.sent(data)
                    deadline.start()
                    await client.send(data)
                    between_chunks = True
                sent_all = True
                deadline.restart()  # only now the last message is whole
                if replies.between_lines:
                    with trio.move_on_after(ANSWER_TIME):
                        await wait_for_replies()
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
    if unsent or not (sent_all or replies.leaves):
        raise ServerLeft("client_input_lost")
    if replies.lost:
        raise ServerLeft("client_replies_lost")


class _ReplyDeadline:
    """When the reply that is due has to be complete.

    It starts when the server comes to owe something. Bytes alone do not move it: a reply that
    drips is late, too.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._at = math.inf
        self._waiting: trio.CancelScope | None = None

    def start(self) -> None:
        """The server owes something from now on, if it did not before."""
        if self._at == math.inf:
            self.restart()

    def restart(self) -> None:
        """The server owes the next reply from now on."""
        self._at = trio.current_time() + self.seconds
        if self._waiting is not None:
            self._waiting.deadline = self._at

    def stop(self) -> None:
        """The server owes nothing."""
        self._at = math.inf

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that passes here is not the server's."""
        begun = trio.current_time()
        yield
        self._at += trio.current_time() - begun

    async def wait(self, receive: Callable[[], Awaitable[bytes]]) -> bytes:
        """What comes in time.

        Raises:
          trio.TooSlowError: nothing did.
        """
        if self.seconds == math.inf:  # a scope for every receive would cost what it does
            return await receive()
        with trio.CancelScope(deadline=self._at) as self._waiting:
            return await receive()
        raise trio.TooSlowError


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


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
