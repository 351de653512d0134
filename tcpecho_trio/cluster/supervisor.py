"""The supervisor: opens the listening sockets, and keeps workers that accept there.

::

    run()
      └─ nursery: attending    one task for each process, until it has ended
          └─ scope: running    until the drain begins
              └─ one task for each seat: starts a worker, waits for its end, starts the next

A *seat* is a place for one worker that accepts; there are as many as there shall be processes.
A worker that retires has left its seat to its successor, and still serves its clients.

Nothing of a client's traffic passes here. Whoever it is that ends the server asks the
:class:`~tcpecho_trio.server.lifecycle.Lifecycle`, and all workers are told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from tcpecho_trio.cluster.channel import Message
from tcpecho_trio.cluster.config import WorkerConfig
from tcpecho_trio.cluster.counters import Counters, added, totals_of
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
from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.cluster.sockets import SharedListeners
from tcpecho_trio.cluster.worker_process import WorkerProcess, ask_each
from tcpecho_trio.errors import CannotStart, TcpEchoError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server import DrainReason, Events, Lifecycle, Phase, Settings, end_the_delay
from tcpecho_trio.server.events import DrainAborted, DrainStarted, Listening, ServerStopped
from tcpecho_trio.server.renderers import Renderer

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

CLOSING_TIME = 2.0
"""Seconds that workers get to close their listeners before the drain is told of all the same."""

OVERTIME = 5.0
"""Seconds beyond the drain timeout after which a worker is killed: lingering closes take two."""

ABORT_TIME = 3.0
"""Seconds after an abort, likewise."""

RELIEF = 0.3
"""Seconds after which a worker's SIGTERM is its own: whoever sends it to a whole group of processes
sends it to us, too, and means the server."""

ANSWER_TIME = 0.25
"""Seconds that a worker may take to answer a question: less than the asking one waits."""

FRESH = 0.05
"""Seconds for which the lists of clients are good."""


@dataclass(eq=False)
class Seat:
    """A place for one worker that accepts."""

    worker: WorkerProcess | None = None
    retiring: list[WorkerProcess] = field(default_factory=list)
    changing: trio.Lock = field(default_factory=trio.Lock)
    """Held while a new worker for it is being started."""
    tried: trio.Event = field(default_factory=trio.Event)
    taken: trio.Event = field(default_factory=trio.Event)


class Observer(Protocol):
    """Whoever wants to know which workers there are, and what they say to it."""

    def joined(self, worker: WorkerProcess) -> None:
        """A worker accepts."""

    def left(self, worker: WorkerProcess) -> None:
        """A worker has ended; it may never have joined."""

    def heard(self, worker: WorkerProcess, message: Message) -> None:
        """A message that is none of the supervisor's own."""


class NotStarted(Exception):
    """No worker came about; the text says why."""


