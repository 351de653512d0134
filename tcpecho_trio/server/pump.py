"""The Linux fast path: many clients' plain traffic moved by one task.

One wait in Trio costs an ``epoll_ctl``, two switches between task and loop and a pass of the
scheduler: about 10 µs. Receiving, upper-casing and sending a short line costs about 4.
So a client's task hands its connection over and sleeps. The pump's one task waits on a private
epoll (level-triggered, epoll(7)). For every client that is ready it does
``read`` → :meth:`Protocol.receive_plain` → ``write`` itself, as long as that is the whole story:
one chunk in, at most one reply out, sent whole, nothing to wait for. Everything else goes back to
the client's own task, which is the only place with policy: the end of input, an error, a
:class:`~tcpecho_trio.protocol.Request`, a reply that the socket does not take whole, a held burst
that needs a quiet period. A client is in the pump's epoll only while its task sleeps in
:meth:`Pump.carry`.

To cancel a task that is being carried loses nothing. A client's turn is over before another task
can run, and what a turn leaves undone is handed to the task that it wakes.
"""

from __future__ import annotations

import os
import select
import typing
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import outcome
import trio

from tcpecho_trio.protocol import Output, Protocol
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.server.subscriptions import Events

READ_SIZE = 65536
"""Bytes asked for in one read. ``os.read`` allocates as much each time and gives back what was
not filled: measured with a 64-byte message, 64 KiB cost what 4 KiB cost (2.3 µs, with the
write), but 256 KiB cost 16 µs, because glibc maps and unmaps whatever is larger than 128 KiB
(M_MMAP_THRESHOLD, mallopt(3)). Reading into a kept buffer instead costs 0.2 µs more for the
copy of a short message. Bulk transfer is as dear with 96 KiB or 128 KiB, or dearer: the heap's
top is then trimmed and grown again for every chunk."""

BATCH = 256
"""Clients served between two looks at the clock; it bounds how far a slice can be overrun."""

COMMAND_PIECE = 4096
"""Bytes of a chunk that holds a word which the protocol gets at a time. So much text holds some six
hundred commands, which cost a fraction of a millisecond to recognise. A longer chunk is left to
the client's own task."""

SLICE = 0.002
"""Seconds that the pump works before the other tasks get their turn even if clients are still
ready. A pass through Trio's loop costs some 25 µs, so this makes it about one per cent; nobody
else, a new connection for one, waits much longer than this."""


NO_MEMORY_PAUSE = 0.05
"""Seconds that the pump rests when no memory is left."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """What the pump leaves to a client's own task.

    Args:
      outputs: of the protocol, still to be obeyed and sent.
      sent: how many bytes of the first output (then a reply) the socket has taken already.
      ended: the peer has closed its sending direction.
      unread: bytes that the protocol has not seen yet, and that nobody has counted.
    """

    outputs: tuple[Output, ...] = ()
    sent: int = 0
    ended: bool = False
    unread: bytes = b""


class Carried(typing.Protocol):
    """What the pump knows of a client."""

    protocol: Protocol
    watched: bool
    """Whether somebody wants to be told of the reply to what was received last."""

    @property
    def info(self) -> ConnectionInfo:
        """Who is connected."""

    @property
    def stats(self) -> ConnectionStats:
        """Its counters, which the pump adds to."""


class _InHand(NamedTuple):
    """A client in the pump's hands; a tuple, because the hot loop takes it apart."""

    receive_plain: Callable[[bytes], bytes | None]
    stats: ConnectionStats
    client: Carried
    task: trio.lowlevel.Task


