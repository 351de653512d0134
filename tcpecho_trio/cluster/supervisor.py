"""The supervisor: one server of several processes.

::

    run()
      └─ nursery: attending    one task for each process, until it has ended
          └─ scope: running    until the drain begins
              └─ nursery: seats    one task for each worker that there shall be

It opens the listening sockets; the workers that inherit them accept there
(:mod:`tcpecho_trio.cluster.workforce`). Nothing of a client's traffic passes here. Whoever it is
that ends the server asks the :class:`~tcpecho_trio.server.lifecycle.Lifecycle`, and all workers are
told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from tcpecho_trio.cluster.address_counts import Sketch
from tcpecho_trio.cluster.attachment import Observer
from tcpecho_trio.cluster.channel import Message
from tcpecho_trio.cluster.config import WorkerConfig
from tcpecho_trio.cluster.counters import Counters, totals_of
from tcpecho_trio.cluster.events import WorkerSaid
from tcpecho_trio.cluster.sockets import SharedListeners
from tcpecho_trio.cluster.worker_process import WorkerProcess, ask_each
from tcpecho_trio.cluster.workforce import Workforce
from tcpecho_trio.errors import TcpEchoError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server import DrainReason, Events, Lifecycle, Settings, end_the_delay
from tcpecho_trio.server.events import DrainAborted, DrainStarted, Listening, ServerStopped
from tcpecho_trio.server.renderers import Renderer

CLOSING_TIME = 2.0
"""Seconds that workers get to close their listeners before the drain is told of all the same."""

OVERTIME = 5.0
"""Seconds beyond the drain timeout after which a worker is killed: lingering closes take two."""

ABORT_TIME = 3.0
"""Seconds after an abort, likewise."""

ANSWER_TIME = 0.25
"""Seconds that a worker may take to answer a question: less than the asking one waits."""

FRESH = 0.05
"""Seconds for which the lists of clients are good."""


class Supervisor:
    """One server of several processes.

    Args:
      settings: the server's; its limits of connections are for all workers together.
      lifecycle: says when it ends.
      events: is told what happens to the server and to its workers.
      processes: how many workers accept.
      command: starts a worker: the program as it is installed, with its arguments.
      environ: a worker's environment.
      journal: takes the workers' journals: each record with the number of its worker.
      access: takes the lines of the access log.
      others: the addresses of clients elsewhere, which are listed with ours.
      refresh_others: have those asked for anew.

    Raises:
      OSError: there is no memory to share.

    Attributes:
      faults: the faults that new workers begin with, as they are written; None for those of the
        command line.
    """

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
        refresh_others: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        self.settings = settings
        self.lifecycle = lifecycle
        self.events = events
        self.faults: tuple[str, ...] | None = None
        self.others = others
        self.refresh_others = refresh_others
        self._journal = journal
        self._access = access
        self._listeners = SharedListeners()
        limited = settings.max_connections_per_address > 0
        self._sketch = Sketch.create(settings.max_connections) if limited else None
        self._workforce = Workforce(
            processes,
            command,
            environ,
            cells=self._sketch.cells if self._sketch is not None else 0,
            patience=settings.drain_timeout + OVERTIME,
            config=self._config,
            descriptors=lambda: self._listeners.descriptors,
            answers=lambda number: {"clients": lambda: self.clients(besides=number)},
            take=self._take,
            lifecycle=lifecycle,
            events=events,
        )
        self._listed_at = -1.0
        self._listing: trio.Event | None = None

    def observe(self, observer: Observer) -> None:
        """Tell somebody of the workers; before they are started."""
        self._workforce.observer = observer

    @property
    def workers(self) -> list[WorkerProcess]:
        """Every worker that lives, in the order of their numbers."""
        return self._workforce.living()

    @property
    def departed(self) -> Counters:
        """What the workers counted that have ended."""
        return self._workforce.departed

    @property
    def lost(self) -> int:
        """How many connections went with workers that died."""
        return self._workforce.lost

    @property
    def names(self) -> list[str]:
        """The endpoints, as they are written, with their real ports."""
        return list(self._listeners.names)

    async def run(  # noqa: ASYNC114
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
        workforce = self._workforce
        started = False
        try:
            await self._listeners.open(self.settings, inherited, tls=tls)
            async with open_nursery(TcpEchoError) as attending:
                workforce.attending = attending
                attending.start_soon(workforce.watch_heartbeats)
                with trio.CancelScope() as running:
                    attending.start_soon(self._end, running)
                    async with open_nursery(TcpEchoError) as seats:
                        await workforce.start(seats)
                        for name in self.names:
                            self.events.publish(Listening(name))
                        started = True
                        task_status.started()
                await self._drain()
                attending.cancel_scope.cancel()
        finally:
            self._listeners.close()
            workforce.close()
        served, aborted = (workforce.departed.get(name, 0) for name in ("served", "aborted"))
        totals = totals_of(workforce.departed)
        self.events.publish(ServerStopped(served, aborted + workforce.lost, totals))
        self.lifecycle.stop()
        if not started:
            task_status.started()

    async def replace_workers(self) -> bool:
        """Put new processes in the workers' places, one after the other.

        They are of the program as it is installed now, and read the certificate anew. A worker
        that is replaced accepts nobody else, and serves its clients until they leave; or until its
        successor's successor is ready: then it drains.

        Returns:
          Whether all have been replaced. At the first one that does not become ready it stops.
        """
        return await self._workforce.replace()

    def _config(self, number: int) -> WorkerConfig:
        """What a new worker is told."""
        slots = self._workforce.slots
        return WorkerConfig(
            number,
            slots.fd,
            slots.count,
            self.settings.max_connections,
            tuple(self._listeners.shared),
            self.faults,
            self._sketch,
        )

    def _take(self, worker: WorkerProcess, message: Message) -> None:
        """A message of a worker's that is not about itself; what is not known is left alone."""
        match message.get("kind"):
            case "journal":
                self._tell(worker, message["name"], message["fields"])
            case "access":
                for line in message["lines"]:
                    self._access(line)
            case "shutdown":
                self.lifecycle.drain(DrainReason.REMOTE, message["client"])
            case _ if (observer := self._workforce.observer) is not None:
                observer.heard(worker, message)

    def _tell(self, worker: WorkerProcess, name: str, fields: dict[str, Any]) -> None:
        """A record of a worker's journal."""
        try:
            self._journal(name, {**fields, "worker": worker.number})
        except (AttributeError, LookupError):
            # A newer program than ours has an event for which we have no words.
            self.events.publish(WorkerSaid(worker.number, name))

    # Asking

    async def ask(self, what: str, **about: Any) -> dict[int, Any]:
        """Ask every worker; their answers, by their numbers.

        Whoever does not answer within :data:`ANSWER_TIME` is left out.

        Args:
          what: a question (:mod:`tcpecho_trio.cluster.channel`).
          about: what it is about.
        """
        answers = await ask_each(self.workers, what, ANSWER_TIME, **about)
        return {worker.number: answers[worker] for worker in self.workers if worker in answers}

    async def change_faults(self, faults: Sequence[str]) -> None:
        """Have other faults from now on, in all workers and in those to come.

        Args:
          faults: as they are written.
        """
        self.faults = tuple(faults)
        await self.ask("faults", faults=list(faults))

    async def clients(self, besides: int = 0) -> list[str]:
        """The addresses of all clients, in the order of their workers; then those elsewhere.

        Args:
          besides: a worker whose own clients are left out.
        """
        async with trio.open_nursery() as asking:
            asking.start_soon(self._refresh_others)
            own = await self.own_clients(besides)
        return [*own, *self.others()]

    async def own_clients(self, besides: int = 0) -> list[str]:
        """The addresses of our own clients, in the order of their workers.

        Args:
          besides: a worker whose own clients are left out.
        """
        await self._refresh_lists()
        return [
            client
            for worker in self.workers
            if worker.number != besides
            for client in worker.last_clients
        ]

    @property
    def marks(self) -> object:
        """Equal to what it was before as long as nobody has come or left."""
        slots = self._workforce.slots
        return [(slots.places(n), slots.next_number(n)) for n in range(slots.count)]

    async def _refresh_others(self) -> None:
        """Ask elsewhere, no longer than whoever asks us waits. A checkpoint."""
        with trio.move_on_after(ANSWER_TIME):
            await self.refresh_others()

    async def _refresh_lists(self) -> None:
        """Ask all workers who is connected, unless that was asked just now."""
        if self._listing is not None:
            await self._listing.wait()
        elif trio.current_time() > self._listed_at + FRESH:
            listing = self._listing = trio.Event()
            try:
                answers = await ask_each(self.workers, "clients", ANSWER_TIME)
                for worker, clients in answers.items():
                    worker.last_clients = clients
            finally:
                self._listed_at, self._listing = trio.current_time(), None
                listing.set()

    # Ending

    async def _end(self, running: trio.CancelScope) -> None:
        """Stop to start workers when the drain begins; kill whoever is still there afterwards."""
        await end_the_delay(self.lifecycle, self.events)
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
        life, workers = self.lifecycle, self.workers
        for worker in workers:
            worker.order("drain", reason=life.reason.value, client=life.client)
        with trio.move_on_after(CLOSING_TIME):  # noqa: ASYNC912  there may be none
            for worker in workers:
                await worker.accepting_over.wait()
        clients = sum(worker.clients_left for worker in workers)
        self.events.publish(DrainStarted(life.reason, clients, life.client))
        for worker in workers:
            await worker.ended.wait()