class Supervisor:
    """One server of several processes.

    Args:
      settings: the server's; `max_connections` is for all workers together.
      lifecycle: says when it ends.
      events: is told what happens to the server and to its workers.
      processes: how many workers accept.
      command: starts a worker: the program as it is installed, with its arguments.
      environ: a worker's environment.
      journal: takes the workers' journals: each record with the number of its worker.
      access: takes the lines of the access log.
      others: the addresses of clients elsewhere, which are listed with ours.

    Raises:
      OSError: there is no memory to share.

    Attributes:
      departed: what the workers counted that have ended.
      faults: the faults that new workers begin with, as they are written; None for those of the
        command line.
      names: of the endpoints, as they are written, with their real ports.
      observer: is told of the workers; to be set before they are started.
    """

    _attending: trio.Nursery
    _failure = ""
    """Why the latest worker did not start."""

    def __init__(
        self,
        settings: Settings,
        lifecycle: Lifecycle,
        events: Events,
        *,
        processes: int,
        command: Sequence[str],
        environ: Mapping[str, str],
        journal: Renderer,
        access: Callable[[str], None],
        others: Callable[[], list[str]] = list,
    ) -> None:
        self.settings = settings
        self.lifecycle = lifecycle
        self.events = events
        self.departed: Counters = {}
        self.faults: tuple[str, ...] | None = None
        self.others = others
        self.observer: Observer | None = None
        self._command = list(command)
        self._environ = dict(environ)
        self._journal = journal
        self._access = access
        self._seats = [Seat() for _ in range(processes)]
        self._workers: dict[int, WorkerProcess] = {}  # by their numbers, while they live
        self._listeners = SharedListeners()
        self._slots = Slots.create(SLOTS_A_SEAT * processes)
        self._freed = trio.Event()  # a slot
        self._rolling = trio.Lock()
        self._lost = 0
        self._listed_at = -1.0
        self._listing: trio.Event | None = None

    @property
    def workers(self) -> list[WorkerProcess]:
        """Every worker that lives, in the order of their numbers."""
        return [self._workers[number] for number in sorted(self._workers)]

    @property
    def names(self) -> list[str]:
        """The endpoints."""
        return list(self._listeners.names)

    async def run(
        self,
        inherited: Sequence[trio.SocketListener] = (),
        *,
        tls: bool,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until the life cycle says stop, then drain and return.

        Args:
          inherited: already listening, to be served instead of the endpoints of the settings.
          tls: whether there is a certificate.
          task_status: for ``nursery.start()``; started once all workers are ready.

        Raises:
          CannotListen: an endpoint could not be opened.
          CannotStart: no worker came about.
        """
        started = False
        try:
            await self._listeners.open(self.settings, inherited, tls=tls)
            async with open_nursery(TcpEchoError) as attending:
                self._attending = attending
                attending.start_soon(self._watch_heartbeats)
                with trio.CancelScope() as running:
                    attending.start_soon(self._end, running)
                    async with open_nursery(TcpEchoError) as seats:
                        for seat in self._seats:
                            seats.start_soon(self._keep, seat)
                        await self._first_workers()
                        for name in self.names:
                            self.events.publish(Listening(name))
                        started = True
                        task_status.started()
                await self.lifecycle.wait_draining()
                await self._drain()
                attending.cancel_scope.cancel()
        finally:
            self._listeners.close()
            self._slots.close()
        counters = self.departed
        aborted = counters.get("aborted", 0) + self._lost
        self.events.publish(ServerStopped(counters.get("served", 0), aborted, totals_of(counters)))
        self.lifecycle.stop()
        if not started:
            task_status.started()

    # Starting

    async def _first_workers(self) -> None:
        """Wait until every seat is taken.

        Raises:
          CannotStart: no worker came about at the first attempt.
        """
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
                            self.events.publish(WorkerNotStarted(str(error), pause))
            seat.tried.set()
            if seat.worker is None:
                await trio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            seat.taken.set()
            worker = seat.worker
            await worker.ended.wait()
            if seat.worker is worker:
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
        try:
            worker = WorkerProcess(
                number,
                self._command,
                self._environ,
                (self._slots.fd, *self._listeners.descriptors),
                {
                    "clients": lambda: self.clients(besides=number),
                },
            )
        except (OSError, ValueError) as error:
            raise NotStarted(str(error)) from error
        self._workers[number] = worker
        self._attending.start_soon(self._attend, worker)
        worker.channel.put(
            WorkerConfig(
                number,
                self._slots.fd,
                self._slots.count,
                self.settings.max_connections,
                tuple(self._listeners.shared),
                self.faults,
            ).message()
        )
        with trio.move_on_after(START_TIME):
            await worker.settled.wait()
        if not worker.ready.is_set():
            worker.ordered = True
            worker.kill()
            reason = worker.last_words or worker.signal or f"not ready in {START_TIME:g} s"
            if worker.code is not None:
                reason = worker.last_words or f"exit code {worker.code}"
            raise NotStarted(reason)
        if self.observer is not None:
            self.observer.joined(worker)
        self.events.publish(WorkerReady(number, worker.pid))
        return worker

    async def _free_number(self) -> int:
        """The lowest number that no worker has; waits until there is one."""
        while True:
            for number in range(1, self._slots.count + 1):
                if number not in self._workers:
                    return number
            self._freed = trio.Event()
            await self._freed.wait()

    async def _attend(self, worker: WorkerProcess) -> None:
        """Take what a worker says until it has ended; then clear away what is left of it."""

        def handle(message: Message) -> None:
            self._take(worker, message)

        def said(line: str) -> None:
            self.events.publish(WorkerSaid(worker.number, line))

        try:
            await worker.attend(handle, said)
        finally:
            self._bury(worker)

    def _bury(self, worker: WorkerProcess) -> None:
        lost = 0 if worker.well else self._slots.places(worker.number - 1)
        if self.observer is not None:
            self.observer.left(worker)
        self._slots.clear(worker.number - 1)
        del self._workers[worker.number]
        self._freed.set()
        self._lost += lost
        gone = {**worker.counters, "clients": 0, "places": 0}
        self.departed = added(self.departed, gone)
        for seat in self._seats:
            if worker in seat.retiring:
                seat.retiring.remove(worker)
        if worker.well:
            served = worker.counters.get("served", 0)
            self.events.publish(WorkerEnded(worker.number, worker.pid, served))
        elif worker.ready.is_set():  # else it has never begun, which is told as such
            self.events.publish(
                WorkerDied(worker.number, worker.pid, worker.signal, worker.code, lost)
            )

    def _take(self, worker: WorkerProcess, message: Message) -> None:
        """A message of a worker's."""
        match message.get("kind"):
            case "beat":
                worker.beat, worker.counters = trio.current_time(), message["counters"]
            case "journal":
                self._journal(message["name"], {**message["fields"], "worker": worker.number})
            case "access":
                for line in message["lines"]:
                    self._access(line)
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
            case "shutdown":
                self.lifecycle.drain(DrainReason.REMOTE, message["client"])
            case "term":
                self._attending.start_soon(self._relieve, worker)
            case _ if self.observer is not None:
                self.observer.heard(worker, message)

    # Watching

    async def _watch_heartbeats(self) -> None:
        """Kill workers that hang, until cancelled."""
        before = trio.current_time()
        while True:
            await trio.sleep(1)
            now = trio.current_time()
            late, before = now - before > 1 + LATE, now
            for worker in self.workers:
                if late:
                    worker.beat = now
                silent = now - worker.beat
                if worker.ready.is_set() and silent > HUNG:
                    worker.beat = now
                    self.events.publish(WorkerHung(worker.number, worker.pid, silent))
                    worker.kill()

    # Replacing

    async def replace_workers(self) -> bool:
        """Put new processes in the workers' places, one after the other.

        They are of the program as it is installed now, and read the certificate anew. A worker
        that is replaced accepts nobody else, and serves its clients until they leave; or until its
        successor's successor is ready: then it drains.

        Returns:
          Whether all have been replaced. At the first one that does not become ready it stops.
        """
        async with self._rolling:
            for seat in self._seats:
                if self.lifecycle.phase is not Phase.RUNNING or not await self._replace(seat):
                    return False
            self.events.publish(WorkersReplaced(len(self._seats)))
            return True

    async def _replace(self, seat: Seat) -> bool:
        async with seat.changing:
            try:
                successor = await self._start()
            except NotStarted as error:
                if not self.lifecycle.draining:
                    self.events.publish(ReplacementStopped(str(error)))
                return False
            old, seat.worker = seat.worker, successor
        for earlier in seat.retiring:
            earlier.order("drain", reason=DrainReason.PROGRAM.value)
        if old is not None and not old.ended.is_set():
            seat.retiring.append(old)
            old.order("retire")
            self.events.publish(WorkerReplaced(old.number, successor.number))
        return True

    async def _relieve(self, worker: WorkerProcess) -> None:
        """Somebody wants this worker to end: put another one in its place first."""
        await trio.sleep(RELIEF)
        if self.lifecycle.phase is not Phase.RUNNING:
            return
        for seat in self._seats:
            if seat.worker is worker and await self._replace(seat) and worker in seat.retiring:
                seat.retiring.remove(worker)
        worker.order("drain", reason=DrainReason.SIGTERM.value)

    # Asking

    async def clients(self, besides: int = 0) -> list[str]:
        """The addresses of all clients, in the order of their workers; then those elsewhere.

        Args:
          besides: a worker whose own clients are left out.
        """
        await self._refresh_lists()
        own = [
            client
            for worker in self.workers
            if worker.number != besides
            for client in worker.last_clients
        ]
        return [*own, *self.others()]

    async def _refresh_lists(self) -> None:
        """Ask all workers who is connected, unless that was asked just now."""
        if self._listing is not None:
            await self._listing.wait()
        elif trio.current_time() > self._listed_at + FRESH:
            self._listing = trio.Event()
            try:
                answers = await ask_each(self.workers, "clients", ANSWER_TIME)
                for worker, clients in answers.items():
                    worker.last_clients = clients
            finally:
                self._listed_at = trio.current_time()
                self._listing.set()
                self._listing = None

    async def ask(self, what: str, **about: Any) -> dict[int, Any]:
        """Ask every worker; their answers, by their numbers.

        Whoever does not answer within :data:`ANSWER_TIME` is left out.
        """
        answers = await ask_each(self.workers, what, ANSWER_TIME, **about)
        return {worker.number: answers[worker] for worker in self.workers if worker in answers}

    # Ending

    async def _end(self, running: trio.CancelScope) -> None:
        """Stop to start workers when the drain begins; kill whoever is still there afterwards."""
        await end_the_delay(self.lifecycle, self.events)
        await self.lifecycle.wait_draining()
        running.cancel()
        with trio.move_on_after(self.settings.drain_timeout + OVERTIME):
            await self.lifecycle.wait_aborted()
            for worker in self.workers:
                worker.order("abort")
            self.events.publish(DrainAborted())
            await trio.sleep(ABORT_TIME)
        for worker in self.workers:
            worker.kill()

    async def _drain(self) -> None:
        """Have every worker drain; return when all have ended."""
        # First our own: a worker that closes the last descriptor accepts who waits there before.
        self._listeners.close()
        life = self.lifecycle
        for worker in self.workers:
            worker.order("drain", reason=life.reason.value, client=life.client)
        workers = self.workers
        with trio.move_on_after(CLOSING_TIME):
            for worker in workers:
                await worker.accepting_over.wait()
        clients = sum(worker.clients_left for worker in workers)
        self.events.publish(DrainStarted(life.reason, clients, life.client))
        for worker in workers:
            await worker.ended.wait()
