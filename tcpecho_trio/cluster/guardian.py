"""Whoever is left when the supervisor has been killed: a shell that waits, and kills who hangs.

A worker sees the end of its line to the supervisor, and drains. But one that hangs, or is stopped,
sees nothing; and nobody is left who would kill it. The signal that Linux could send at a parent's
death (PR_SET_PDEATHSIG, prctl(2)) would be the same for all, and at once: there would be no drain.

So beside the workers there is a *guardian*, a few lines of shell. It leads the process group of the
workers, and waits for the end of two pipes: one of which only the supervisor has the other end,
and one which the workers have, too. When the first one ends, the supervisor is gone; when the
second one does, there is nothing to do. If that takes too long, the whole group is killed, the
guardian with it. Its number cannot be anybody else's meanwhile (setpgid(2)).

The group has another merit. When its last parent outside dies, the kernel wakes whoever is stopped
in it (SIGHUP, which workers ignore, and SIGCONT; POSIX, `_exit`): a worker that was stopped drains
like the others.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
from typing import Final

SHELL: Final = "/bin/sh"

SCRIPT: Final = """\
trap '' HUP INT QUIT TERM TSTP USR1 USR2
read -r _
(sleep "$1"; kill -KILL 0) &
read -r _ <&1
kill -KILL 0
"""
"""Nobody writes into the pipes: a ``read`` ends when they do."""

LONGEST: Final = 10**9
"""Seconds that it waits at most: thirty years."""


class Guardian:
    """Starts the guardian, and again if somebody has killed it.

    Args:
      patience: seconds that workers have after the supervisor's death.

    Attributes:
      group: the process group for the workers; None if there is no guardian, because there is no
        shell.
      descriptors: what workers have to inherit.
    """

    def __init__(self, patience: float) -> None:
        self._patience = math.ceil(min(patience, LONGEST))
        self._process: subprocess.Popen[bytes] | None = None
        self._ours = -1  # ends when we do
        self.group: int | None = None
        self.descriptors: tuple[int, ...] = ()

    def ensure(self) -> None:
        """See that there is one, before a worker is started.

        Raises:
          OSError: it cannot be started (fork(2)), or no descriptors are left.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        with contextlib.ExitStack() as stack:
            reading, self._ours = os.pipe()
            stack.callback(os.close, reading)
            theirs, shared = os.pipe()
            stack.callback(os.close, theirs)
            self.descriptors = (shared,)
            with contextlib.suppress(FileNotFoundError):
                self._process = subprocess.Popen(  # noqa: S603  a script of ours
                    [SHELL, "-c", SCRIPT, "tcpecho_trio guardian", str(self._patience)],
                    stdin=reading,
                    stdout=theirs,  # where it reads: there are no other numbers in every shell
                    stderr=subprocess.DEVNULL,
                    process_group=0,
                )
                self.group = self._process.pid

    def close(self) -> None:
        """There are no workers any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for descriptor in (self._ours, *self.descriptors):
            if descriptor >= 0:
                os.close(descriptor)
        self._process, self._ours, self.group, self.descriptors = None, -1, None, ()
