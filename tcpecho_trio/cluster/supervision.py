"""A worker's life under its supervisor: from the first message to the last.

What the supervisor says before the worker is there is kept for it. When the line ends, the
supervisor is gone, and the worker drains.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import trio

from tcpecho_trio.cluster.attachment import Attach
from tcpecho_trio.cluster.channel import Channel, Message
from tcpecho_trio.cluster.config import WorkerConfig
from tcpecho_trio.cluster.worker import Logging, Worker
from tcpecho_trio.errors import CannotRead, CannotStart, TcpEchoError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server import DrainReason, Events, Settings
from tcpecho_trio.server.tls import Tls, TlsFiles


class Supervision:
    """The supervisor, as a worker knows it: the line to it, and what it has ordered so far.

    Args:
      end: our end of the line.
    """

    def __init__(self, end: socket.socket) -> None:
        self.worker: Worker | None = None
        self.begun = trio.Event()
        """Set when the first message has come, or none will."""
        self.first: Message | None = None
        self._orders: list[Message] = []  # before the worker is there to obey them
        questions = ("clients", "connections", "counters", "dismiss", "faults")
        self.channel = Channel(end, {name: partial(self._answer, name) for name in questions})

    async def listen(self) -> None:
        """Take what the supervisor says. When it is gone, the worker drains."""
        await self.channel.run(self._take)
        self.begun.set()
        self._order({"kind": "drain", "reason": DrainReason.PROGRAM.value})

    def serve(self, worker: Worker) -> None:
        """Let a worker obey from now on, and what has been ordered already."""
        self.worker = worker
        for order in self._orders:
            worker.obey(order)

    def _take(self, message: Message) -> None:
        if self.first is None:
            self.first = message
            self.begun.set()
        else:
            self._order(message)

    def _order(self, message: Message) -> None:
        if self.worker is None:
            self._orders.append(message)
        else:
            self.worker.obey(message)

    def _answer(self, what: str, **about: Any) -> Any:
        if self.worker is None:
            raise LookupError("not yet")
        return self.worker.answer(what, **about)


async def run_worker(
    end: socket.socket,
    settings: Settings,
    tls_files: TlsFiles | None,
    events: Events,
    logging: Logging,
    terminations: AsyncIterator[int],
    attach: Attach | None = None,
) -> None:
    """Serve until the supervisor says stop, or is gone.

    Args:
      end: our end of the channel.
      settings: the server's.
      tls_files: its certificate, read now.
      events: this worker's.
      logging: what is told of them.
      terminations: SIGTERMs to this process. The first one is the supervisor's business, which
        puts another worker in our place first; the second one drains us at once.
      attach: makes what else this worker does.

    Raises:
      CannotRead: the certificate cannot be used.
      CannotListen: what we have inherited is no listening socket.
      CannotStart: the supervisor is of another version.
    """
    supervision = Supervision(end)
    async with open_nursery(TcpEchoError) as nursery:
        nursery.start_soon(supervision.listen)
        await supervision.begun.wait()
        if supervision.first is not None:  # else it was gone before it said anything
            worker = _made(supervision, settings, tls_files, events, logging, attach)
            supervision.serve(worker)
            nursery.start_soon(worker.obey_terminations, terminations)
            await worker.run()
        nursery.cancel_scope.cancel()


def _made(
    supervision: Supervision,
    settings: Settings,
    tls_files: TlsFiles | None,
    events: Events,
    logging: Logging,
    attach: Attach | None,
) -> Worker:
    """The worker that the supervisor has described.

    Raises:
      CannotRead: the certificate cannot be used.
      CannotStart: the description cannot be understood.
    """
    try:
        config = WorkerConfig.parse(supervision.first or {})
    except (ValueError, KeyError, TypeError) as error:
        raise CannotStart("cannot_start", reason=str(error)) from error
    try:
        tls = Tls(tls_files) if tls_files is not None else None
    except OSError as error:
        raise CannotRead.because(error, str(tls_files)) from error
    return Worker(supervision.channel, config, settings, tls, events, logging, attach)
