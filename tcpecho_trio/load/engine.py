"""The engine of a load: it moves the bytes of all connections from one task.

::

    poll ──► read ──► conversation.receive() ──► write        for whoever is ready
      ▲                                            │
      └── plan.advance(): what is due by the clock ◄┘

One wait of Trio's costs more than a message may. So the engine owns a poller and stays in its own
loop; it comes up for Trio fifty times a second, for signals and cancellation. In a Trio program
with other tasks (``shared``) it never blocks: it waits for the poller as for a socket.

How connections come about is :mod:`~tcpecho_trio.load.connecting`; what could not be written at
once is :mod:`~tcpecho_trio.load.links`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from time import perf_counter_ns

import trio

from tcpecho_trio.client.connect import Target
from tcpecho_trio.errors import ServerFull
from tcpecho_trio.load.connecting import SETTLED, Address, Connector
from tcpecho_trio.load.conversation import Conversation
from tcpecho_trio.load.leaving import Leaving
from tcpecho_trio.load.links import Link, Links
from tcpecho_trio.load.plan import Plan
from tcpecho_trio.load.pollers import READ, WRITE, Ready

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
        settings = plan.settings
        self._plan, self._target, self._shared = plan, target, shared
        self._links = Links(plan.conversations, self._broke, portable=settings.portable)
        self._connector = Connector(plan, target, addresses, context, self._links, self._opened)
        word = settings.leave if settings.framing == "raw" else b""
        self._leaving = Leaving(self._links, word, self._left)
        self._by_conversation = {id(link.conversation): link for link in self._links.all}
        self._begun = False  # whether the plan has been started
        self._refused_as_full = 0
        most = max(settings.size[1], max(map(len, settings.texts), default=0))
        self._read_size = min(READ_SIZE, max(4096, 4 * most * settings.pipeline))
        self._batch = SMALL_BATCH if settings.open_loop else BATCH
        self._precise = settings.open_loop or settings.think > 0

    async def run(self) -> None:
        """Run the whole load. Cancelled, it ends at once; the plan then counts what was missing.

        Raises:
          CannotConnect: nobody answers there, or not over TLS as it was asked for.
          ServerFull: the server has no room for us.
          TooSlow: no connection came about within the timeout.
        """
        plan, connector = self._plan, self._connector
        try:
            # Have all connections opened, or tried, before the clock of the load starts.
            links = self._links.all
            connector.open(links[:1] if plan.settings.churn else links)
            await self._loop(lambda: plan.over or not connector.busy)
            self._begin(perf_counter_ns())
            await self._loop(lambda: plan.over)
            self._leave()
            await self._loop(lambda: not self._leaving)
        finally:
            plan.finish(perf_counter_ns())
            self._links.close()

    def _begin(self, now: int) -> None:
        """The clock of the load starts."""
        plan, connector = self._plan, self._connector
        self._begun = connector.begun = True
        if not plan.over:
            plan.start(now)
        for link in self._links.all:
            if link.stage == "open":
                self._start_talking(link, now)
        connector.open(
            link
            for link in self._links.all
            if link.stage == "closed" and plan.wants_connection(link.conversation)
        )

    def _leave(self) -> None:
        """It is over: leave those who have answered everything."""
        now = perf_counter_ns()
        for link in self._links.all:
            if link.stage == "talking" and not link.conversation.broken:
                link.conversation.closed(by_us=True)
                self._leaving.begin(link, now)

    # The loops.

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
            fd = self._links.poller.fileno()
            if fd is None:
                await trio.sleep(0.001)
            else:
                await trio.lowlevel.wait_readable(fd)

    def _wake_at(self) -> int:
        return min(self._plan.wake_at, self._connector.wake_at, self._leaving.wake_at)

    def _spin(self, until: int, done: Callable[[], bool]) -> None:
        """Do what there is to do, for so long at most."""
        poll, wait, clock = self._links.poller.poll, self._links.poller.wait, perf_counter_ns
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
            if (not self._begun or self._leaving) and done():
                return

    def _turn(self, ready: Ready) -> None:
        """Serve whoever is ready. The hot loop."""
        links, clock, size = self._links, perf_counter_ns, self._read_size
        receivers, read, write = links.receivers, links.read, links.write
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
                self._broke(links.by_fd[fd], error)
                continue
            if message:
                try:
                    if (sent := write(fd, message)) != len(message):
                        links.keep(links.by_fd[fd], message[sent:])
                except BlockingIOError:
                    links.keep(links.by_fd[fd], message)
                except OSError as error:
                    self._broke(links.by_fd[fd], error)
            else:
                self._nothing_to_send(links.by_fd[fd], data)

    # What is not the usual case.

    def _act(self, now: int) -> None:
        """Do what is due by the clock."""
        if now >= self._plan.wake_at:
            for conversation, message in self._plan.advance(now):
                link = self._by_conversation[id(conversation)]
                if message:
                    self._links.say(link, message)
                elif link.stage == "closed":
                    self._connector.begin(link, now)
        if now >= self._connector.wake_at:
            self._connector.act(now)
        if now >= self._leaving.wake_at:
            self._leaving.act(now)

    def _look(self, fd: int, event: int) -> None:
        """Serve a connection for which it is not the usual case."""
        link = self._links.by_fd.get(fd)
        if link is None:  # it ended in this turn
            return
        try:
            if link.stage == "connecting":
                self._connector.connected(link)
            elif link.stage == "handshaking":
                self._connector.shake_hands(link, event)
            else:
                if event & WRITE and link.unsent:
                    self._links.flush(link)
                if event & ~WRITE and link.stage == "talking":
                    self._receive(link)
                elif event & ~WRITE and link.stage == "leaving":
                    self._leaving.receive(link)
        except BlockingIOError:
            pass
        except OSError as error:
            self._broke(link, error)

    def _opened(self, link: Link, now: int) -> None:
        """The connection is there."""
        if self._begun:
            self._start_talking(link, now)
        else:
            self._links.watch(link)

    def _start_talking(self, link: Link, now: int) -> None:
        link.stage = "talking"
        self._links.watch(link)
        self._links.say(link, link.conversation.opened(now, link.began))
        if link.layer is not None:  # what came with the last piece of the handshake
            self._links.send(link, link.layer.receive(b"", now))

    def _receive(self, link: Link) -> None:
        """Receive while something is still unsent, or in an unusual state."""
        data = self._links.read(link.sock.fileno(), self._read_size)
        above = link.conversation if link.layer is None else link.layer
        if message := above.receive(data, perf_counter_ns()):
            self._links.send(link, message)
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

    # Ends.

    def _broke(self, link: Link, error: OSError) -> None:
        """The connection failed."""
        if link.stage in ("connecting", "handshaking"):
            self._connector.failed(link, error, perf_counter_ns())
        elif link.stage == "leaving":
            self._leaving.end(link)
        else:
            self._closed(link, "tls" if isinstance(error, ssl.SSLError) else "reset")

    def _closed(self, link: Link, kind: str, *, by_us: bool = False) -> None:
        """An open connection has ended: `kind` is how, if that was an error."""
        now = perf_counter_ns()
        conversation = link.conversation
        finished = conversation.finished
        told = conversation.closed(by_us=by_us)
        if told == "full":
            self._plan.tally.errors["full"] += 1
            self._check_full(conversation)
        elif told and kind:
            self._plan.tally.errors[kind] += 1
        if finished or now - link.opened_at >= SETTLED:
            link.failures = 0
        if finished and by_us:
            self._leaving.begin(link, now)
            return
        if by_us:
            self._links.end_tls(link)
        self._links.drop(link)
        self._connector.try_later(link, now)

    def _left(self, link: Link) -> None:
        """A connection has done its work, and may be closed: the next one."""
        self._links.end_tls(link)
        self._links.drop(link)
        if self._plan.wants_connection(link.conversation):
            self._connector.begin(link, perf_counter_ns())

    def _check_full(self, conversation: Conversation) -> None:
        """If nobody is served at all, there is nothing to measure.

        Raises:
          ServerFull: so it is.
        """
        self._refused_as_full += 1
        if self._refused_as_full >= len(self._links.all) and not self._plan.has_replies:
            raise ServerFull("server_full", address=self._target.name, reason=conversation.refusal)
