"""How the connections of a load come about: many at a time, and again when they have ended.

::

    queue ──► connecting ──► handshaking (TLS) ──► opened
                  │ failed         │ failed
                  └──► attempts ◄──┘   to be tried again, later each time
"""

from __future__ import annotations

import errno
import heapq
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from time import perf_counter_ns

import trio

from tcpecho_trio.client.connect import Target, proxy_header
from tcpecho_trio.errors import CannotConnect, TcpEchoError, TooSlow
from tcpecho_trio.load.histogram import index_of
from tcpecho_trio.load.links import Link, Links
from tcpecho_trio.load.plan import Plan
from tcpecho_trio.load.pollers import WRITE
from tcpecho_trio.load.schedule import NEVER
from tcpecho_trio.load.tls_layer import TlsLayer

HANDSHAKE_SIZE = 65536
"""Bytes of a handshake that are read at a time."""

MOST_CONNECTING = 128
"""Connections that are under way at a time at the start. Listeners queue 128 at least (listen(2),
somaxconn before Linux 5.4)."""

FEW_AT_ONCE = 8
"""Connections that are begun before others are looked at again: how long connecting takes would
otherwise be how long it takes us to begin them all."""

LOOK = 50_000_000
"""Nanoseconds between two looks at connections that may take too long."""

FIRST_PAUSE, LONGEST_PAUSE = 10_000_000, 1_000_000_000
"""Nanoseconds before a connection is tried again that failed soon; doubled each time."""

SETTLED = 100_000_000
"""Nanoseconds after which a connection has not failed soon."""

OURS = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
    *(errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM),
}
"""Errors of connect(2) and socket(2) that this machine is to blame for."""

Address = tuple[int, "tuple[object, ...] | str"]
"""A socket's family, and where to connect it to."""


