"""The workers of a server: started, watched, replaced, and buried.

A *seat* is a place for one worker that accepts; there are as many as there shall be processes.
A worker that retires has left its seat to its successor, and still serves its clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from tcpecho_trio.cluster.attachment import Observer
from tcpecho_trio.cluster.channel import Message
from tcpecho_trio.cluster.config import WorkerConfig
from tcpecho_trio.cluster.counters import Counters, added
from tcpecho_trio.cluster.events import (
    ReplacementStopped,
    WorkerDied,
    WorkerEnded,
    WorkerHung,
    WorkerNotStarted,
    WorkerReady,
    WorkerReplaced,
    WorkerSaid,
    WorkersReplaced,
)
from tcpecho_trio.cluster.guardian import Guardian
from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.cluster.worker_process import WorkerProcess
from tcpecho_trio.errors import CannotStart
from tcpecho_trio.server import DrainReason, Events, Lifecycle, Phase

SLOTS_A_SEAT = 4
"""A seat's worker, its successor, one that retires, and one that drains at the same time."""

START_TIME = 60.0
"""Seconds in which a worker has to be ready. It takes a third of one; on a machine that is far too
busy it may take long."""

YOUNG = 10.0
"""Seconds: a worker that dies younger than this is replaced after a pause."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds before it is replaced, the first time and at most; each time twice as long."""

HUNG = 10.0
"""Seconds without a heartbeat after which a worker is killed."""

LATE = 2.0
"""Seconds: if we ourselves were held up for longer (stopped, or the machine was), heartbeats may be
waiting to be read, and nobody is hung."""

RELIEF = 0.3
"""Seconds after which a worker's SIGTERM is its own: whoever sends it to a whole group of processes
sends it to us, too, and means the server."""


@dataclass(eq=False)
class Seat:
    """A place for one worker that accepts."""

    worker: WorkerProcess | None = None
    retiring: list[WorkerProcess] = field(default_factory=list)
    changing: trio.Lock = field(default_factory=trio.Lock)
    """Held while a new worker for it is being started."""
    tried: trio.Event = field(default_factory=trio.Event)
    taken: trio.Event = field(default_factory=trio.Event)


class NotStarted(Exception):
    """No worker came about; the text says why."""


