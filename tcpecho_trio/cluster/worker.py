"""One worker: a server that is told by its supervisor where to listen and when to end.

::

    supervisor ══ channel ══╗
                            ╟─ orders: drain, abort, retire        → Lifecycle
                            ╟─ questions: clients, counters, …     → Registry
                            ╟─ heartbeats
                            ╚─ journal, access log                 ← Events
                    serve() at the sockets that it has inherited

It writes to no log of its own, and obeys nobody else: the end of the channel means that the
supervisor is gone, and drains it.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import trio

from tcpecho_trio import __version__
from tcpecho_trio.cluster.balance import BalancedListener, Share
from tcpecho_trio.cluster.channel import Channel, Message
from tcpecho_trio.cluster.config import InheritedListener, WorkerConfig
from tcpecho_trio.cluster.counters import counters_of, described
from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.cluster.worker_parts import WorkerLifecycle, WorkerRegistry, WorkerRoster
from tcpecho_trio.errors import CannotListen, CannotRead, CannotStart, TcpEchoError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server import DrainReason, Events, Journal, Phase, Settings, serve
from tcpecho_trio.server.access_log import AccessLog
from tcpecho_trio.server.endpoints import Scheme
from tcpecho_trio.server.events import DrainStarted, Event
from tcpecho_trio.server.faults import Fault, FaultSampler
from tcpecho_trio.server.listeners import Inherited
from tcpecho_trio.server.tls import Tls, TlsFiles

BEAT = 1.0
"""Seconds between two heartbeats."""

ACCESS_EVERY = 0.05
"""Seconds for which lines of the access log are collected."""

LIFE = frozenset({"listening", "shutdown_delayed", "draining", "cutting", "stopped"})
"""Events that are the supervisor's to tell, once for all workers."""


@dataclass(frozen=True, slots=True)
class Logging:
    """What a worker tells, as the command line says.

    Args:
      messages, probes: as for the journal.
      access: whether there is an access log.
      access_probes: as for it.
    """

    messages: bool
    probes: bool
    access: bool
    access_probes: bool