class Pump:
    """A private epoll and the clients that are being carried.

    Close it when no client can be carried any more; until then also a cancelled pump lets go
    of its clients in an orderly way.

    Raises:
      OSError: no descriptor is left for the epoll.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._epoll = select.epoll()
        self._carried: dict[int, _InHand] = {}

    def close(self) -> None:
        """Give the epoll's descriptor back."""
        self._epoll.close()

    async def carry(self, stream: trio.SocketStream, client: Carried) -> Handoff:
        """Sleep while the pump moves this client's traffic; return what it leaves to do.

        Cancelling it loses nothing.

        Raises:
          trio.BrokenResourceError: the connection broke.
        """
        fd = stream.socket.fileno()
        task = trio.lowlevel.current_task()
        self._epoll.register(fd, select.EPOLLIN)
        self._carried[fd] = _InHand(client.protocol.receive_plain, client.stats, client, task)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._drop(fd)
            return trio.lowlevel.Abort.SUCCEEDED

        handoff: Handoff = await trio.lowlevel.wait_task_rescheduled(abort)
        return handoff

    async def run(self) -> None:
        """Move the traffic of all carried clients until cancelled."""
        poll, turn, clock = self._epoll.poll, self._turn, perf_counter
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            end, now = clock() + SLICE, trio.current_time()
            try:
                while ready := poll(0, BATCH):
                    turn(ready, now)
                    # Looked at here and not between poll and turn: epoll has put whom it returned
                    # at the end of its queue, so that not to serve them would let others go twice
                    # first.
                    if clock() >= end:
                        break
            except MemoryError:
                await trio.sleep(NO_MEMORY_PAUSE)  # others may give some back

    def _turn(self, ready: list[tuple[int, int]], now: float) -> None:
        """Take one chunk of each client that is ready. The hot loop of the whole server."""
        carried, events = self._carried, self._events
        read, write, telling = os.read, os.write, events.messages
        for fd, _ in ready:
            receive_plain, stats, client, _ = carried[fd]
            try:
                try:
                    data = read(fd, READ_SIZE)
                except BlockingIOError:
                    continue
                stats.active = now
                reply = receive_plain(data)
                if reply is None:
                    reply = self._take(fd, data)
                    if reply is None:
                        continue
                    held = client.protocol.holds
                else:
                    held = False
                    # stats.received() and answered(), written out: a call takes 60 ns.
                    stats.bytes_in += len(data)
                    if telling or stats.messages_in is not None:
                        messages = data.count(b"\n")
                        if stats.messages_in is not None:
                            stats.messages_in += messages
                            if stats.read_sizes is not None:
                                stats.read_sizes.add(len(data))
                        if telling:
                            client.watched = events.received(client.info, data, messages)
                try:
                    sent = write(fd, reply)
                except BlockingIOError:
                    sent = 0
                if sent != len(reply):
                    self._hand_off(fd, Handoff((reply,), sent))
                    continue
                stats.bytes_out += sent
                if telling and client.watched:
                    events.replied(client.info, reply, stats.answered(held))
                elif stats.messages_in is not None:
                    stats.messages_out = stats.messages_in - held
            except OSError as error:
                self._fail(fd, _broken(error))
            except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
                self._fail(fd, error)

    def _take(self, fd: int, data: bytes) -> bytes | None:
        """Take a chunk that is no plain one: its reply, if that is still all there is to do."""
        if not data:
            self._hand_off(fd, Handoff(ended=True))
            return None
        _, stats, client, _ = self._carried[fd]
        protocol = client.protocol
        if len(data) > COMMAND_PIECE and protocol.dialect.mentions_word(data):
            self._hand_off(fd, Handoff(unread=data))
            return None
        outputs = protocol.receive_data(data)
        stats.received(data, protocol.begun)
        if self._events.messages:
            client.watched = self._events.received(client.info, data, protocol.begun)
        if protocol.awaits_quiet:
            self._hand_off(fd, Handoff(outputs))
        elif len(outputs) == 1 and isinstance(reply := outputs[0], bytes):
            return reply
        elif outputs:
            self._hand_off(fd, Handoff(outputs))
        return None

    def _drop(self, fd: int) -> trio.lowlevel.Task:
        self._epoll.unregister(fd)
        return self._carried.pop(fd).task

    def _hand_off(self, fd: int, handoff: Handoff) -> None:
        value = outcome.Value(handoff)  # if there is no memory for it, nothing has changed
        trio.lowlevel.reschedule(self._drop(fd), value)

    def _fail(self, fd: int, error: Exception) -> None:
        if fd in self._carried:  # it may have failed after it was let go
            failure = outcome.Error(error)
            trio.lowlevel.reschedule(self._drop(fd), failure)


def _broken(cause: OSError) -> trio.BrokenResourceError:
    error = trio.BrokenResourceError(f"socket connection broken: {cause}")
    error.__cause__ = cause
    return error


def pump_exists() -> bool:
    """Whether this system has what the pump is made of."""
    return hasattr(select, "epoll")
