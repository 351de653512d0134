"""A pipe or a terminal that others share, opened once more for ourselves.

O_NONBLOCK belongs to the open file description (fcntl(2)), and with it to every process that
shares the descriptor: a shell, the next program in a pipe. So where the system offers it
(``/proc``) what lies behind a descriptor is opened anew: a description of our own (open(2)), which
may be non-blocking without anybody else noticing.
"""

from __future__ import annotations

import contextlib
import os
import stat

PIPE_SIZE = 1_048_576
"""Bytes that a pipe of ours may hold: what Linux allows anybody (pipe(7), pipe-max-size). With the
usual 64 KiB a program waits for its neighbour twice as often, and a pass of Trio's loop takes as
long as moving as much again."""


def reopened(fd: int, flags: int, *, enlarge: bool = True) -> int | None:
    """Open what is behind a descriptor once more.

    Args:
      fd: the descriptor; it stays open, and in the mode it is in.
      flags: for open(2); O_NONBLOCK, O_CLOEXEC and O_NOCTTY (opening a terminal must not make
        it ours) are added.
      enlarge: whether a pipe gets as large as it may be.

    Returns:
      The new descriptor, to be closed by the caller. None where that cannot be done: without
      ``/proc``, on Windows, for a socket, for a descriptor that is open for the other direction
      only, for somebody else's pipe or terminal, for a FIFO that nobody reads.
    """
    try:
        import fcntl
    except ImportError:
        return None
    mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    if mode not in (os.O_RDWR, flags & os.O_ACCMODE):
        return None  # /proc would open it all the same
    try:
        own = os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    if enlarge and hasattr(fcntl, "F_SETPIPE_SZ") and stat.S_ISFIFO(os.fstat(own).st_mode):
        with contextlib.suppress(OSError):  # this user's pipes hold enough already
            fcntl.fcntl(own, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return own
