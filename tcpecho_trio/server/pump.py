"""The Linux fast path: many clients' plain traffic moved by one task.

One wait in Trio costs an ``epoll_ctl``, two switches between task and loop and a pass of the
scheduler: about 10 µs. Receiving, upper-casing and sending a short line costs about 4.
So a client's task hands its connection over and sleeps. The pump's one task waits on a private
epoll (level-triggered, epoll(7)). Each client that is ready gets its turn
(:mod:`tcpecho_trio.server.traffic`). Whatever is more than plain traffic goes back to the client's
own task. A client is in the pump's epoll only while its task sleeps in :meth:`Pump.carry`.

A client on a bare socket needs no task at all before something is to be done that takes one. The
pump adopts such clients (:meth:`Pump.adopt`): it serves them, and has their tasks started when it
lets go of them. :meth:`Pump.keep` stands for those tasks in their nursery until there can be none.
So nobody waits for a pass of the scheduler before the first reply, and a client that says a line
and leaves never costs a task.

To cancel a task that is being carried loses nothing. A client's turn is over before another task
can run, and what a turn leaves undone is handed to the task that it wakes.

A carried client has no cancel scope of its own: to make one and to enter it takes as long as to
answer two lines, and a kilobyte. One task looks for those that have been silent for too long.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import outcome
import trio

from tcpecho_trio.server.sockets import read, write
from tcpecho_trio.server.stats import SHORT, ConnectionStats, count_lines
from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.server.traffic import (
    READ_SIZE,
    SHORT_READ,
    Client,
    Handoff,
    PlainStream,
    Taskless,
    broken,
    count_plain,
    move_bare,
    move_tls,
    socket_of,
    take,
)
from tcpecho_trio.tls.stream import TlsStream

BATCH = 64
"""Clients served between two looks at the clock; it bounds how far a slice can be overrun."""

SLICE = 0.0005
"""Seconds that the pump works before the other tasks get their turn even if clients are still
ready. A pass through Trio's loop costs some 15 µs. A newcomer waits hardly longer than this: with
2 ms the middle one of many had its first reply 6.9 ms after it connected beside 500 clients that
never pause, and has it after 1.9 ms now."""

NO_MEMORY_PAUSE = 0.05
"""Seconds that the pump rests when no memory is left."""

LATENESS = 0.01
"""How late a silence may be found to be too long, as a share of what is allowed. To look at ten
thousand clients takes two milliseconds, so it is not done for each of them."""


class _InHand(NamedTuple):
    """A client in the pump's hands; a tuple, because the hot loop takes it apart."""

    receive_plain: Callable[[bytes], bytes | None]
    stats: ConnectionStats
    client: Client
    tls: TlsStream | None
    owner: trio.lowlevel.Task | Taskless
    """Who is told when it is not carried any more: its task, or the client itself."""