class Workforce:
    """All workers of one server.

    Args:
      seats: how many workers accept.
      command: starts a worker.
      environ: its environment.
      cells: of each slot, for counting connections by address.
      patience: seconds that workers have to end when the supervisor has died.
      config: what a new worker is told first, by its number.
      descriptors: what it inherits besides the shared memory.
      answers: what it may ask, by its number.
      take: takes what it says, but for what is about itself.
      lifecycle: of the server.
      events: is told what happens to workers.

    Raises:
      OSError: there is no memory to share.

    Attributes:
      departed: what the workers counted that have ended.
      lost: how many connections went with workers that died.
      observer: is told of the workers; to be set before the first one starts.
    """

    attending: trio.Nursery
    """Where a task attends to each process; set before the first one starts."""

    def __init__(
        self,
        seats: int,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        cells: int,
        patience: float,
        config: Callable[[int], WorkerConfig],
        descriptors: Callable[[], tuple[int, ...]],
        answers: Callable[[int], Mapping[str, Callable[..., Any]]],
        take: Callable[[WorkerProcess, Message], None],
        lifecycle: Lifecycle,
        events: Events,
    ) -> None:
        self.slots = Slots.create(SLOTS_A_SEAT * seats, cells)
        self._guardian = Guardian(patience)
        self.departed: Counters = {}
        self.observer: Observer | None = None
        self.lost = 0
        self._command = list(command)
        self._environ = dict(environ)
        self._config = config
        self._descriptors = descriptors
        self._answers = answers
        self._take_other = take
        self._lifecycle = lifecycle
        self._events = events
        self._seats = [Seat() for _ in range(seats)]
        self._living: dict[int, WorkerProcess] = {}  # by their numbers
        self._freed = trio.Event()  # a number
        self._rolling = trio.Lock()
        self._failure = ""  # why the latest worker did not start

    def living(self) -> list[WorkerProcess]:
        """Every worker, in the order of their numbers."""
        return [self._living[number] for number in sorted(self._living)]

    def close(self) -> None:
        """All workers have ended."""
        self._guardian.close()
        self.slots.close()

    # Starting

    async def start(self, seats: trio.Nursery) -> None:
        """Have every seat taken, and kept; return when they are.

        Args:
          seats: a nursery for the tasks that keep them.

        Raises:
          CannotStart: no worker came about at the first attempt.
        """
        for seat in self._seats:
            seats.start_soon(self._keep, seat)
        for seat in self._seats:
            await seat.tried.wait()
        if not any(seat.taken.is_set() for seat in self._seats):
            raise CannotStart("processes.no_worker", reason=self._failure)
        for seat in self._seats:
            await seat.taken.wait()

    async def _keep(self, seat: Seat) -> None:
        """Keep a worker on a seat, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            async with seat.changing:
                if seat.worker is None or seat.worker.ended.is_set():
                    try:
                        seat.worker = await self._start()
                    except NotStarted as error:
                        seat.worker, self._failure = None, str(error)
                        if seat.tried.is_set() or any(one.worker for one in self._seats):
                            self._events.publish(WorkerNotStarted(str(error), pause))
            seat.tried.set()
            if seat.worker is None:
                await trio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            seat.taken.set()
            worker = seat.worker
            await worker.ended.wait()
            if seat.worker is worker:  # else it has been replaced
                if trio.current_time() - worker.born >= YOUNG:
                    pause = FIRST_PAUSE
                else:
                    await trio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)

    async def _start(self) -> WorkerProcess:
        """Start a worker, and wait until it is ready.

        Raises:
          NotStarted: there is none.
        """
        number = await self._free_number()
        guardian = self._guardian
        try:
            guardian.ensure()
            worker = WorkerProcess(
                number,
                self._command,
                self._environ,
                (self.slots.fd, *guardian.descriptors, *self._descriptors()),
                guardian.group,
                self._answers(number),
            )
        except (OSError, ValueError) as error:
            raise NotStarted(str(error)) from error
        # No checkpoint before it is attended to: a cancellation would leave it to nobody.
        self._living[number] = worker
        self.attending.start_soon(self._attend, worker)
        worker.channel.put(self._config(number).message())
        with trio.move_on_after(START_TIME):
            await worker.settled.wait()
        if not worker.ready.is_set():
            worker.kill()
            raise NotStarted(worker.failure or f"not ready in {START_TIME:g} s")
        if self.observer is not None:
            self.observer.joined(worker)
        self._events.publish(WorkerReady(number, worker.pid))
        return worker

    async def _free_number(self) -> int:
        """The lowest number that no worker has; waits until there is one."""
        while True:
            for number in range(1, self.slots.count + 1):
                if number not in self._living:
                    return number
            self._freed = trio.Event()
            await self._freed.wait()

    # Living, and ending

    async def _attend(self, worker: WorkerProcess) -> None:
        """Take what a worker says until it has ended; then clear away what is left of it."""

        def handle(message: Message) -> None:
            self._take(worker, message)

        def said(line: str) -> None:
            self._events.publish(WorkerSaid(worker.number, line))

        try:
            await worker.attend(handle, said)
        finally:
            self._bury(worker)

    def _take(self, worker: WorkerProcess, message: Message) -> None:
        match message.get("kind"):
            case "beat":
                worker.beat, worker.counters = trio.current_time(), message["counters"]
            case "ready":
                worker.beat = trio.current_time()
                worker.ready.set()
                worker.settled.set()
            case "draining":
                worker.clients_left = message["clients"]
                worker.accepting_over.set()
            case "stopped":
                worker.counters, worker.stopped = message["counters"], True
                worker.accepting_over.set()
            case "term":
                self.attending.start_soon(self._relieve, worker)
            case _:
                self._take_other(worker, message)

    def _bury(self, worker: WorkerProcess) -> None:
        lost = 0 if worker.well else self.slots.places(worker.number - 1)
        if self.observer is not None:
            self.observer.left(worker)
        self.slots.clear(worker.number - 1)
        del self._living[worker.number]
        self._freed.set()
        self.lost += lost
        self.departed = added(self.departed, {**worker.counters, "clients": 0, "places": 0})
        for seat in self._seats:
            if worker in seat.retiring:
                seat.retiring.remove(worker)
        if worker.well:
            served = worker.counters.get("served", 0)
            self._events.publish(WorkerEnded(worker.number, worker.pid, served))
        elif worker.ready.is_set():  # else it has never begun, which is told as such
            died = WorkerDied(worker.number, worker.pid, worker.signal, worker.code, lost)
            self._events.publish(died)

    async def watch_heartbeats(self) -> None:
        """Kill workers that hang, until cancelled."""
        before = trio.current_time()
        while True:
            await trio.sleep(1)
            now = trio.current_time()
            late, before = now - before > 1 + LATE, now
            for worker in self.living():
                if late:
                    worker.beat = now
                silent = now - worker.beat
                if worker.ready.is_set() and silent > HUNG:
                    worker.beat = now
                    self._events.publish(WorkerHung(worker.number, worker.pid, silent))
                    worker.kill()

    # Replacing

    async def replace(self) -> bool:
        """Put new processes in all places, one after the other.

        Returns:
          Whether all have been replaced. At the first one that does not become ready it stops.
        """
        async with self._rolling:
            for seat in self._seats:
                if self._lifecycle.phase is not Phase.RUNNING or not await self._replace(seat):
                    return False
            self._events.publish(WorkersReplaced(len(self._seats)))
            return True

    async def _replace(self, seat: Seat) -> bool:
        async with seat.changing:
            try:
                successor = await self._start()
            except NotStarted as error:
                if not self._lifecycle.draining:
                    self._events.publish(ReplacementStopped(str(error)))
                return False
            old, seat.worker = seat.worker, successor
        for earlier in seat.retiring:
            earlier.order("drain", reason=DrainReason.PROGRAM.value)
        if old is not None and not old.ended.is_set():
            seat.retiring.append(old)
            old.order("retire")
            self._events.publish(WorkerReplaced(old.number, successor.number))
        return True

    async def _relieve(self, worker: WorkerProcess) -> None:
        """Somebody wants this worker to end: put another one in its place first."""
        await trio.sleep(RELIEF)
        if self._lifecycle.phase is not Phase.RUNNING:
            return
        for seat in self._seats:
            if seat.worker is worker and await self._replace(seat) and worker in seat.retiring:
                seat.retiring.remove(worker)
        worker.order("drain", reason=DrainReason.SIGTERM.value)
