"""The access log's file: opened, written without waiting, and opened again when it was rotated.

logrotate(8) renames the file and sends SIGUSR1. The file that then has the name takes the
descriptor's place (dup2(2)), which is one step: a line goes to the one file or to the other.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import trio

from tcpecho_trio.errors import CannotLog
from tcpecho_trio.server.events import AccessLogKept, AccessLogLost, AccessLogReopened
from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.stdio.log_writer import LogWriter

MODE = 0o640
"""Permissions of a new file: addresses of clients are nobody else's business."""


class AccessLogFile(LogWriter):
    """Lines on their way to a file, which may be full, slow, or rotated. Use it with ``with``.

    Args:
      path: of the file.
      events: is told what became of it.

    Raises:
      CannotLog: it cannot be opened.
    """

    def __init__(self, path: str, events: Events) -> None:
        self._path = path
        self._events = events
        try:
            self._file = _opened(path)
        except OSError as error:
            raise CannotLog.because(error, path) from error
        super().__init__(self._file, self._tell_of)

    def __enter__(self) -> AccessLogFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    async def reopen_at(self, rotations: AsyncIterator[int]) -> None:
        """Open the file again each time that a signal comes."""
        async for _ in rotations:
            try:
                new = await self._open_again()
            except OSError as error:
                self._events.publish(AccessLogKept(str(error)))
                continue
            os.dup2(new, self._file, inheritable=False)
            os.close(new)
            self.start_anew()
            self._events.publish(AccessLogReopened())

    async def _open_again(self) -> int:
        try:
            # A disk that does not answer holds up this task only.
            return await trio.to_thread.run_sync(_opened, self._path, abandon_on_cancel=True)
        except RuntimeError:  # the system starts no more threads
            return _opened(self._path)

    def _tell_of(self, count: int) -> None:
        """Say that lines were lost: not in the log itself, whose lines are all of one kind."""
        self._events.publish(AccessLogLost(count))


def _opened(path: str) -> int:
    # Not waited for: nobody may ever read a FIFO.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags, MODE)
