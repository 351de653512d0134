"""Waiting for many sockets at once: on Linux's epoll, or on whatever the system has."""

from __future__ import annotations

import os
import select
import selectors
import socket
from typing import Protocol

READ, WRITE = 1, 4
"""What to wait for: the values of EPOLLIN and EPOLLOUT (epoll_ctl(2))."""

Ready = list[tuple[int, int]]
"""Descriptors, and what they are ready for."""

FEW = 1024
"""Descriptors below this number fit into a select(2), which waits to the microsecond."""


class Poller(Protocol):
    """What the engine needs of one."""

    def register(self, sock: socket.socket, events: int) -> None:
        """Begin to wait for this socket."""

    def modify(self, sock: socket.socket, events: int) -> None:
        """Wait for something else."""

    def unregister(self, sock: socket.socket) -> None:
        """Wait for it no more."""

    def poll(self, seconds: float, most: int) -> Ready:
        """Who is ready, after so many seconds at most; to the millisecond."""

    def wait(self, nanoseconds: int) -> None:
        """Wait until somebody may be ready, or so long; as exactly as the system can."""

    def fileno(self) -> int | None:
        """A descriptor that is readable when somebody is ready, if there is one."""

    def close(self) -> None:
        """Give the descriptor back."""


class EpollPoller:
    """A private epoll."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.poll = self._epoll.poll

    def register(self, sock: socket.socket, events: int) -> None:
        """See :class:`Poller`."""
        self._epoll.register(sock.fileno(), events)

    def modify(self, sock: socket.socket, events: int) -> None:
        """See :class:`Poller`."""
        self._epoll.modify(sock.fileno(), events)

    def unregister(self, sock: socket.socket) -> None:
        """See :class:`Poller`."""
        self._epoll.unregister(sock.fileno())

    def wait(self, nanoseconds: int) -> None:
        """See :class:`Poller`."""
        # epoll_wait(2) counts milliseconds; select(2) counts microseconds, and takes an epoll.
        fd = self._epoll.fileno()
        if fd < FEW:
            select.select([fd], [], [], nanoseconds / 1e9)
        else:
            self._epoll.poll(nanoseconds / 1e9, 1)

    def fileno(self) -> int | None:
        """See :class:`Poller`."""
        return self._epoll.fileno()

    def close(self) -> None:
        """See :class:`Poller`."""
        self._epoll.close()


class PortablePoller:
    """What Python's selectors know of this system, but for epoll."""

    def __init__(self) -> None:
        kind = getattr(selectors, "PollSelector", selectors.SelectSelector)
        self._selector: selectors.BaseSelector = kind()

    def register(self, sock: socket.socket, events: int) -> None:
        """See :class:`Poller`."""
        self._selector.register(sock.fileno(), _mask(events))

    def modify(self, sock: socket.socket, events: int) -> None:
        """See :class:`Poller`."""
        self._selector.modify(sock.fileno(), _mask(events))

    def unregister(self, sock: socket.socket) -> None:
        """See :class:`Poller`."""
        self._selector.unregister(sock.fileno())

    def poll(self, seconds: float, most: int) -> Ready:
        """See :class:`Poller`."""
        del most
        return [
            (
                key.fd,
                (READ if mask & selectors.EVENT_READ else 0)
                | (WRITE if mask & selectors.EVENT_WRITE else 0),
            )
            for key, mask in self._selector.select(seconds)
        ]

    def wait(self, nanoseconds: int) -> None:
        """See :class:`Poller`."""
        self._selector.select(nanoseconds / 1e9)

    def fileno(self) -> int | None:
        """See :class:`Poller`."""
        return None

    def close(self) -> None:
        """See :class:`Poller`."""
        self._selector.close()


def _mask(events: int) -> int:
    return (selectors.EVENT_READ if events & READ else 0) | (
        selectors.EVENT_WRITE if events & WRITE else 0
    )


def new_poller(*, portable: bool) -> Poller:
    """The best one that there is, or one that does without epoll."""
    if portable or not hasattr(select, "epoll"):
        return PortablePoller()
    return EpollPoller()


def sockets_are_files() -> bool:
    """Whether read(2) and write(2) take sockets, as everywhere but on Windows."""
    return os.name == "posix"
