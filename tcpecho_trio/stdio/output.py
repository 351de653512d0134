"""Writing to a descriptor that may be slow: a terminal, a pipe, a file.

The counterpart of :mod:`tcpecho_trio.stdio.input`, with the same difficulty: a pipe that
nobody reads must not stop the loop, and O_NONBLOCK on a descriptor would belong to every process
that shares it. A thread for each piece would do, and costs more than the writing. So:

- a **pipe** or a **terminal** is opened once more, non-blocking
  (:mod:`tcpecho_trio.stdio.reopen`);
- a **socket** is asked for it with each piece (MSG_DONTWAIT, send(2));
- a **file** or ``/dev/null`` is always ready, as far as the system can say: it is simply written,
  unless a disk that stalls must not stop the loop;
- **anything else** (a pipe or a terminal of another user's, which may not be opened; everything
  on Windows but files) gets its thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat

import trio

from tcpecho_trio.stdio.reopen import reopened

ALWAYS_READY = {"/dev/null", "/dev/zero", "/dev/full"}
"""Devices that never make a writer wait (null(4), full(4))."""


class Output:
    """What can be written to a descriptor, without a thread where that is possible.

    Close it, or use it with ``with``.

    Args:
      fd: the descriptor; it stays open, and in the mode it is in.
      bulk: a lot is to be written, and fast. So a pipe is made as large as it may be, and a file is
        written without a thread. A server's log wants neither: it is little, and a disk that stalls
        must not stop the loop.
    """

    def __init__(self, fd: int, *, bulk: bool = True) -> None:
        self._fd = fd
        self._own = False
        self._socket: socket.socket | None = None
        found = os.fstat(fd)
        self._file = stat.S_ISREG(found.st_mode)
        self._ready = (self._file and bulk) or _always_ready(found)
        if stat.S_ISSOCK(found.st_mode) and hasattr(socket, "MSG_DONTWAIT"):
            with contextlib.suppress(OSError):  # no descriptor for it: a thread will do
                self._socket = socket.socket(fileno=os.dup(fd))
        elif stat.S_ISFIFO(found.st_mode) or os.isatty(fd):
            # Not possible once the reader has left; then the write itself fails, and says so.
            own = reopened(fd, os.O_WRONLY, enlarge=bulk)
            if own is not None:
                self._fd, self._own = own, True

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened here."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._own:
            self._own = False
            os.close(self._fd)

    async def write(self, data: bytes) -> None:
        """Write every byte. Cancelled, an unknown part of them has been written.

        It is a checkpoint only when it has to wait.

        Raises:
          OSError: from write(2); BrokenPipeError when the reader has left.
        """
        view = memoryview(data)
        while view:
            view = view[await self.write_some(view) :]

    async def write_some(self, data: bytes | memoryview) -> int:
        """Write as much as there is room for, at least a byte; wait until there is.

        It is a checkpoint only when it has to wait.

        Returns:
          How many bytes have been written.

        Raises:
          OSError: from write(2); nothing has been written then. ENOMEM when there is no thread for
            what needs one.
        """
        if self._ready:
            return os.write(self._fd, data)
        if not (self._own or self._socket):
            return await self._write_in_thread(data)
        while True:
            try:
                if self._socket is None:
                    return os.write(self._fd, data)
                return self._socket.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._fd)

    async def _write_in_thread(self, data: bytes | memoryview) -> int:
        try:
            # Abandoned when cancelled, it ends with the process.
            return await trio.to_thread.run_sync(_write, self._fd, data, abandon_on_cancel=True)
        except RuntimeError as error:  # the system starts no more threads
            if self._file:
                return os.write(self._fd, data)
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error


def _always_ready(found: os.stat_result) -> bool:
    if not stat.S_ISCHR(found.st_mode):
        return False
    for device in ALWAYS_READY:
        with contextlib.suppress(OSError):
            if os.stat(device).st_rdev == found.st_rdev:  # noqa: PTH116 (a path would cost more)
                return True
    return False


def _write(fd: int, data: bytes | memoryview) -> int:
    """Write some bytes, and block as long as that takes: call it in a thread.

    It blocks also where another process that shares the descriptor has made it non-blocking
    (O_NONBLOCK belongs to the open file description, fcntl(2)).

    Raises:
      OSError: from write(2); nothing has been written then.
    """
    while True:
        try:
            return os.write(fd, data)
        except BlockingIOError:
            select.select([], [fd], [])
