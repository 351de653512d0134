"""The connections of a load as sockets: who waits for what, and what could not be written yet.

What is not plain receiving and sending (connecting, TLS handshakes, writes that did not fit)
goes another way than the engine's hot loop: that one only knows the receivers of connections for
which there is nothing of it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence

from tcpecho_trio.load.conversation import Conversation
from tcpecho_trio.load.pollers import READ, WRITE, new_poller, sockets_are_files
from tcpecho_trio.load.tls_layer import TlsLayer


class Link:
    """One connection after another, for one conversation.

    Attributes:
      stage: ``closed``, ``waiting`` (for its next attempt), ``connecting``, ``handshaking``,
        ``open`` (before the load begins), ``talking`` or ``leaving``; with one of the last five
        there is a `sock`.
      layer: TLS, where there is some.
      unsent: what could not be written yet.
      began, handshaking, opened_at: when this connection, its handshake, and its being open began.
      failures: attempts that have failed since the last connection that lasted.
      address: which of the server's addresses it goes to.
      watched: what is waited for.
      queued: whether a Unix socket's queue was full: this attempt goes on.
    """

    sock: socket.socket

    __slots__ = (
        *("address", "began", "conversation", "failures", "handshaking", "layer"),
        *("opened_at", "queued", "sock", "stage", "unsent", "watched"),
    )

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.layer: TlsLayer | None = None
        self.stage = "closed"
        self.unsent = b""
        self.began = self.handshaking = self.opened_at = 0
        self.failures = self.address = self.watched = 0
        self.queued = False


class Links:
    """All of them.

    Args:
      conversations: one for each.
      portable: do without epoll.
      broke: is told of a connection on which nothing can be sent.

    Attributes:
      all: each link.
      by_fd: those that have a socket.
      receivers: who looks at what has come, for each connection that is in the usual case.
      poller: waits for all of them.
      read, write: as read(2) and write(2).
    """

    def __init__(
        self,
        conversations: Sequence[Conversation],
        broke: Callable[[Link, OSError], None],
        *,
        portable: bool,
    ) -> None:
        self.all = [Link(conversation) for conversation in conversations]
        self.by_fd: dict[int, Link] = {}
        self.receivers: dict[int, Callable[[bytes, int], bytes]] = {}
        self.poller = new_poller(portable=portable)
        self._broke = broke
        if sockets_are_files():
            self.read: Callable[[int, int], bytes] = os.read
            self.write: Callable[[int, bytes], int] = os.write
        else:
            self.read = self._receive_from_socket
            self.write = self._send_to_socket

    def add(self, link: Link, sock: socket.socket) -> None:
        """This socket is its connection, as soon as that has come about."""
        link.sock, link.stage = sock, "connecting"
        self.by_fd[sock.fileno()] = link
        self.wait_for(link, WRITE)

    def watch(self, link: Link) -> None:
        """Wait for what there is to wait for; the usual case is served by the hot loop."""
        if link.stage == "open":  # what the server says already waits in the kernel
            self.wait_for(link, WRITE if link.unsent else 0)
            return
        fd = link.sock.fileno()
        if link.stage == "talking" and not link.unsent:
            above = link.conversation if link.layer is None else link.layer
            self.receivers[fd] = above.receive
        else:
            self.receivers.pop(fd, None)
        self.wait_for(link, READ | WRITE if link.unsent else READ)

    def wait_for(self, link: Link, events: int) -> None:
        """Tell the poller, if that is new to it."""
        sock, before = link.sock, link.watched
        link.watched = events
        if not before and events:
            self.poller.register(sock, events)
        elif before and not events:
            self.poller.unregister(sock)
        elif before != events:
            self.poller.modify(sock, events)

    def say(self, link: Link, message: bytes) -> None:
        """Send something that the conversation says."""
        self.send(link, message if link.layer is None else link.layer.encrypt(message))

    def send(self, link: Link, data: bytes) -> None:
        """Write as much as goes, and keep the rest."""
        if not data or link.stage in ("closed", "waiting"):
            return
        if link.unsent:
            link.unsent += data
            return
        try:
            sent = self.write(link.sock.fileno(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broke(link, error)
            return
        if sent != len(data):
            self.keep(link, data[sent:])

    def keep(self, link: Link, rest: bytes) -> None:
        """It did not fit: send the rest when there is room."""
        link.unsent += rest
        self.watch(link)

    def flush(self, link: Link) -> None:
        """There is room: write of the rest what goes.

        Raises:
          OSError: the connection is broken.
        """
        sent = self.write(link.sock.fileno(), link.unsent)
        link.unsent = link.unsent[sent:]
        if not link.unsent:
            self.watch(link)

    def drop(self, link: Link) -> None:
        """Close the socket, whatever its state."""
        if link.stage not in ("closed", "waiting"):
            fd = link.sock.fileno()
            self.receivers.pop(fd, None)
            self.by_fd.pop(fd, None)
            self.wait_for(link, 0)
            link.sock.close()
        link.layer = None
        link.unsent = b""
        link.stage = "closed"

    def end_tls(self, link: Link) -> None:
        """Say that nothing more follows, if that can be said at once."""
        if link.layer is not None and not link.unsent:
            with contextlib.suppress(OSError):
                if last := link.layer.end():
                    self.write(link.sock.fileno(), last)

    def close(self) -> None:
        """Close all of them."""
        for link in self.all:
            if link.stage == "talking":
                link.conversation.closed(by_us=True)
                self.end_tls(link)
            self.drop(link)
        self.poller.close()

    # Where read(2) and write(2) take no sockets.

    def _receive_from_socket(self, fd: int, size: int) -> bytes:
        return self.by_fd[fd].sock.recv(size)

    def _send_to_socket(self, fd: int, data: bytes) -> int:
        return self.by_fd[fd].sock.send(data)
