"""What happens to the workers of a server. ``docs/events.md`` lists these with the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcpecho_trio.server.events import Event


@dataclass(frozen=True, slots=True)
class WorkerReady(Event):
    """A worker accepts connections."""

    name: ClassVar[str] = "worker_ready"
    worker: int
    pid: int


@dataclass(frozen=True, slots=True)
class WorkerEnded(Event):
    """A worker has ended in an orderly way, after `served` clients."""

    name: ClassVar[str] = "worker_ended"
    worker: int
    pid: int
    served: int


@dataclass(frozen=True, slots=True)
class WorkerDied(Event):
    """A worker has ended by itself, or was killed; `lost` connections went with it.

    `signal` is the name of the one that killed it (``SIGKILL``); otherwise it ended with `code`.
    """

    name: ClassVar[str] = "worker_died"
    worker: int
    pid: int
    signal: str | None
    code: int | None
    lost: int


@dataclass(frozen=True, slots=True)
class WorkerHung(Event):
    """A worker gave no sign of life for so many seconds, and is killed."""

    name: ClassVar[str] = "worker_hung"
    worker: int
    pid: int
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerNotStarted(Event):
    """No new worker came about; there is another attempt in so many seconds."""

    name: ClassVar[str] = "worker_not_started"
    error: str
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerSaid(Event):
    """A worker wrote this to its standard error, which it does only when it is in trouble."""

    name: ClassVar[str] = "worker_said"
    worker: int
    text: str


@dataclass(frozen=True, slots=True)
class WorkerReplaced(Event):
    """A new worker has taken the place of another one, which still serves its clients."""

    name: ClassVar[str] = "worker_replaced"
    worker: int
    successor: int


@dataclass(frozen=True, slots=True)
class WorkersReplaced(Event):
    """Every worker has been replaced, as it was asked for."""

    name: ClassVar[str] = "workers_replaced"
    workers: int


@dataclass(frozen=True, slots=True)
class ReplacementStopped(Event):
    """A new worker did not become ready: the others stay, and none is replaced any more."""

    name: ClassVar[str] = "replacement_stopped"
    error: str
