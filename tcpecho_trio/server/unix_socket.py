"""A Unix socket to listen on, and its file (unix(7)).

The file appears with its mode already set and its server already listening: it is made under
another name and then renamed. That also replaces a stale file (left by a process that was killed)
without a moment in which there is none. The file is removed at the end, if it is still ours.

We look whether a server listens there, and then rename. Between the two another server must not do
the same: one of them would listen at a file that has no name any more. A lock file ``PATH.lock``
sees to that. It is there only for this moment. A process that is killed then leaves it behind, but
that does no harm: the lock itself ends with the process (flock(2)).
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
      OSError: EADDRINUSE if somebody listens there or is just beginning to, or if what is there
        is no socket; EAFNOSUPPORT if this system has no Unix sockets; else from bind(2), chmod(2)
        or rename(2).
    """
    if not hasattr(socket, "AF_UNIX"):
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT), path)
    new = f"{path}.{os.getpid()}"
    with contextlib.ExitStack() as undo:
        with _locked(path):
            if _taken(path):
                raise _in_use(path)
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


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep other servers from beginning to listen at the path.

    Nobody waits: a server that finds the lock taken is the second one.

    Raises:
      OSError: EADDRINUSE, the lock is taken.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where the rename fails if there is a file
        yield
        return
    name = f"{path}.lock"
    while True:
        try:
            lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:  # bind(2) will say more about a place where no file can be made
            yield
            return
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _in_use(path) from error
            except OSError:  # a file system without locks
                pass
            if not _still_named(lock, name):  # its last owner has removed it
                continue
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(name)  # noqa: PTH108
            return
        finally:
            os.close(lock)


def _still_named(fd: int, path: str) -> bool:
    """Whether the file that is open as `fd` is the one at the path."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _in_use(path: str) -> OSError:
    return OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)


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
        probe.setblocking(False)  # a full backlog must not hold us up: a server is there
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True
        return True


def _remove(path: str, made: os.stat_result | None) -> None:
    """Remove the file, unless another server has put its own there."""
    with contextlib.suppress(OSError):
        if made is None or os.path.samestat(made, os.stat(path)):  # noqa: PTH116
            os.unlink(path)  # noqa: PTH108
