"""Reading a descriptor that a person, a pipe or a file is behind, if possible without a thread.

A thread blocked in ``read(2)`` cannot be cancelled, and would outlive the run. So terminals
and pipes are waited for by the event loop and read when they are readable; a regular file
or ``/dev/null``, which epoll refuses (EPERM, epoll_ctl(2)) because it is always readable,
is simply read. Only where the event loop can wait for nothing but sockets there is a thread
(:mod:`tcpecho_trio.stdio.reading_thread`).

Between "readable" and the read the input may be taken away: another reader of the same
pipe, or the terminal itself, which drops what was typed when Ctrl-C is pressed. A blocking
read would then stop the whole loop; so the input is opened once more where that is possible, and
non-blocking (:mod:`tcpecho_trio.stdio.reopen`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

import trio

from tcpecho_trio.stdio.reading_thread import ReadingThread, loop_can_wait
from tcpecho_trio.stdio.reopen import PIPE_SIZE, reopened

FILE_CHUNK = 262_144
"""Bytes asked for in one read of a regular file: measured, less and more are both slower."""

MAX_LINE = 65536
"""Bytes of one line; a longer one is cut there. Nobody types as much (a terminal's line ends
at 4096, termios(3)), and a pipe without a line feed must not fill the memory."""

BACKGROUND_CHECK = 1.0
"""Seconds between looks whether a background job has been brought to the foreground."""


class Input:
    """What can be read from a descriptor, as it comes. Close it, or use it with ``with``.

    Args:
      fd: the descriptor; it stays open, and in the mode it is in.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._own = False
        self._file = _is_regular(fd)
        self._thread: ReadingThread | None = None
        if not (self._file or loop_can_wait()):
            self._thread = ReadingThread(fd, PIPE_SIZE)
        own = None if _seekable(fd) else reopened(fd, os.O_RDONLY)
        if own is not None:
            self._fd, self._own = own, True
        self._pipe = self._own and stat.S_ISFIFO(os.fstat(self._fd).st_mode)

    def __enter__(self) -> Input:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened here."""
        if self._own:
            self._own = False
            os.close(self._fd)

    async def read_chunk(self) -> bytes:
        """Some bytes, as soon as there are any; empty at the end of the input.

        Cancelling it loses nothing. What is there already is returned without a checkpoint: the
        caller that passes it on has one. While the process is a background job of the terminal,
        it waits: reading would stop the whole process (SIGTTIN, termios(3)). A terminal that
        has hung up reads as the end of the input.

        Raises:
          OSError: the descriptor cannot be read from (nohup(1) leaves such a one).
        """
        if self._file:
            return os.read(self._fd, FILE_CHUNK)
        if self._thread is not None:
            return await self._thread.read()
        while True:
            if self._pipe:
                # Before waiting: if a FIFO had no writer any more when we opened it, poll(2) does
                # not tell its end (fifo(7)). A read does.
                with contextlib.suppress(BlockingIOError):
                    return os.read(self._fd, PIPE_SIZE)
            try:
                await trio.lowlevel.wait_readable(self._fd)
            except PermissionError:  # a device that is always readable
                await trio.lowlevel.checkpoint()
            if _in_background(self._fd):
                await trio.sleep(BACKGROUND_CHECK)
                continue
            try:
                return os.read(self._fd, PIPE_SIZE)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno == errno.EIO:  # the terminal is gone
                    return b""
                raise


class LineReader:
    """The lines that are typed or piped in.

    Args:
      source: where they come from.
      limit: bytes of one line; a longer one is cut there.
    """

    def __init__(self, source: Input, *, limit: int = MAX_LINE) -> None:
        self._source = source
        self._limit = limit
        self._buffer = b""
        self._start = 0  # of the next line in it
        self._ended = False

    async def read_line(self) -> str | None:
        """The next line without its terminator (the last may lack one); None at the end.

        Bytes that are not UTF-8 are kept as surrogates. Cancelling it loses nothing.

        Raises:
          OSError: as :meth:`Input.read_chunk`.
        """
        await trio.lowlevel.checkpoint()  # also when a thousand lines came at once
        while True:
            end = self._buffer.find(b"\n", self._start, self._start + self._limit)
            left = len(self._buffer) - self._start
            if end >= 0 or self._ended or left >= self._limit:
                cut = end if end >= 0 else self._start + min(left, self._limit)
                line = self._buffer[self._start : cut]
                self._start = cut + (end >= 0)
                if end < 0 and not line:
                    return None
                return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
            chunk = await self._source.read_chunk()
            self._ended = not chunk
            self._buffer, self._start = self._buffer[self._start :] + chunk, 0


def _is_regular(fd: int) -> bool:
    """Whether fd is a file with an end, which is always ready."""
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def _seekable(fd: int) -> bool:
    """Whether fd has a position, which a second opening would not share."""
    try:
        os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return False
    return not os.isatty(fd)


def _in_background(fd: int) -> bool:
    """Whether fd is our controlling terminal and another job is in its foreground."""
    if not hasattr(os, "tcgetpgrp"):  # no job control
        return False
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not a terminal, or not ours: reading it does not stop us
        return False
