"""A server process that replaces itself: the same command line, executed once more (execve(2)).

It works without a service manager, and with one: the process keeps its id. Sockets that a service
manager had opened are handed on as they were (sd_listen_fds(3)), so whoever connects meanwhile
waits in their backlog.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable

import trio

from tcpecho_trio.cli.service_manager import FIRST_DESCRIPTOR
from tcpecho_trio.errors import ClusterError

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that are blocked from before the end of one program until the next one takes them."""

IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
"""Signals that a program may ignore by now; the next one would begin with that (execve(2))."""

PASSES = 3
"""Passes of the scheduler until a signal that has arrived has been obeyed: Trio's entry queue wakes
the receiver, the receiver the task that reads it."""


class Restart:
    """What has to be kept for the next program, and the way to it.

    Args:
      listeners: those that were inherited; none for most.

    Raises:
      OSError: no descriptors are left for them.
    """

    def __init__(self, listeners: Iterable[trio.SocketListener]) -> None:
        self._kept = [os.dup(listener.socket.fileno()) for listener in listeners]

    async def execute(self, wanted: Callable[[], bool]) -> None:
        """Become the next program; return if that is not wanted any more.

        Args:
          wanted: whether it is, asked when every signal that came has been taken: whoever sends
            one wants an end.

        Raises:
          ClusterError: it cannot be executed.
        """
        numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
        mask = getattr(signal, "pthread_sigmask", None)
        if mask is not None:
            mask(signal.SIG_BLOCK, numbers)
        for _ in range(PASSES):
            await trio.lowlevel.checkpoint()
        if not wanted():
            if mask is not None:
                mask(signal.SIG_UNBLOCK, numbers)
            return
        for name in IGNORED:
            if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
        for place, fd in enumerate(self._kept, FIRST_DESCRIPTOR):
            os.dup2(fd, place, inheritable=True)
        if self._kept:
            os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(self._kept))}
        try:
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # our own command line
        except OSError as error:
            raise ClusterError("cluster.cannot_restart", reason=error) from error


def take_signals() -> None:
    """Take the signals that came between the last program and this one."""
    with contextlib.suppress(AttributeError):  # Windows has none of that
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
        )
