"""Reading a descriptor that a person, a pipe or a file is behind, without a thread.

A thread blocked in ``read(2)`` cannot be cancelled, and would outlive the run. So terminals
and pipes are waited for by the event loop and read when they are readable; a regular file
or ``/dev/null``, which epoll refuses (EPERM, epoll_ctl(2)) because it is always readable,
is simply read. The descriptor stays in blocking mode: O_NONBLOCK would belong to every
process that shares it.
"""

from __future__ import annotations

import errno
import os

import trio

CHUNK = 65536
"""Bytes asked for in one read: what a Linux pipe holds (pipe(7))."""

BACKGROUND_CHECK = 1.0
"""Seconds between looks whether a background job has been brought to the foreground."""


async def read_chunk(fd: int, size: int = CHUNK) -> bytes:
    """At most `size` bytes, as soon as there are any; empty at the end of the input.

    Cancelling it loses nothing. While the process is a background job of the terminal behind
    `fd`, it waits: reading would stop the whole process (SIGTTIN, termios(3)). A terminal
    that has hung up reads as the end of the input.
    """
    try:
        while True:
            await trio.lowlevel.wait_readable(fd)
            if not _in_background(fd):
                break
            await trio.sleep(BACKGROUND_CHECK)
    except PermissionError:  # a file, always readable
        await trio.lowlevel.checkpoint()
    try:
        return os.read(fd, size)
    except OSError as error:
        if error.errno == errno.EIO:  # the terminal is gone
            return b""
        raise


class LineReader:
    """The lines that are typed or piped into a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = b""
        self._ended = False

    async def read_line(self) -> str | None:
        """The next line without its terminator (the last may lack one); None at the end.

        Bytes that are not UTF-8 are kept as surrogates. Cancelling it loses nothing.
        """
        while True:
            line, lf, rest = self._buffer.partition(b"\n")
            if lf or self._ended:
                self._buffer = rest
                if not (lf or line):
                    return None
                return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
            chunk = await read_chunk(self._fd)
            self._ended = not chunk
            self._buffer += chunk


def _in_background(fd: int) -> bool:
    """Whether fd is our controlling terminal and another job is in its foreground."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not a terminal, or not ours: nobody would stop us
        return False
