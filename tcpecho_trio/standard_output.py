"""Writing to a descriptor that may be slow: a terminal, a pipe, a file."""

from __future__ import annotations

import os
import select


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
