"""Writing to a descriptor that may be slow: a terminal, a pipe, a file.

The counterpart of :mod:`tcpecho_trio.stdio.input`, with the same difficulty: a pipe that
nobody reads must not stop the loop, and O_NONBLOCK on a descriptor would belong to every process
that shares it. A thread for each piece would do, and costs more than the writing. So:

- a **pipe** is opened once more, non-blocking (:mod:`tcpecho_trio.stdio.reopen`);
- a **socket** is asked for it with each piece (MSG_DONTWAIT, send(2));
- a **file** or ``/dev/null`` is always ready, as far as the system can say: it is simply written;
- **anything else** (a terminal; a pipe of another user's, which may not be opened; everything on
  Windows but files) gets its thread.
"""

from __future__ import annotations

import contextlib
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
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._own = False
        self._socket: socket.socket | None = None
        found = os.fstat(fd)
        self._ready = stat.S_ISREG(found.st_mode) or _always_ready(found)
        if stat.S_ISSOCK(found.st_mode) and hasattr(socket, "MSG_DONTWAIT"):
            self._socket = socket.socket(fileno=os.dup(fd))
        elif stat.S_ISFIFO(found.st_mode):
            # Not possible where nobody reads it any more, which the write itself shall say.
            own = reopened(fd, os.O_WRONLY)
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
        if self._ready:
            write_all(self._fd, data)
            return
        if not (self._own or self._socket):
            # Abandoned when cancelled, it ends with the process.
            await trio.to_thread.run_sync(write_all, self._fd, data, abandon_on_cancel=True)
            return
        view = memoryview(data)
        while view:
            try:
                if self._socket is None:
                    view = view[os.write(self._fd, view) :]
                else:
                    view = view[self._socket.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._fd)


def _always_ready(found: os.stat_result) -> bool:
    if not stat.S_ISCHR(found.st_mode):
        return False
    for device in ALWAYS_READY:
        with contextlib.suppress(OSError):
            if os.stat(device).st_rdev == found.st_rdev:  # noqa: PTH116 (a path would cost more)
                return True
    return False


def write_all(fd: int, data: bytes) -> None:
    """Write every byte. Blocks as long as that takes, so it belongs into a thread.

    Also where somebody who shares the descriptor has made it non-blocking (O_NONBLOCK is a
    property of the open file description, fcntl(2)).

    Raises:
      OSError: from write(2); an unknown part has been written then.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
