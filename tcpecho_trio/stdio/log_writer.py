"""Lines on their way to a descriptor that may stall: a terminal, a pipe, a file.

A person presses Ctrl-S, a log collector hangs, ``| head -1`` leaves: the server must not
notice. So lines are put into a bounded queue, which never blocks, and one task hands what
is there to a thread that writes it. What does not fit is dropped, counted, and said as soon
as the output moves again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from tcpecho_trio.stdio.output import write_all

MAX_QUEUED = 1 << 20
"""Bytes that may wait: a few thousand lines, more than a person scrolls back."""

WRITE_EVERY = 0.02
"""Seconds between two writes; fifty a second look immediate to a person."""

FLUSH_TIME = 0.5
"""Seconds that the last lines get to leave when the server ends."""


class LogWriter:
    """A bounded queue of lines and the task that writes them out.

    Args:
      fd: where to write; stays open and in the mode it is in.
      lost: makes the line that says how many lines were dropped.
      encoding: of the lines.
    """

    def __init__(self, fd: int, lost: Callable[[int], str], encoding: str = "utf-8") -> None:
        self._fd = fd
        self._lost = lost
        self._encoding = encoding
        self._queue: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._next = -math.inf  # when the next write may begin
        self._hurry = trio.Event()  # set when nothing more will come
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self._emptied.set()

    def put(self, line: str) -> None:
        """Queue a line; drop it when the queue is full. Never blocks, never fails."""
        data = f"{line}\n".encode(self._encoding, "backslashreplace")
        if self._size + len(data) > MAX_QUEUED:
            self._dropped += 1
            return
        self._queue.append(data)
        self._size += len(data)
        if self._emptied.is_set():
            self._emptied = trio.Event()
            self._filled.set()

    async def flush(self) -> None:
        """Write what is left, the last there is; wait at most :data:`FLUSH_TIME` seconds."""
        self._hurry.set()
        with trio.move_on_after(FLUSH_TIME):
            await self._emptied.wait()

    async def run(self) -> None:
        """Write until cancelled.

        A thread that is stuck in ``write(2)`` is abandoned then: it ends with the process,
        and nobody waits for it.
        """
        while True:
            await self._filled.wait()
            while self._queue:
                # Lines that come in a hurry are written together: a thread costs 100 µs.
                with trio.move_on_at(self._next):
                    await self._hurry.wait()
                self._next = trio.current_time() + WRITE_EVERY
                batch, self._queue = self._queue, []
                written = await trio.to_thread.run_sync(
                    self._write, b"".join(batch), abandon_on_cancel=True
                )
                # Only what has left makes room: a stalled output fills the queue once.
                self._size -= sum(map(len, batch))
                if not written:
                    self._dropped += len(batch)
                elif self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    self.put(self._lost(dropped))
            self._filled = trio.Event()
            self._emptied.set()

    def _write(self, data: bytes) -> bool:
        """Write it all; a full disk or a reader that left costs these lines, no more."""
        try:
            write_all(self._fd, data)
        except OSError:
            return False
        return True
