"""The endpoint of a server of several processes: what joins it to the supervisor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tcpecho_trio.admin.supervised import Worker
from tcpecho_trio.admin.workers import Workers
from tcpecho_trio.cluster.channel import Message
from tcpecho_trio.cluster.events import WorkerDied
from tcpecho_trio.server import DrainReason, Phase
from tcpecho_trio.server.events import Event, Listening

if TYPE_CHECKING:
    from tcpecho_trio.admin.neighbours import Neighbours
    from tcpecho_trio.cluster.supervisor import Supervisor
    from tcpecho_trio.cluster.worker_process import WorkerProcess


class SupervisedServer:
    """A supervisor, as the endpoint sees it; and the endpoint's backend, as the supervisor sees it.

    Args:
      supervisor: before its workers are started.
      lost_lines: how many lines of its logs are lost by now.
      neighbours: the other servers of its cluster; None where there is none.
    """

    def __init__(
        self, supervisor: Supervisor, lost_lines: Callable[[], int], neighbours: Neighbours | None
    ) -> None:
        self.settings = supervisor.settings
        self.events = supervisor.events
        self.listeners: list[str] = []
        self.restarts = 0
        self._supervisor = supervisor
        self._lost_lines = lost_lines
        self._known: dict[WorkerProcess, Worker] = {}
        self.events.subscribe(self._take_note)
        self.backend = Workers(self, neighbours)
        supervisor.observe(self)

    def _take_note(self, event: Event) -> None:
        if isinstance(event, Listening):
            self.listeners.append(event.listener)
        elif isinstance(event, WorkerDied):
            self.restarts += 1

    @property
    def phase(self) -> str:
        """Where the whole server is between start and end."""
        phase = self._supervisor.lifecycle.phase
        return "starting" if phase is Phase.RUNNING and not self.listeners else phase.value

    @property
    def lost_lines(self) -> int:
        """How many lines of the supervisor's logs are lost."""
        return self._lost_lines()

    def drain(self, reason: DrainReason) -> None:
        """End the whole server."""
        self._supervisor.lifecycle.drain(reason)

    def suffer(self, faults: list[str]) -> None:
        """Workers that are still to come begin with these faults."""
        self._supervisor.faults = tuple(faults)

    def joined(self, process: WorkerProcess) -> None:
        """A worker accepts."""
        worker = Worker(str(process.number), process.pid, process.channel)
        worker.is_retiring = lambda: process.retiring
        self._known[process] = worker
        self.backend.joined(worker)

    def left(self, process: WorkerProcess) -> None:
        """A worker has ended."""
        worker = self._known.pop(process, None)
        if worker is not None:
            self.backend.left(worker)

    def heard(self, process: WorkerProcess, message: Message) -> None:
        """A worker has said something."""
        if process in self._known:
            self.backend.heard(self._known[process], message)
