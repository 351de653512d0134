"""The engine of a load: it moves the bytes of all connections from one task.

::

    poll ──► read ──► conversation.receive() ──► write        for whoever is ready
      ▲                                            │
      └── plan.advance(): what is due by the clock ◄┘

One wait of Trio's costs more than a message may. So the engine owns a poller and stays in its own
loop; it comes up for Trio fifty times a second, for signals and cancellation. In a Trio program
with other tasks (``shared``) it never blocks: it waits for the poller as for a socket.

What is not plain receiving and sending (connecting, TLS handshakes, writes that did not fit, ends)
goes another way: the hot loop only knows the connections for which there is nothing of it.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import socket
import ssl
from collections.abc import Callable
from time import perf_counter_ns

import trio

from tcpecho_trio.client.connect import Target, proxy_header
from tcpecho_trio.errors import CannotConnect, ServerFull, TcpEchoError, TooSlow
from tcpecho_trio.load.conversation import Conversation
from tcpecho_trio.load.histogram import index_of
from tcpecho_trio.load.plan import NEVER, Plan
from tcpecho_trio.load.pollers import READ, WRITE, Ready, new_poller, sockets_are_files
from tcpecho_trio.load.tls_layer import TlsLayer

READ_SIZE = 65536
"""Bytes read at a time, at most; less where replies are small, for the memory is allocated."""

BATCH = 256
"""Connections that are served between two looks at the clock."""

SMALL_BATCH = 32
"""The same in an open loop, whose messages must not be late for it: 0.2 ms or so."""

SLICE = 20_000_000
"""Nanoseconds until Trio gets its turn: signals and cancellation wait no longer."""

SHARED_SLICE = 1_000_000
"""The same where other tasks do more than that."""

SHORT = 20_000
"""Nanoseconds that are not worth sleeping: to be woken takes longer."""

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


class Link:
    """One connection after another, for one conversation.

    Attributes:
      stage: ``closed``, ``waiting`` (for its next attempt), ``connecting``, ``handshaking`` or
        ``open``; with one of the last three there is a `sock`.
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
        self.failures = 0
        self.address = 0
        self.watched = 0  # what is waited for
        self.queued = False  # a Unix socket's queue is full: this attempt goes on


def unreachable(error: OSError | UnicodeError, target: Target) -> CannotConnect:
    """Why there is no connection; its hints name the options of ``load``."""
    found = CannotConnect.because(error, target.host, target.port, target.path)
    if found.message in ("unknown_host", "cannot_connect"):
        found = CannotConnect(f"load.{found.message}", **found.details)
    found.__cause__ = error
    return found