class Pump:
    """A private epoll and the clients that are being carried.

    Close it when no client can be carried any more; until then also a cancelled pump lets go
    of its clients in an orderly way.

    Args:
      events: who is told of messages.
      longest_silence: seconds after which a client is let go that neither sends nor takes a byte.

    Raises:
      OSError: no descriptor is left for the epoll.
    """

    def __init__(self, events: Events, longest_silence: float = math.inf) -> None:
        self._events = events
        self._longest_silence = longest_silence
        self._epoll = select.epoll()
        self._carried: dict[int, _InHand] = {}
        self.adopting = False
        """Whether clients are adopted: while somebody stands for their tasks."""
        self._adopted: set[int] = set()
        self._none_left = trio.Event()  # made anew when it is waited for

    def close(self) -> None:
        """Give the epoll's descriptor back."""
        self._epoll.close()

    async def carry(self, stream: PlainStream, client: Client) -> Handoff | None:
        """Sleep while the pump moves this client's traffic; return what it leaves to do.

        None if the client has been silent for too long, or is let go. Cancelling it loses nothing.

        Raises:
          trio.BrokenResourceError: the connection broke.
        """
        fd = socket_of(stream).fileno()
        tls = stream if isinstance(stream, TlsStream) else None
        if not client.stats.bytes_in:
            # Most clients have spoken by the time they are let in.
            done = self._first_turn(fd, tls, client)
            if done is not None:
                return done
        task = trio.lowlevel.current_task()
        self._epoll.register(fd, select.EPOLLIN)
        self._carried[fd] = _InHand(client.protocol.receive_plain, client.stats, client, tls, task)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._drop(fd)
            return trio.lowlevel.Abort.SUCCEEDED

        handoff: Handoff | None = await trio.lowlevel.wait_task_rescheduled(abort)
        return handoff

    def adopt(self, stream: trio.SocketStream, client: Taskless) -> None:
        """Move this client's traffic from now on, without a task of its own.

        What has come already is taken at once. :meth:`Taskless.resume` is called at the end, which
        may be now. Only while :attr:`adopting`.
        """
        fd = stream.socket.fileno()
        try:
            done = move_bare(fd, client, self._events, trio.current_time())
            if done is None:
                self._epoll.register(fd, select.EPOLLIN)
                receive_plain, stats = client.protocol.receive_plain, client.stats
                self._carried[fd] = _InHand(receive_plain, stats, client, None, client)
                self._adopted.add(fd)
                return
        except OSError as error:
            client.resume(outcome.Error(broken(error)))
        except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
            client.resume(outcome.Error(error))
        else:
            client.resume(outcome.Value(done))

    async def keep(self, last_came: trio.Event) -> None:
        """Stand for the tasks of adopted clients in their nursery, until there can be none.

        Cancelled, it has those tasks started, so that they are cancelled themselves.

        Args:
          last_came: set when nobody comes any more.
        """
        self.adopting = True
        try:
            await last_came.wait()
            while self._adopted:
                self._none_left = trio.Event()
                await self._none_left.wait()
        finally:
            self.adopting = False
            for fd in list(self._adopted):
                self._hand_off(fd, None)

    def let_go(self, stream: PlainStream) -> None:
        """Wake the task of a client, if it is being carried: there is nothing to wait for."""
        fd = socket_of(stream).fileno()
        if fd in self._carried:
            self._hand_off(fd, None)

    async def end_silences(self) -> None:
        """Let go of clients that have been silent for too long, until cancelled."""
        longest, carried = self._longest_silence, self._carried
        if longest == math.inf:
            return
        while True:
            try:
                now = trio.current_time()
                deadlines = {fd: hand.stats.active + longest for fd, hand in carried.items()}
                for fd, deadline in deadlines.items():
                    if deadline <= now:
                        self._hand_off(fd, None)
                # Whoever comes from now on may be silent for longer than that.
                later = (deadline for deadline in deadlines.values() if deadline > now)
                pause = max(min(later, default=now + longest) - now, longest * LATENESS)
            except MemoryError:
                pause = NO_MEMORY_PAUSE
            await trio.sleep(pause)

    def _first_turn(self, fd: int, tls: TlsStream | None, client: Client) -> Handoff | None:
        now = trio.current_time()
        try:
            if tls is None:
                return move_bare(fd, client, self._events, now)
            return move_tls(fd, tls, client, self._events, now)
        except OSError as error:
            raise broken(error) from error

    async def run(self) -> None:
        """Move the traffic of all carried clients until cancelled."""
        poll, turn, clock = self._epoll.poll, self._turn, perf_counter
        batch = BATCH
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            end, now = clock() + SLICE, trio.current_time()
            try:
                while ready := poll(0, batch):
                    turn(ready, now)
                    # Looked at here and not between poll and turn: epoll has put the clients that
                    # it returned at the end of its queue. Not to serve them would let the others go
                    # first twice.
                    if (late := clock() - end) >= 0:
                        batch = max(1, batch // 2) if late > SLICE else min(BATCH, 2 * batch)
                        break
            except MemoryError:
                await trio.sleep(NO_MEMORY_PAUSE)  # others may give some back

    def _turn(self, ready: list[tuple[int, int]], now: float) -> None:
        """Take one chunk of each client that is ready. The hot loop of the whole server.

        For a bare socket it is :func:`~tcpecho_trio.server.traffic.move_bare`, written out: each
        call that it saves takes 60 ns of some 7 µs.
        """
        carried, events = self._carried, self._events
        telling, begun = events.messages, 0
        for fd, _ in ready:
            receive_plain, stats, client, tls, _ = carried[fd]
            try:
                if tls is not None:
                    handoff = move_tls(fd, tls, client, events, now)
                    if handoff is not None:
                        self._hand_off(fd, handoff)
                    continue
                try:
                    data = read(fd, SHORT_READ if stats.short else READ_SIZE)
                except BlockingIOError:
                    continue
                stats.active = now
                reply = receive_plain(data)
                if reply is None:
                    stats.short = False
                    taken = take(data, client, events)
                    if not isinstance(taken, bytes):
                        if taken is not None:
                            self._hand_off(fd, taken)
                        continue
                    reply, uncounted = taken, None
                else:
                    size = len(data)
                    # A read that is filled is a longer one the next time. One that is reported is
                    # as long as it would have been.
                    stats.short = size < SHORT_READ and stats.read_sizes is None
                    if telling:
                        count_plain(data, client, events)
                        telling, uncounted = events.messages, None  # it may have heard enough
                    else:
                        stats.bytes_in += size
                        client.watched, uncounted = False, data
                try:
                    sent = write(fd, reply)
                except BlockingIOError:
                    sent = 0
                if sent != len(reply):
                    if uncounted is not None and stats.messages_in is not None:
                        stats.bytes_in -= size
                        count_plain(uncounted, client, events)
                    self._hand_off(fd, Handoff((reply,), sent))
                    continue
                stats.bytes_out += sent
                if uncounted is None:
                    answered = stats.answered(client.protocol.holds)
                    if client.watched:
                        events.replied(client.info, reply, answered)
                elif stats.messages_in is not None:
                    if size < SHORT:
                        messages = data.count(b"\n")
                    else:
                        # Behind the reply, whose memory it takes. With all three at a time the heap
                        # would grow and shrink with each long chunk.
                        del reply
                        messages = count_lines(data)
                    stats.messages_in += messages
                    begun += messages
                    if (sizes := stats.read_sizes) is not None:  # its add(), without the call
                        sizes.count += 1
                        sizes.latest.append(size)
            except OSError as error:
                self._fail(fd, broken(error))
            except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
                self._fail(fd, error)
        events.begun += begun

    def _drop(self, fd: int) -> trio.lowlevel.Task | Taskless:
        """Carry a client no longer; return who is to be told."""
        self._epoll.unregister(fd)
        if fd in self._adopted:
            self._adopted.remove(fd)
            if not self._adopted:
                self._none_left.set()
        return self._carried.pop(fd).owner

    def _hand_off(self, fd: int, handoff: Handoff | None) -> None:
        # If there is no memory for it, nothing has changed.
        self._resume(fd, outcome.Value(handoff))

    def _fail(self, fd: int, error: Exception) -> None:
        if fd in self._carried:  # it may have failed after it was let go
            self._resume(fd, outcome.Error(error))

    def _resume(self, fd: int, result: outcome.Outcome[Handoff | None]) -> None:
        owner = self._drop(fd)
        if isinstance(owner, trio.lowlevel.Task):
            trio.lowlevel.reschedule(owner, result)
        else:
            owner.resume(result)


def pump_exists() -> bool:
    """Whether this system has what the pump is made of."""
    return hasattr(select, "epoll")
