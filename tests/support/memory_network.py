"""A network in memory, with what real ones do: full buffers, half-closes, resets.

Chunks arrive as they were sent, so that what the server was given, and when, is known exactly:
:attr:`MemorySocket.consumed` is its record.
"""

from __future__ import annotations

from collections import deque

import trio

CAPACITY = 100
"""Bytes towards a client that does not read before the server has to wait."""


class MemorySocket:
    """Both ends of one connection: the server's as a stream, the client's as plain methods."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.socket = self  # where the server looks for its peer's name
        # Towards the server.
        self.sent = b""
        self.consumed: list[tuple[str, bytes]] = []  # ("data", chunk), ("quiet", b""), ("eof", b"")
        self._inbox: deque[bytes] = deque()
        self._input_ended = False
        # Towards the client.
        self.received = b""  # with what is still on its way
        self.reading = True
        self.output_ended_at: float | None = None
        self.closed = False
        self._unread = 0
        # What both know.
        self.was_reset = False
        self.fault: Exception | None = None
        self.stuck_since: float | None = None  # a send of the server's makes no progress
        self.heard = self.taken = trio.current_time()  # when the server last got, or gave
        self._changed = trio.Event()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # The client's end.

    def say(self, chunk: bytes) -> None:
        if not (self._input_ended or self.was_reset or self.closed):
            self.sent += chunk
            self._inbox.append(chunk)
            self._change()

    def half_close(self) -> None:
        self._input_ended = True
        self._change()

    def reset(self) -> None:
        self.was_reset = not self.closed
        self._change()

    def read(self, reading: bool) -> None:
        self.reading = reading
        if reading and self._unread:
            self._unread, self.stuck_since = 0, None
        self._change()

    def fail(self, error: Exception) -> None:
        """The next thing that the server does with it hits a bug of ours."""
        self.fault = error
        self._change()

    # The server's end: a stream, as far as it is asked for one.

    def getpeername(self) -> tuple[str, int]:
        return self.address

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault
        if self.was_reset:
            raise trio.BrokenResourceError("reset")
        assert not self.closed

    async def receive_some(self, size: int) -> bytes:
        await trio.lowlevel.checkpoint()
        start = trio.current_time()
        while True:
            self._check()
            if self._inbox:
                chunk = self._inbox.popleft()
                assert len(chunk) <= size
                self.heard = trio.current_time()
                self._consume("data", chunk)
                return chunk
            if self._input_ended:
                self._consume("eof")
                return b""
            try:
                await self._changed.wait()
            except trio.Cancelled:
                if trio.current_time() - start > 0.049:
                    self._consume("quiet")
                raise

    def _consume(self, kind: str, chunk: bytes = b"") -> None:
        if self.output_ended_at is None:  # what comes while lingering is discarded
            self.consumed.append((kind, chunk))

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        while data:
            self._check()
            room = len(data) if self.reading else CAPACITY - self._unread
            if room > 0:
                self.received += data[:room]
                self._unread += 0 if self.reading else len(data[:room])
                data = data[room:]
                self.taken = trio.current_time()
                self.stuck_since = None
            else:
                self.stuck_since = self.stuck_since or trio.current_time()
                await self._changed.wait()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        self.output_ended_at = trio.current_time()

    async def aclose(self) -> None:
        self.closed = True
        self.stuck_since = None
        await trio.lowlevel.checkpoint()


class MemoryListener(trio.abc.Listener):  # type: ignore[type-arg]
    """Where memory sockets are accepted."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[MemorySocket](1000)
        self.closed = False
        self._count = 0

    def connect(self, host: str) -> MemorySocket | None:
        """A connection; None when it is refused."""
        if self.closed:
            return None
        self._count += 1
        client = MemorySocket((host, self._count))
        self._send.send_nowait(client)
        return client

    async def accept(self) -> MemorySocket:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self.closed = True
        await self._receive.aclose()
