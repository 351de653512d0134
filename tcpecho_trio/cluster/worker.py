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
from tcpecho_trio.cluster.address_counts import AddressCounts
from tcpecho_trio.cluster.attachment import Attach
from tcpecho_trio.cluster.balance import BalancedListener, Share
from tcpecho_trio.cluster.channel import Channel, Message
from tcpecho_trio.cluster.config import InheritedListener, WorkerConfig
from tcpecho_trio.cluster.counters import counters_of, described
from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.cluster.worker_parts import WorkerLifecycle, WorkerRegistry, WorkerRoster
from tcpecho_trio.errors import CannotListen, TcpEchoError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server import DrainReason, Events, Journal, Phase, Settings, serve
from tcpecho_trio.server.access_log import AccessLog
from tcpecho_trio.server.endpoints import Scheme
from tcpecho_trio.server.events import DrainStarted, Event
from tcpecho_trio.server.faults import Fault, FaultSampler
from tcpecho_trio.server.listeners import Inherited
from tcpecho_trio.server.tls import Tls

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
        attach: Attach | None = None,
    ) -> None:
        self.settings = replace(settings, worker=config.worker)
        self.channel = channel
        self.config = config
        self.events = events
        self.tls = tls
        index, sketch = config.worker - 1, config.sketch
        self.slots = Slots(config.slots_fd, config.slots, sketch.cells if sketch else 0)
        self.slots.forget_descriptor()
        counts = AddressCounts(self.slots, index, sketch) if sketch else None
        self.registry = WorkerRegistry(self.slots, index, config.most, counts)
        self.roster = WorkerRoster(self.registry, channel)
        self.lifecycle = WorkerLifecycle(self._shut_down)
        self.faults = FaultSampler(settings.faults, settings.fault_seed)
        if config.faults is not None:
            self.faults.change(tuple(map(Fault.parse, config.faults)))
        self._access_lines: list[str] = []
        self._has_access_log = logging.access
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
        self._attachment = attach(self) if attach is not None else None
        if self._attachment is not None:
            channel.also_answer(self._attachment.answers)

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
            case _ if self._attachment is not None:
                self._attachment.handle(message)

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
            if self._has_access_log:
                nursery.start_soon(self.send_access_lines)
            nursery.start_soon(self.journal.run)
            attachment = self._attachment
            if attachment is not None:
                nursery.start_soon(attachment.run)
            serving = partial(
                serve,
                self.settings,
                lifecycle=self.lifecycle,
                registry=self.registry,
                roster=self.roster,
                events=self.events,
                tls=self.tls,
                listeners=listeners,
                also=attachment.conversations if attachment is not None else {},
                faults=self.faults,
            )
            await nursery.start(serving)
            if self.lifecycle.phase is Phase.RUNNING:
                self.slots.set_accepting(self.config.worker - 1, True)
            self.channel.put({"kind": "ready", "version": __version__})
            await self.lifecycle.wait_stopped()
            self.flush_access_lines()
            if attachment is not None:
                attachment.finish()
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