class Engine:
    """Moves a load.

    Args:
      plan: what is sent, and what is made of the replies.
      target: the server.
      addresses: where it may be; the first one that answers is used for all connections.
      context: what to shake hands with; None without TLS.
      shared: whether other tasks of this Trio program must not wait.
    """

    def __init__(
        self,
        plan: Plan,
        target: Target,
        addresses: list[Address],
        context: ssl.SSLContext | None,
        *,
        shared: bool,
    ) -> None:
        self._plan, self._target, self._addresses = plan, target, addresses
        self._context, self._shared = context, shared
        self._links = [Link(conversation) for conversation in plan.conversations]
        self._by_conversation = {id(link.conversation): link for link in self._links}
        self._by_fd: dict[int, Link] = {}
        self._receivers: dict[int, Callable[[bytes, int], bytes]] = {}
        self._poller = new_poller(portable=plan.settings.portable)
        self._address = 0  # the one of `addresses` that is used
        self._reached = False  # whether a connection has come about
        self._begun = False  # whether the plan has been started
        self._attempts: list[tuple[int, int, Link]] = []  # when to try again, the earliest first
        self._queue: list[Link] = []  # not tried yet, the first one at the end
        self._connecting: dict[Link, None] = {}  # in the order in which they began
        self._look_at = 0
        self._refused_as_full = 0
        self._timeout = int(plan.settings.timeout * 1e9)
        most = max(plan.settings.size[1], max(map(len, plan.settings.texts), default=0))
        self._read_size = min(READ_SIZE, max(4096, 4 * most * plan.settings.pipeline))
        self._batch = SMALL_BATCH if plan.settings.open_loop else BATCH
        self._precise = plan.settings.open_loop or plan.settings.think > 0
        if sockets_are_files():
            self._read: Callable[[int, int], bytes] = os.read
            self._write: Callable[[int, bytes], int] = os.write
        else:
            self._read = self._receive_from_socket
            self._write = self._send_to_socket

    async def run(self) -> None:
        """Run the whole load. Cancelled, it ends at once; the plan then counts what was missing.

        Raises:
          CannotConnect: nobody answers there, or not over TLS as it was asked for.
          ServerFull: the server has no room for us.
          TooSlow: no connection came about within the timeout.
        """
        plan = self._plan
        try:
            await self._open_all()
            now = perf_counter_ns()
            self._begun = True
            if not plan.over:
                plan.start(now)
            for link in self._links:
                if link.stage == "open":
                    self._start_talking(link, now)
                elif plan.wants_connection(link.conversation) and link.stage == "closed":
                    self._queue.append(link)  # each message gets a connection
            self._look_at = 0
            await self._loop(lambda: plan.over)
        finally:
            plan.finish(perf_counter_ns())
            self._close_all()

    # The loops.

    async def _open_all(self) -> None:
        """Have all connections opened, or tried, before the clock of the load starts."""
        if self._plan.settings.churn:
            self._queue = self._links[:1]
        else:
            self._queue = self._links[::-1]
        self._look_at = 0
        await self._loop(lambda: self._plan.over or not (self._queue or self._connecting))

    async def _loop(self, done: Callable[[], bool]) -> None:
        slice_ = SHARED_SLICE if self._shared else SLICE
        while not done():
            self._spin(perf_counter_ns() + slice_, done)
            if self._shared and not done():
                await self._wait_with_others()
            else:
                await trio.lowlevel.checkpoint()

    async def _wait_with_others(self) -> None:
        """Let the other tasks run until somebody is ready, or something is due."""
        wake = self._wake_at() - perf_counter_ns()
        with trio.move_on_after(max(0.0, wake / 1e9)):
            fd = self._poller.fileno()
            if fd is None:
                await trio.sleep(0.001)
            else:
                await trio.lowlevel.wait_readable(fd)

    def _wake_at(self) -> int:
        attempt = self._attempts[0][0] if self._attempts else NEVER
        return min(self._plan.wake_at if self._begun else NEVER, self._look_at, attempt)

    def _spin(self, until: int, done: Callable[[], bool]) -> None:
        """Do what there is to do, for so long at most."""
        poll, wait, clock = self._poller.poll, self._poller.wait, perf_counter_ns
        batch, blocking = self._batch, not self._shared
        while True:
            now = clock()
            wake = self._wake_at()
            if now >= wake:
                self._act(now)
                if done():
                    return
                wake = self._wake_at()
            if now >= until:
                return
            if not blocking:
                ready = poll(0, batch)
                if not ready:
                    return
            elif self._precise:
                ready = poll(0, batch)
                if not ready:
                    gap = min(wake, until) - clock()
                    if gap > SHORT:
                        wait(gap)
                    ready = poll(0, batch)
            else:
                ready = poll(max(0.0, (min(wake, until) - now) / 1e9), batch)
            self._turn(ready)
            if not self._begun and done():
                return

    def _turn(self, ready: Ready) -> None:
        """Serve whoever is ready. The hot loop."""
        receivers, read, write, clock = self._receivers, self._read, self._write, perf_counter_ns
        size = self._read_size
        for fd, event in ready:
            if event != READ or fd not in receivers:
                self._look(fd, event)
                continue
            try:
                data = read(fd, size)
                message = receivers[fd](data, clock())
            except BlockingIOError:
                continue
            except OSError as error:  # SSLError is one
                self._broke(self._by_fd[fd], error)
                continue
            if message:
                try:
                    if (sent := write(fd, message)) != len(message):
                        self._keep(self._by_fd[fd], message[sent:])
                except BlockingIOError:
                    self._keep(self._by_fd[fd], message)
                except OSError as error:
                    self._broke(self._by_fd[fd], error)
            else:
                self._nothing_to_send(self._by_fd[fd], data)

    # What is not the usual case.

    def _act(self, now: int) -> None:
        """Do what is due by the clock."""
        if self._begun and now >= self._plan.wake_at:
            for conversation, message in self._plan.advance(now):
                link = self._by_conversation[id(conversation)]
                if message:
                    self._send(link, message)
                elif link.stage == "closed":
                    self._connect(link, now)
        while self._attempts and self._attempts[0][0] <= now:
            link = heapq.heappop(self._attempts)[2]
            if link.stage == "waiting":
                link.stage = "closed"
                if not self._begun or self._plan.wants_connection(link.conversation):
                    self._connect(link, now)
        if now >= self._look_at:
            self._look_at_connecting(now)

    def _look_at_connecting(self, now: int) -> None:
        """Give up those that take too long, and begin others in their place."""
        while self._connecting:
            link = next(iter(self._connecting))
            if now - link.began < self._timeout:
                break
            self._failed(link, TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)), now)
        room = MOST_CONNECTING if self._reached else 1
        for _ in range(FEW_AT_ONCE):
            if not self._queue or len(self._connecting) >= room:
                break
            self._connect(self._queue.pop(), perf_counter_ns())
        if self._queue and len(self._connecting) < room:
            self._look_at = now
        else:
            self._look_at = now + LOOK

    def _connect(self, link: Link, now: int) -> None:
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
            self._failed(link, error, now)
            return
        link.sock, link.stage = sock, "connecting"
        self._by_fd[sock.fileno()] = link
        self._connecting[link] = None
        self._wait_for(link, WRITE)

    def _look(self, fd: int, event: int) -> None:
        """Serve a connection for which it is not the usual case."""
        link = self._by_fd.get(fd)
        if link is None:  # it ended in this turn
            return
        try:
            if link.stage == "connecting":
                self._connected(link)
            elif link.stage == "handshaking":
                self._shake_hands(link, event)
            elif link.stage == "open":
                if event & WRITE and link.unsent:
                    self._flush(link)
                if event & ~WRITE and self._begun:
                    self._receive(link)
        except BlockingIOError:
            pass
        except OSError as error:
            self._broke(link, error)

    def _connected(self, link: Link) -> None:
        sock = link.sock
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        now = perf_counter_ns()
        self._plan.tally.connecting[index_of(now - link.began)] += 1
        hello = b""
        if self._target.proxy is not None:
            hello = proxy_header(sock, self._target.proxy)
        if self._context is None:
            self._send_bytes(link, hello)
            self._opened(link, now)
            return
        link.stage, link.handshaking = "handshaking", now
        name = (self._target.tls.name if self._target.tls else None) or self._target.host
        layer = link.layer = TlsLayer(self._context, name, link.conversation)
        _, first = layer.shake_hands(b"")
        self._wait_for(link, READ)
        self._send_bytes(link, hello + first)

    def _shake_hands(self, link: Link, event: int) -> None:
        layer = link.layer
        if event & WRITE and link.unsent:
            self._flush(link)
        if not event & ~WRITE or layer is None:
            return
        data = self._read(link.sock.fileno(), READ_SIZE)
        if not data:
            raise ssl.SSLEOFError("EOF in the handshake")
        try:
            over, answer = layer.shake_hands(data)
        except ssl.SSLError:
            if alert := layer.unsent():
                self._send_bytes(link, alert)
            raise
        self._send_bytes(link, answer)
        if over:
            now = perf_counter_ns()
            self._plan.tally.handshaking[index_of(now - link.handshaking)] += 1
            self._opened(link, now)

    def _opened(self, link: Link, now: int) -> None:
        """The connection is there."""
        self._reached = True
        self._connecting.pop(link, None)
        link.stage, link.opened_at = "open", now
        if self._queue:
            self._look_at = 0
        if self._begun:
            self._start_talking(link, now)
        else:  # what the server says already waits in the kernel
            self._wait_for(link, WRITE if link.unsent else 0)

    def _start_talking(self, link: Link, now: int) -> None:
        self._watch(link)
        message = link.conversation.opened(now, link.began)
        if message:
            self._send(link, message)
        if link.layer is not None:  # what came with the last piece of the handshake
            self._send_bytes(link, link.layer.receive(b"", now))

    def _watch(self, link: Link) -> None:
        """Wait for what there is to wait for; the usual case is served by the hot loop."""
        fd = link.sock.fileno()
        if link.unsent:
            self._receivers.pop(fd, None)
            self._wait_for(link, READ | WRITE)
        else:
            above = link.conversation if link.layer is None else link.layer
            self._receivers[fd] = above.receive
            self._wait_for(link, READ)

    def _wait_for(self, link: Link, events: int) -> None:
        """Tell the poller, if that is new to it."""
        sock, before = link.sock, link.watched
        link.watched = events
        if not before and events:
            self._poller.register(sock, events)
        elif before and not events:
            self._poller.unregister(sock)
        elif before != events:
            self._poller.modify(sock, events)

    def _receive(self, link: Link) -> None:
        """Receive while something is still unsent, or in an unusual state."""
        data = self._read(link.sock.fileno(), self._read_size)
        above = link.conversation if link.layer is None else link.layer
        if message := above.receive(data, perf_counter_ns()):
            self._send_bytes(link, message)
        else:
            self._nothing_to_send(link, data)

    def _nothing_to_send(self, link: Link, data: bytes) -> None:
        """After receiving: has the connection ended, or done its work?"""
        conversation = link.conversation
        if conversation.finished:
            self._closed(link, "", by_us=True)
        elif not data or (link.layer is not None and link.layer.ended):
            self._closed(link, "closed")
        elif conversation.broken:
            self._closed(link, "", by_us=True)

    def _send(self, link: Link, message: bytes) -> None:
        """Send something that the conversation says."""
        if link.layer is not None:
            message = link.layer.encrypt(message)
        self._send_bytes(link, message)

    def _send_bytes(self, link: Link, data: bytes) -> None:
        """Write as much as goes, and keep the rest."""
        if not data or link.stage in ("closed", "waiting"):
            return
        if link.unsent:
            link.unsent += data
            return
        try:
            sent = self._write(link.sock.fileno(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broke(link, error)
            return
        if sent != len(data):
            self._keep(link, data[sent:])

    def _keep(self, link: Link, rest: bytes) -> None:
        """It did not fit: send the rest when there is room."""
        link.unsent += rest
        if link.stage == "open" and self._begun:
            self._watch(link)
        else:
            self._wait_for(link, READ | WRITE)

    def _flush(self, link: Link) -> None:
        sent = self._write(link.sock.fileno(), link.unsent)
        link.unsent = link.unsent[sent:]
        if link.unsent:
            return
        if link.stage == "open" and self._begun:
            self._watch(link)
        else:
            self._wait_for(link, READ if link.stage == "handshaking" else 0)

    # Ends.

    def _broke(self, link: Link, error: OSError) -> None:
        """The connection failed."""
        if link.stage in ("connecting", "handshaking"):
            self._failed(link, error, perf_counter_ns())
        else:
            self._closed(link, "tls" if isinstance(error, ssl.SSLError) else "reset")

    def _closed(self, link: Link, kind: str, *, by_us: bool = False) -> None:
        """An open connection has ended: `kind` is how, if that was an error."""
        now = perf_counter_ns()
        conversation = link.conversation
        finished = conversation.finished
        told = conversation.closed(by_us=by_us)
        if told == "full":
            self._count("full")
            self._check_full(conversation)
        elif told and kind:
            self._count(kind)
        if by_us and link.layer is not None:
            self._write_last(link.sock, link.layer.end())
        self._drop(link)
        if finished or now - link.opened_at >= SETTLED:
            link.failures = 0
        if finished:
            if self._plan.wants_connection(conversation):
                self._connect(link, now)
            return
        self._try_later(link, now)

    def _failed(self, link: Link, error: OSError, now: int) -> None:
        """A connection did not come about.

        Raises:
          TcpEchoError: none ever has.
        """
        self._drop(link)
        if not self._reached:
            if link.address == self._address and self._address + 1 < len(self._addresses):
                self._address += 1
                self._connect(link, now)
                return
            raise self._translated(error)
        busy = error.errno == errno.EAGAIN  # a Unix socket whose queue is full
        if busy and now - link.began < self._timeout:
            self._try_later(link, now)
            link.queued = True
            return
        if isinstance(error, ssl.SSLError) or link.handshaking > link.began:
            kind = "tls"
        elif isinstance(error, TimeoutError) or busy:
            kind = "connect_timeout"
        else:
            kind = "local" if error.errno in OURS else "refused"
        self._count(kind)
        self._try_later(link, now)

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

    def _check_full(self, conversation: Conversation) -> None:
        """If nobody is served at all, there is nothing to measure.

        Raises:
          ServerFull: so it is.
        """
        self._refused_as_full += 1
        if self._refused_as_full >= len(self._links) and not self._plan.has_replies:
            raise ServerFull("server_full", address=self._target.name, reason=conversation.refusal)

    def _count(self, kind: str) -> None:
        self._plan.tally.errors[kind] += 1

    def _try_later(self, link: Link, now: int) -> None:
        """Connect again, and not too often."""
        link.stage = "waiting"
        pause = min(LONGEST_PAUSE, FIRST_PAUSE << min(link.failures, 10))
        link.failures += 1
        heapq.heappush(self._attempts, (now + pause, id(link), link))

    def _drop(self, link: Link) -> None:
        """Close the socket, whatever its state."""
        self._connecting.pop(link, None)
        if link.stage not in ("closed", "waiting"):
            fd = link.sock.fileno()
            self._receivers.pop(fd, None)
            self._by_fd.pop(fd, None)
            self._wait_for(link, 0)
            link.sock.close()
        link.layer = None
        link.unsent = b""
        link.stage = "closed"

    def _write_last(self, sock: socket.socket, data: bytes) -> None:
        """Say a last word, if it can be said at once."""
        with contextlib.suppress(OSError):
            if data:
                self._write(sock.fileno(), data)

    def _close_all(self) -> None:
        for link in self._links:
            if link.stage == "open":
                link.conversation.closed(by_us=True)
                if link.layer is not None and not link.unsent:
                    self._write_last(link.sock, link.layer.end())
            self._drop(link)
        self._poller.close()

    # Where read(2) and write(2) take no sockets.

    def _receive_from_socket(self, fd: int, size: int) -> bytes:
        return self._by_fd[fd].sock.recv(size)

    def _send_to_socket(self, fd: int, data: bytes) -> int:
        return self._by_fd[fd].sock.send(data)