class Worker:
    """A worker's parts, once it knows who it is."""

    def __init__(
        self,
        channel: Channel,
        config: WorkerConfig,
        settings: Settings,
        tls: Tls | None,
        events: Events,
        logging: Logging,
    ) -> None:
        self.settings = replace(settings, worker=config.worker)
        self.channel = channel
        self.config = config
        self.events = events
        self.tls = tls
        self.slots = Slots(config.slots_fd, config.slots)
        self.slots.forget_descriptor()
        self.registry = WorkerRegistry(self.slots, config.worker - 1, config.most)
        self.roster = WorkerRoster(self.registry, channel)
        self.lifecycle = WorkerLifecycle(self._shut_down)
        self.faults = FaultSampler(settings.faults, settings.fault_seed)
        if config.faults is not None:
            self.faults.change(tuple(map(Fault.parse, config.faults)))
        self._access_lines: list[str] = []
        self.journal = Journal(self._tell, messages=logging.messages, probes=logging.probes)
        self.journal.listen_to(events)
        events.subscribe(self._look)
        if logging.access:
            AccessLog(
                self._access_lines.append,
                settings.name,
                probes=logging.access_probes,
                worker=config.worker,
            ).listen_to(events)

    def listeners(self) -> list[Inherited]:
        """What this worker accepts at.

        Raises:
          OSError: an inherited descriptor is no socket that listens.
        """
        share = Share(self.slots, self.config.worker - 1)
        return [self._inherited(known, share) for known in self.config.listeners]

    def _inherited(self, known: InheritedListener, share: Share) -> Inherited:
        opened = socket.socket(fileno=known.fd)
        opened.set_inheritable(False)
        opened.setblocking(False)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(opened))
        return Inherited(
            BalancedListener(listener, share),
            known.name,
            known.endpoint(),
            tls=known.scheme == Scheme.TLS.value,
            unix=known.scheme == Scheme.UNIX.value,
            backlog=known.backlog,
            batch=share.batch,
        )

    def obey(self, message: Message) -> None:
        """Do what the supervisor orders; what is not known is left alone."""
        match message.get("kind"):
            case "drain":
                self.stop_accepting()
                self.lifecycle.obey(DrainReason(message["reason"]), message.get("client"))
            case "abort":
                self.stop_accepting()
                self.lifecycle.abort()
            case "retire":
                self.stop_accepting()
                self.lifecycle.retire()

    def stop_accepting(self) -> None:
        """The others need not leave connections to us any more."""
        self.slots.set_accepting(self.config.worker - 1, False)

    def _shut_down(self, client: str) -> None:
        self.channel.put({"kind": "shutdown", "client": client})

    def _tell(self, name: str, fields: dict[str, Any]) -> None:
        """The journal's renderer."""
        if name not in LIFE:
            self.channel.put({"kind": "journal", "name": name, "fields": fields}, droppable=True)

    def _look(self, event: Event) -> None:
        if isinstance(event, DrainStarted):
            self.channel.put({"kind": "draining", "clients": event.clients})

    async def obey_terminations(self, terminations: AsyncIterator[int]) -> None:
        """Leave the first SIGTERM to the supervisor; drain at the second, abort at the third."""
        told = False
        async for _ in terminations:
            if self.lifecycle.draining:
                self.lifecycle.abort()
            elif told:
                self.lifecycle.obey(DrainReason.SIGTERM, None)
            else:
                told = self.channel.put({"kind": "term"})

    async def run(self) -> None:
        """Serve until the end; then say what came of it.

        Raises:
          CannotListen: what we have inherited is no listening socket.
        """
        try:
            listeners = self.listeners()
        except (OSError, ValueError) as error:
            raise CannotListen.on_inherited(OSError(str(error))) from error
        async with open_nursery(TcpEchoError) as nursery:
            nursery.start_soon(self.send_heartbeats)
            nursery.start_soon(self.send_access_lines)
            nursery.start_soon(self.journal.run)
            serving = partial(
                serve,
                self.settings,
                lifecycle=self.lifecycle,
                registry=self.registry,
                roster=self.roster,
                events=self.events,
                tls=self.tls,
                listeners=listeners,
                faults=self.faults,
            )
            await nursery.start(serving)
            if self.lifecycle.phase is Phase.RUNNING:
                self.slots.set_accepting(self.config.worker - 1, True)
            self.channel.put({"kind": "ready", "version": __version__})
            await self.lifecycle.wait_stopped()
            self.flush_access_lines()
            self.channel.put({"kind": "stopped", "counters": counters_of(self.registry)})
            await self.channel.flush()
            nursery.cancel_scope.cancel()

    async def send_heartbeats(self) -> None:
        """Say that the loop is alive, until cancelled."""
        while True:
            counters = counters_of(self.registry, everybody=False)
            self.channel.put({"kind": "beat", "counters": counters}, droppable=True)
            await trio.sleep(BEAT)

    async def send_access_lines(self) -> None:
        """Send what the access log has collected, until cancelled."""
        while True:
            self.flush_access_lines()
            await trio.sleep(ACCESS_EVERY)

    def flush_access_lines(self) -> None:
        """Send the lines that there are now."""
        if self._access_lines:
            lines, self._access_lines[:] = list(self._access_lines), []
            self.channel.put({"kind": "access", "lines": lines}, droppable=True)

    def answer(self, what: str, **about: Any) -> Any:
        """What the supervisor asks (:mod:`tcpecho_trio.cluster.channel`)."""
        match what:
            case "clients":
                return self.registry.clients()
            case "connections":
                return [described(connection) for connection in self.registry]
            case "counters":
                return counters_of(self.registry)
            case "dismiss":
                return self._dismiss(**about)
            case "faults":
                return self._change_faults(**about)
        raise LookupError(what)

    def _dismiss(self, number: int) -> bool:
        """Close a client's connection in an orderly way; return whether there is one."""
        connection = self.registry.find(number)
        if connection is None or connection.closing is not None:
            return False
        connection.dismiss()
        return True

    def _change_faults(self, faults: list[str]) -> int:
        """Have other faults from now on."""
        self.faults.change(tuple(map(Fault.parse, faults)))
        return len(faults)


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
            worker = _made(supervision, settings, tls_files, events, logging)
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
    return Worker(supervision.channel, config, settings, tls, events, logging)
