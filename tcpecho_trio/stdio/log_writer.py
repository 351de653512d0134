"""Lines on their way to a descriptor that may stall: a terminal, a pipe, a file.

A person presses Ctrl-S, a log collector hangs, ``| head -1`` leaves, the disk is full: the server
must not notice. So lines are put into a bounded queue, which never blocks, and one task writes
what is there. A line that does not fit, or cannot be written, is lost. Lost lines are counted,
and that is said as soon as the output moves again.

Whatever happens, lines stay whole. When only the first half of one could be written, its other
half is written before anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from tcpecho_trio.stdio.output import Output

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
      lost: makes the line that says how many lines were lost; or says it elsewhere, and returns
        None.
      encoding: of the lines; what it lacks is escaped, lone surrogates among it.

    Attributes:
      dropped: how many lines have been lost. It only grows.
    """

    def __init__(self, fd: int, lost: Callable[[int], str | None], encoding: str = "utf-8") -> None:
        self.dropped = 0
        self._fd = fd
        self._lost = lost
        self._encoding = encoding
        self._queue: list[bytes] = []
        self._rest = b""  # of a line whose beginning has been written
        self._size = 0  # of the queue, of what is being written, and of the rest
        self._count_lost = 0
        self._anew = False
        self._next = -math.inf  # when the next write may begin
        self._hurry = trio.Event()  # set when nothing more will come
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self._emptied.set()

    def put(self, line: str) -> None:
        """Queue a line; lose it when the queue is full. Never blocks, never fails."""
        if not self._enqueue(line):
            self._lose(1)

    def start_anew(self) -> None:
        """What follows goes to another file: the rest of a line that was cut must not be in it."""
        self._anew = True

    async def flush(self) -> None:
        """Write what is left, the last there is; wait at most :data:`FLUSH_TIME` seconds."""
        self._hurry.set()
        with trio.move_on_after(FLUSH_TIME):
            await self._emptied.wait()

    async def run(self) -> None:
        """Write until cancelled.

        A thread that is stuck in ``write(2)`` is abandoned then: it ends with the process,
        and is not waited for.
        """
        with Output(self._fd, bulk=False) as output:
            while True:
                await self._filled.wait()
                while self._queue:
                    # Lines that come in a hurry are written together.
                    with trio.move_on_at(self._next):
                        await self._hurry.wait()
                    self._next = trio.current_time() + WRITE_EVERY
                    if await self._write_queue(output):
                        self._tell_lost()
                self._filled = trio.Event()
                self._emptied.set()

    def _enqueue(self, line: str) -> bool:
        """Queue a line if there is room for it."""
        try:
            data = f"{line}\n".encode(self._encoding, "backslashreplace")
        except MemoryError:
            return False
        if self._size + len(data) > MAX_QUEUED:
            return False
        self._queue.append(data)
        self._size += len(data)
        if self._emptied.is_set():
            self._emptied = trio.Event()
            self._filled.set()
        return True

    def _drop_rest(self) -> None:
        """Forget the rest of a line that was begun in another file."""
        if self._anew:
            self._anew = False
            if self._rest:
                self._lose(1)
                self._size -= len(self._rest)
                self._rest = b""

    def _lose(self, lines: int) -> None:
        self._count_lost += lines
        self.dropped += lines

    def _tell_lost(self) -> None:
        if self._count_lost:
            line = self._lost(self._count_lost)
            if line is None or self._enqueue(line):
                self._count_lost = 0

    async def _write_queue(self, output: Output) -> bool:
        """Write the rest of a line, then all the lines that wait; return whether that worked."""
        self._drop_rest()
        begun = bool(self._rest)
        lines = [self._rest, *self._queue] if begun else self._queue
        self._rest, self._queue = b"", []
        written = 0
        try:
            data = memoryview(b"".join(lines))
            while written < len(data):
                written += await output.write_some(data[written:])
                if self._anew and written < len(data):  # the rest is not for the new file
                    raise OSError("another file, in the middle of a line")
        except (OSError, MemoryError):  # a full disk, a reader that has left, no more threads
            self._rest, lost = _unwritten(lines, written, begun=begun)
            self._lose(lost)
        # Only what has left or is lost makes room: a stalled output fills the queue once.
        self._size -= sum(map(len, lines)) - len(self._rest)
        return written == sum(map(len, lines))


def _unwritten(lines: list[bytes], written: int, *, begun: bool) -> tuple[bytes, int]:
    """What is left of lines of which so many bytes have been written.

    Args:
      lines: what was to be written.
      written: how many bytes of it were; not all.
      begun: the first of the lines is the rest of one.

    Returns:
      The rest of the line that was cut, if one was, and how many lines after it are lost.
    """
    for number, line in enumerate(lines):
        if written < len(line):
            cut = written > 0 or (begun and number == 0)
            return (line[written:] if cut else b""), len(lines) - number - cut
        written -= len(line)
    return b"", 0