class Connector:
    """Opens connections.

    Args:
      plan: what counts how that goes.
      target: the server.
      addresses: where it may be; the first one that answers is used for all connections.
      context: what to shake hands with; None without TLS.
      links: the connections.
      opened: is told of each connection that has come about, and when.

    Attributes:
      begun: whether the plan has begun, and decides who needs a connection.
      wake_at: when :meth:`act` is to be called next.
    """

    def __init__(
        self,
        plan: Plan,
        target: Target,
        addresses: list[Address],
        context: ssl.SSLContext | None,
        links: Links,
        opened: Callable[[Link, int], None],
    ) -> None:
        self._plan, self._target, self._addresses = plan, target, addresses
        self._context, self._links, self._opened = context, links, opened
        self._timeout = int(plan.settings.timeout * 1e9)
        self._address = 0  # the one of `addresses` that is used
        self._reached = False  # whether a connection has come about
        self._attempts: list[tuple[int, int, Link]] = []  # when to try again, the earliest first
        self._queue: list[Link] = []  # not tried yet, the first one at the end
        self._connecting: dict[Link, None] = {}  # in the order in which they began
        self._look_at = 0
        self.wake_at = 0
        self.begun = False

    @property
    def busy(self) -> bool:
        """Whether anybody has not been tried yet, or is being tried."""
        return bool(self._queue or self._connecting)

    def open(self, links: Iterable[Link]) -> None:
        """Have connections for these, as soon as it goes."""
        self._queue[:0] = [*links][::-1]
        self.look_soon()

    def look_soon(self) -> None:
        """There may be room for others."""
        self._look_at = self.wake_at = 0

    def act(self, now: int) -> None:
        """Do what is due by the clock."""
        while self._attempts and self._attempts[0][0] <= now:
            link = heapq.heappop(self._attempts)[2]
            if link.stage == "waiting":
                link.stage = "closed"
                if not self.begun or self._plan.wants_connection(link.conversation):
                    self.begin(link, now)
        if now >= self._look_at:
            self._look(now)
        self._plan_wake()

    def _plan_wake(self) -> None:
        self.wake_at = min(self._look_at, self._attempts[0][0] if self._attempts else NEVER)

    def _look(self, now: int) -> None:
        """Give up those that take too long, and begin others in their place."""
        while self._connecting:
            link = next(iter(self._connecting))
            if now - link.began < self._timeout:
                break
            self.failed(link, TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)), now)
        room = MOST_CONNECTING if self._reached else 1
        for _ in range(FEW_AT_ONCE):
            if not self._queue or len(self._connecting) >= room:
                break
            self.begin(self._queue.pop(), perf_counter_ns())
        if self._queue and len(self._connecting) < room:
            self._look_at = now
        else:
            self._look_at = now + LOOK if self.busy else NEVER

    def begin(self, link: Link, now: int) -> None:
        """Begin a connection."""
        family, where = self._addresses[self._address]
        link.address = self._address
        if not link.queued:
            link.began = now
        link.queued = False
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            if family in (socket.AF_INET, socket.AF_INET6):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = sock.connect_ex(where)
            if number not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
                raise OSError(number, os.strerror(number))
            if number == errno.EAGAIN and family not in (socket.AF_INET, socket.AF_INET6):
                raise OSError(number, os.strerror(number))
        except OSError as error:
            if sock is not None:
                sock.close()
            self.failed(link, error, now)
            return
        self._connecting[link] = None
        if self._look_at > now + LOOK:
            self._look_at = now + LOOK
            self._plan_wake()
        self._links.add(link, sock)

    def connected(self, link: Link) -> None:
        """It is there, or it failed.

        Raises:
          OSError: it failed.
        """
        sock, links = link.sock, self._links
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        now = perf_counter_ns()
        self._plan.tally.connecting[index_of(now - link.began)] += 1
        hello = b""
        if self._target.proxy is not None:
            hello = proxy_header(sock, self._target.proxy)
        if self._context is None:
            links.send(link, hello)
            self._has_come(link, sock, now)
            return
        link.stage, link.handshaking = "handshaking", now
        name = (self._target.tls.name if self._target.tls else None) or self._target.host
        layer = link.layer = TlsLayer(self._context, name, link.conversation)
        _, first = layer.shake_hands(b"")
        links.watch(link)
        links.send(link, hello + first)

    def shake_hands(self, link: Link, event: int) -> None:
        """Go on with the TLS handshake.

        Raises:
          OSError: it failed.
        """
        links, layer, sock = self._links, link.layer, link.sock
        if event & WRITE and link.unsent:
            links.flush(link)
        if not event & ~WRITE or layer is None:
            return
        data = links.read(sock.fileno(), HANDSHAKE_SIZE)
        if not data:
            raise ssl.SSLEOFError("EOF in the handshake")
        try:
            over, answer = layer.shake_hands(data)
        except ssl.SSLError:
            if alert := layer.unsent():
                links.send(link, alert)
            raise
        links.send(link, answer)
        if over:
            now = perf_counter_ns()
            self._plan.tally.handshaking[index_of(now - link.handshaking)] += 1
            self._has_come(link, sock, now)

    def _has_come(self, link: Link, sock: socket.socket, now: int) -> None:
        if link.stage in ("closed", "waiting") or link.sock is not sock:
            return  # it broke with our first bytes, and has been counted as failed
        self._reached = True
        self._connecting.pop(link, None)
        link.stage, link.opened_at = "open", now
        if self._queue:
            self.look_soon()
        self._opened(link, now)

    # Failures.

    def failed(self, link: Link, error: OSError, now: int) -> None:
        """A connection did not come about.

        Raises:
          TcpEchoError: none ever has.
        """
        self._connecting.pop(link, None)
        self._links.drop(link)
        if not self._reached:
            if link.address == self._address and self._address + 1 < len(self._addresses):
                self._address += 1
                self.begin(link, now)
                return
            raise self._translated(error)
        busy = error.errno == errno.EAGAIN  # a Unix socket whose queue is full
        if busy and now - link.began < self._timeout:
            self.try_later(link, now)
            link.queued = True
            return
        if isinstance(error, ssl.SSLError) or link.handshaking > link.began:
            kind = "tls"
        elif isinstance(error, TimeoutError) or busy:
            kind = "connect_timeout"
        else:
            kind = "local" if error.errno in OURS else "refused"
        self._plan.tally.errors[kind] += 1
        self.try_later(link, now)

    def try_later(self, link: Link, now: int) -> None:
        """Connect again, and not too often."""
        link.stage = "waiting"
        pause = min(LONGEST_PAUSE, FIRST_PAUSE << min(link.failures, 10))
        link.failures += 1
        heapq.heappush(self._attempts, (now + pause, id(link), link))
        self._plan_wake()

    def _translated(self, error: OSError) -> TcpEchoError:
        """Why nobody can be reached, for a person."""
        target = self._target
        if isinstance(error, TimeoutError):
            seconds = self._plan.settings.timeout
            return TooSlow("connect_too_slow", address=target.name, seconds=seconds)
        if isinstance(error, ssl.SSLError):
            broken = trio.BrokenResourceError(str(error))
            broken.__cause__ = None if isinstance(error, ssl.SSLEOFError) else error
            return CannotConnect.over_tls(broken, target.name)
        return unreachable(error, target)


def unreachable(error: OSError | UnicodeError, target: Target) -> CannotConnect:
    """Why there is no connection; its hints name the options of ``load``."""
    found = CannotConnect.because(error, target.host, target.port, target.path)
    if found.message in ("unknown_host", "cannot_connect"):
        found = CannotConnect(f"load.{found.message}", **found.details)
    found.__cause__ = error
    return found
