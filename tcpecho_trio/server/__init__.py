"""The server: listeners, nurseries, and the life cycle as a whole.

::

    serve()
      └─ nursery: server           the pump, and the tasks that drain and abort
          └─ nursery: connections  one task a client; outlives accepting
              └─ nursery: accepting    trio.serve_tcp(..., handler_nursery=…)

Accepting ends first: new clients are refused from the moment the drain begins, while the connected
ones finish. That is why the clients do not live in serve_tcp's own nursery. Clients in the
backlog count as connected: the kernel has told them that they are, and they may have asked
something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio

from tcpecho_trio.errors import CannotListen
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server.admission import Admission
from tcpecho_trio.server.context import ServerContext
from tcpecho_trio.server.endpoints import Endpoint
from tcpecho_trio.server.events import (
    DrainAborted,
    DrainReason,
    DrainStarted,
    Listening,
    ServerStopped,
    ShutdownDelayed,
)
from tcpecho_trio.server.faults import Fault, FaultSampler
from tcpecho_trio.server.journal import Journal
from tcpecho_trio.server.lifecycle import Lifecycle, Phase
from tcpecho_trio.server.listeners import Inherited, Listeners
from tcpecho_trio.server.portable import OwnTask
from tcpecho_trio.server.pump import Pump, pump_exists
from tcpecho_trio.server.registry import Registry
from tcpecho_trio.server.roster import Roster
from tcpecho_trio.server.settings import RemoteShutdown, Settings
from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.server.tls import Tls, TlsFiles

__all__ = [
    "DrainReason",
    "Endpoint",
    "Events",
    "Fault",
    "Journal",
    "Lifecycle",
    "Phase",
    "Registry",
    "RemoteShutdown",
    "Settings",
    "Tls",
    "TlsFiles",
    "serve",
]


WAKE_BATCH = 100
"""Connections that are woken at a time when the server ends. Ten thousand at once would keep the
loop busy for a second, and a second signal waiting for as long."""


async def serve(
    settings: Settings,
    *,
    lifecycle: Lifecycle | None = None,
    registry: Registry | None = None,
    roster: Roster | None = None,
    events: Events | None = None,
    tls: Tls | None = None,
    listeners: Sequence[trio.abc.Listener[Any] | Inherited] = (),
    also: Mapping[str, trio.abc.Listener[Any]] | None = None,
    faults: FaultSampler | None = None,
    task_status: trio.TaskStatus[list[trio.abc.Listener[Any]]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until the life cycle says stop, then drain and return.

    ``await nursery.start(partial(serve, …))`` returns the listeners once clients can connect;
    none, if the end was asked for before that.

    Args:
      settings: what the server is.
      lifecycle: says when to end; without one, only a cancellation does. Its own shutdown delay
        counts, not that of the settings.
      registry: which connections there are, for a caller who wants to look.
      roster: which clients there are, for a server that is one of several; else the registry.
      events: what happens, for those who subscribe to it.
      tls: what clients of ``tls://`` endpoints shake hands with; it may be loaded anew meanwhile.
      listeners: already listening, to be served instead of those that the settings name, and
        closed at the end; over TLS where they are TCP and there is `tls`, unless an
        :class:`~tcpecho_trio.server.listeners.Inherited` says otherwise.
      also: listeners by another way than a socket, by the names of their endpoints, to be served
        as well. Their streams know whose they are: each has a `peer`
        (:class:`~tcpecho_trio.server.peer.Peer`).
      faults: who suffers what, for a caller who changes that meanwhile; by default what the
        settings say.
      task_status: for ``nursery.start()``.

    Raises:
      CannotListen: an endpoint could not be opened.
    """
    events = Events() if events is None else events
    registry = Registry() if registry is None else registry  # an empty one is false
    lifecycle = Lifecycle(settings.shutdown_delay) if lifecycle is None else lifecycle
    pump = _make_pump(settings, events)
    carrier = OwnTask(events, settings.longest_silence) if pump is None else pump
    if faults is None:
        faults = FaultSampler(settings.faults, settings.fault_seed)
    roster = registry if roster is None else roster
    context = ServerContext(settings, lifecycle, registry, roster, events, carrier, faults=faults)
    closed_listeners = trio.Event()
    started = False
    try:
        async with open_nursery(CannotListen) as server:
            if pump is not None:
                server.start_soon(pump.run)
                server.start_soon(pump.end_silences)
            async with trio.open_nursery() as connections:
                if pump is not None:
                    connections.start_soon(pump.keep, closed_listeners)
                try:
                    async with trio.open_nursery() as accepting:
                        scopes = accepting.cancel_scope, connections.cancel_scope
                        server.start_soon(end_the_delay, lifecycle, events)
                        server.start_soon(_drain_when_told, context, *scopes, closed_listeners)
                        server.start_soon(_retire_when_told, context, accepting.cancel_scope)
                        server.start_soon(_abort_when_told, context, connections.cancel_scope)
                        opened = await _listen(
                            context, tls, listeners, also or {}, accepting, connections
                        )
                        started = True
                        task_status.started(opened)
                finally:
                    closed_listeners.set()
            server.cancel_scope.cancel()
    finally:
        if pump is not None:
            pump.close()
    events.publish(ServerStopped(registry.served, registry.aborted, registry.totals()))
    lifecycle.stop()
    if not started:
        task_status.started([])


