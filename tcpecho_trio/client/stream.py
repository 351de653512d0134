"""Input → server → output, both directions at once: a pipe, a file, or ``-m``.

At the end of the input the connection is half-closed, and everything the server still has to
say is written before this ends. Sending and receiving are two tasks, so that a server whose
replies nobody reads yet can never stall the input that it waits for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from tcpecho_trio.client import Client
from tcpecho_trio.display import MAX_SHOWN, shown
from tcpecho_trio.errors import ConnectionLost
from tcpecho_trio.standard_output import write_all

Source = Callable[[], Awaitable[bytes]]
"""Returns the next bytes to send; empty at the end."""

Sink = Callable[[bytes], Awaitable[None]]
"""Takes bytes that were received; empty at the end."""


class _Messages:
    """Counts the messages in a stream: its lines, the last of which may lack its end."""

    def __init__(self) -> None:
        self._ended = 0
        self._open = False

    def add(self, data: bytes) -> None:
        self._ended += data.count(b"\n")
        self._open = not data.endswith(b"\n")

    def __len__(self) -> int:
        return self._ended + self._open


async def relay(client: Client, source: Source, sink: Sink) -> None:
    """Send all that the source has, give all that comes back to the sink.

    Raises:
      ConnectionLost: the connection broke; or the server closed it before it had all of the
        input, or with fewer replies than messages (a last leaving word needs none).
      OSError: from the source or the sink.
    """
    failures: list[ConnectionLost | OSError] = []
    sent, received = _Messages(), _Messages()
    sent_all = False
    tail = b""  # the end of what was sent, long enough to hold a leaving word and its ends

    async def receive(sending: trio.CancelScope) -> None:
        try:
            while data := await client.receive():
                received.add(data)
                await sink(data)
            await sink(b"")
        except (ConnectionLost, OSError) as error:
            failures.append(error)
        sending.cancel()

    async with trio.open_nursery() as nursery:
        sending = trio.CancelScope()  # cancelled when the server has closed
        nursery.start_soon(receive, sending)
        with sending:
            try:
                while data := await source():
                    tail = (tail + data)[-client.dialect.longest - 3 :]
                    sent.add(data)
                    await client.send(data)
                sent_all = True
                await client.end_input()
            except ConnectionLost:
                pass  # what the server had to say before it left is still coming in
            except OSError as error:
                failures.append(error)
                nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]
    leaves = _leaves(client, tail)
    if not sent_all and not leaves:
        raise ConnectionLost("client_input_lost")
    if len(received) < len(sent) - leaves:
        raise ConnectionLost("client_replies_lost")


def _leaves(client: Client, tail: bytes) -> bool:
    """Whether the last line of what was sent asked the server to close."""
    last = tail.removesuffix(b"\n").rpartition(b"\n")[2]
    command = client.dialect.command_in(last)
    return command is not None and command.leaves


class DescriptorSink:
    """Writes bytes as they are, in a thread: a full pipe must not stop the sending."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def __call__(self, data: bytes) -> None:
        """Write it all; a cancellation abandons the thread, which ends with the process."""
        if data:
            await trio.to_thread.run_sync(write_all, self._fd, data, abandon_on_cancel=True)


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
