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
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import trio

from tcpecho_trio import __version__
from tcpecho_trio.cluster.balance import BalancedListener, Share
from tcpecho_trio.cluster.channel import Answer, Channel, Message
from tcpecho_trio.cluster.config import InheritedListener, WorkerConfig
from tcpecho_trio.cluster.counters import counters_of, described
from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.cluster.worker_parts import WorkerLifecycle, WorkerRegistry, WorkerRoster
from tcpecho_trio.errors import CannotListen, CannotRead, CannotStart
from tcpecho_trio.server import DrainReason, Events, Journal, Settings, serve
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


class Attachment(Protocol):
    """Whatever a worker does for somebody in its supervisor's process besides to serve."""

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

    # What the supervisor may ask

    def dismiss(self, number: int) -> bool:
        """Close a client's connection in an orderly way; return whether there is one."""
        connection = self.registry.find(number)
        if connection is None or connection.closing is not None:
            return False
        connection.dismiss()
        return True

    def change_faults(self, faults: list[str]) -> int:
        """Have other faults from now on."""
        self.faults.change(tuple(map(Fault.parse, faults)))
        return len(faults)


async def run_worker(
    end: socket.socket,
    settings: Settings,
    tls_files: TlsFiles | None,
    events: Events,
    logging: Logging,
    terminations: AsyncIterator[int],
    attach: Callable[[Worker], Attachment] | None = None,
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
    known: dict[str, Worker] = {}
    attached: list[Attachment] = []
    orders: list[Message] = []
    configured = trio.Event()

    def worker() -> Worker:
        return known["worker"]

    def handle(message: Message) -> None:
        orders.append(message)
        configured.set()
        if known:
            worker().obey(message)
        if attached:
            attached[0].handle(message)

    channel = Channel(
        end,
        {
            "clients": lambda: worker().registry.clients(),
            "connections": lambda: [described(one) for one in worker().registry],
            "counters": lambda: counters_of(worker().registry),
            "dismiss": lambda number: worker().dismiss(number),
            "faults": lambda faults: worker().change_faults(faults),
        },
    )

    async def listen_to_supervisor() -> None:
        await channel.run(handle)
        configured.set()
        if known:
            worker().stop_accepting()
            worker().lifecycle.obey(DrainReason.PROGRAM, None)

    async def obey_terminations() -> None:
        told = False
        async for _ in terminations:
            lifecycle = worker().lifecycle
            if lifecycle.draining:
                lifecycle.abort()
            elif told:
                lifecycle.obey(DrainReason.SIGTERM, None)
            else:
                told = channel.put({"kind": "term"})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen_to_supervisor)
        await configured.wait()
        if not orders:  # the supervisor was gone before we knew anything
            nursery.cancel_scope.cancel()
            return
        try:
            config = WorkerConfig.parse(orders[0])
        except (ValueError, KeyError, TypeError) as error:
            raise CannotStart("cannot_start", reason=str(error)) from error
        try:
            tls = Tls(tls_files) if tls_files is not None else None
        except OSError as error:
            raise CannotRead.because(error, str(tls_files)) from error
        me = Worker(channel, config, settings, tls, events, logging)
        known["worker"] = me
        try:
            listeners = me.listeners()
        except (OSError, ValueError) as error:
            raise CannotListen.on_inherited(OSError(str(error))) from error
        if channel.ended.is_set():
            me.lifecycle.obey(DrainReason.PROGRAM, None)
        for order in orders[1:]:
            me.obey(order)
        if attach is not None:
            attached.append(attach(me))
            channel.also_answer(attached[0].answers)
            nursery.start_soon(attached[0].run)
        nursery.start_soon(obey_terminations)
        nursery.start_soon(me.send_heartbeats)
        nursery.start_soon(me.send_access_lines)
        nursery.start_soon(me.journal.run)
        serving = partial(
            serve,
            me.settings,
            lifecycle=me.lifecycle,
            registry=me.registry,
            roster=me.roster,
            events=events,
            tls=tls,
            listeners=listeners,
            also=attached[0].conversations if attached else {},
            faults=me.faults,
        )
        await nursery.start(serving)
        if not (me.lifecycle.draining or channel.ended.is_set()):
            me.slots.set_accepting(config.worker - 1, True)
        channel.put({"kind": "ready", "version": __version__})
        await me.lifecycle.wait_stopped()
        me.flush_access_lines()
        if attached:
            attached[0].finish()
        channel.put({"kind": "stopped", "counters": counters_of(me.registry)})
        await channel.flush()
        nursery.cancel_scope.cancel()