def _make_pump(settings: Settings, events: Events) -> Pump | None:
    """The pump, where there is one.

    Raises:
      CannotListen: not even a descriptor for that is left.
    """
    try:
        return Pump(events, settings.longest_silence) if settings.pump and pump_exists() else None
    except OSError as error:
        raise CannotListen.because(error, settings.host, settings.port) from error


async def _listen(
    context: ServerContext,
    tls: Tls | None,
    inherited: Sequence[trio.abc.Listener[Any] | Inherited],
    also: Mapping[str, trio.abc.Listener[Any]],
    accepting: trio.Nursery,
    connections: trio.Nursery,
) -> list[trio.abc.Listener[Any]]:
    """Open every endpoint, and accept there; tell of them once all are open.

    Raises:
      CannotListen: one of them could not be opened.
    """
    settings = context.settings
    listeners = Listeners(
        context.lifecycle, Admission(context), tls, connections, unix_mode=settings.unix_mode
    )
    serving: list[trio.abc.Listener[Any]] = []
    names: list[str] = []
    for listener in inherited:
        known = listener if isinstance(listener, Inherited) else Inherited.of(listener)
        await accepting.start(listeners.inherit, known)
        names.append(known.name)
        serving.append(known.listener)
    for endpoint in () if inherited else settings.endpoints:
        opened, name = await accepting.start(listeners.open, endpoint)
        serving += opened
        names.append(name)
    for name, listener in also.items():
        accepting.start_soon(listeners.accept_streams, listener, name)
    for name in names:
        context.events.publish(Listening(name))
    return serving


async def end_the_delay(lifecycle: Lifecycle, events: Events) -> None:
    """Drain when the shutdown delay is over, if there is one."""
    await lifecycle.wait_end_near()
    if not lifecycle.draining:
        delay = lifecycle.shutdown_delay
        events.publish(ShutdownDelayed(lifecycle.reason, delay))
        with trio.move_on_after(delay):
            await lifecycle.wait_draining()
        lifecycle.drain(lifecycle.reason)


async def _retire_when_told(context: ServerContext, accepting: trio.CancelScope) -> None:
    """Refuse newcomers; serve whoever is connected for as long as they like."""
    await context.lifecycle.wait_retiring()
    accepting.cancel()


async def _drain_when_told(
    context: ServerContext,
    accepting: trio.CancelScope,
    connections: trio.CancelScope,
    closed_listeners: trio.Event,
) -> None:
    """Refuse newcomers, wake idle clients, bound the time of all. If told so, tell of the abort."""
    lifecycle, registry, events = context.lifecycle, context.registry, context.events
    await lifecycle.wait_draining()
    accepting.cancel()  # also while the sockets are still being opened
    now = trio.current_time()
    connections.deadline = now + context.settings.drain_timeout
    for admission in registry.admitting:
        admission.deadline = now + context.settings.drain_grace
    await closed_listeners.wait()
    # Whoever reads this event finds that connections are refused.
    events.publish(DrainStarted(lifecycle.reason, len(registry), lifecycle.client))
    await _wake_all(context)
    if not lifecycle.aborting:  # else no checkpoint: everything may be over by now
        await lifecycle.wait_aborted()
    events.publish(DrainAborted())


async def _abort_when_told(context: ServerContext, connections: trio.CancelScope) -> None:
    """Abort everybody at once.

    Idle clients are only woken, and see for themselves that nobody waits any more. To cancel ten
    thousand tasks takes three times as long, because each raises an exception out of its nursery.
    """
    await context.lifecycle.wait_aborted()
    try:
        await _wake_all(context, aborting=True)
    finally:
        connections.cancel()


async def _wake_all(context: ServerContext, *, aborting: bool = False) -> None:
    """Let no connection wait for its client any more. A checkpoint after each batch."""
    for number, connection in enumerate(context.registry):
        connection.wake()
        if number % WAKE_BATCH == WAKE_BATCH - 1:
            if context.lifecycle.aborting is not aborting:
                return  # another signal has come
            await trio.lowlevel.checkpoint()
