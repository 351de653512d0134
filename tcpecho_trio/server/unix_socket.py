"""A Unix socket to listen on, and its file (unix(7)).

The file appears with its mode already set and somebody already listening: it is made under another
name and then renamed, which also replaces a stale one (left by a process that was killed)
without a moment in which there is none. It is removed at the end, if it is still ours.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator

import trio


@contextlib.contextmanager
def listening_at(path: str, mode: int | None) -> Iterator[trio.SocketListener]:
    """Listen at a path.

    Args:
      path: of the file; relative to the working directory, as paths are.
      mode: permissions of the file: connecting needs write permission. None leaves them to
        the umask.

    Raises:
      OSError: EADDRINUSE if somebody listens there, or what is there is no socket; else from
        bind(2), chmod(2) or rename(2).
    """
    if _taken(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
    new = f"{path}.{os.getpid()}"
    with contextlib.ExitStack() as undo:
        listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        undo.callback(listening.close)
        _remove(new, None)  # of a process that had our number, and died between the two names
        _bind(listening, new)
        undo.callback(_remove, new, None)
        if mode is not None:
            os.chmod(new, mode)  # noqa: PTH101  paths here are what the kernel is given
        listening.listen(_backlog())
        made = os.stat(new)  # noqa: PTH116
        os.rename(new, path)  # noqa: PTH104
        undo.callback(_remove, path, made)
        yield trio.SocketListener(listening)


def _bind(listening: trio.socket.SocketType, path: str) -> None:
    """Bind without waiting: a path needs no name resolution, which trio's bind would await."""
    with socket.socket(fileno=os.dup(listening.fileno())) as same:
        same.bind(path)


def _backlog() -> int:
    """As long as the system allows (listen(2) cuts it to somaxconn)."""
    return 65535


def _taken(path: str) -> bool:
    """Whether something other than a socket that nobody listens on is there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return True
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog must not hold us up: somebody is there
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True
        return True


def _remove(path: str, made: os.stat_result | None) -> None:
    """Remove the file, unless somebody else has put another one there."""
    with contextlib.suppress(OSError):
        if made is None or os.path.samestat(made, os.stat(path)):  # noqa: PTH116
            os.unlink(path)  # noqa: PTH108
