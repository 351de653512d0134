"""What somebody in the supervisor's process may do with workers: a seam, as the roster is one.

An observer there is told of the workers; what is attached to each of them does the other half. The
endpoint for the administrator is such a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import trio

from tcpecho_trio.cluster.channel import Answer, Message

if TYPE_CHECKING:
    from tcpecho_trio.cluster.worker import Worker
    from tcpecho_trio.cluster.worker_process import WorkerProcess


class Observer(Protocol):
    """Whoever wants to know which workers there are, and what they say to it."""

    def joined(self, worker: WorkerProcess) -> None:
        """A worker accepts."""

    def left(self, worker: WorkerProcess) -> None:
        """A worker has ended; it may never have joined."""

    def heard(self, worker: WorkerProcess, message: Message) -> None:
        """A message that is none of the supervisor's own."""


class Attachment(Protocol):
    """Whatever a worker does for an observer besides to serve."""

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What it can be asked."""

    @property
    def conversations(self) -> Mapping[str, trio.abc.Listener[Any]]:
        """Further listeners, by their names, for ``serve(also=…)``."""

    def handle(self, message: Message) -> bool:
        """Take a message; False if it is for somebody else."""

    async def run(self) -> None:
        """Work until cancelled."""

    def finish(self) -> None:
        """The server has ended: send the last messages."""


Attach = Callable[["Worker"], Attachment]
"""Makes what is attached to a worker."""
