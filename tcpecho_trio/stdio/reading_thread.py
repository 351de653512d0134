"""Reading a descriptor with a thread, where the event loop cannot wait for it.

On Windows only sockets can be waited for. A thread that is blocked in ``read(2)`` cannot be
cancelled. So it is asked for one piece at a time, and what it has read is kept until it is asked
for. At the end of the run it may still be blocked; it is a daemon thread and ends with the
process. That is safe with ``os.read``, but not with ``sys.stdin``, whose lock would abort the
interpreter.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial

import outcome
import trio


def loop_can_wait() -> bool:
    """Whether the event loop can wait for descriptors that are no sockets: not on Windows.

    Windows has no fcntl either, which is what we look for.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return False
    return True


class ReadingThread:
    """Reads a descriptor, one piece at a time.

    Args:
      fd: the descriptor; it is not closed here.
      size: bytes of a piece, at most.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._reading = False  # or its piece waits
        self._send, self._receive = trio.open_memory_channel[outcome.Outcome[bytes]](1)

    async def read(self) -> bytes:
        """The next piece; empty at the end of the input.

        Cancelling it loses nothing: the next call gets what the thread will have read.

        Raises:
          OSError: from read(2).
        """
        if not self._reading:
            self._reading = True
            deliver = partial(self._deliver, trio.lowlevel.current_trio_token())
            trio.lowlevel.start_thread_soon(partial(os.read, self._fd, self._size), deliver)
        piece = await self._receive.receive()
        self._reading = False
        return piece.unwrap()

    def _deliver(self, token: trio.lowlevel.TrioToken, piece: outcome.Outcome[bytes]) -> None:
        """Hand over what has been read; in the thread."""
        with contextlib.suppress(trio.RunFinishedError):  # the run is over
            token.run_sync_soon(self._send.send_nowait, piece)
