"""The server: listeners, nurseries, and the life cycle as a whole.

::

    serve()
      └─ watching                the pump, the journal, and who ends the others when told to
          └─ connections         one task a client; outlives accepting
              └─ accepting       trio.serve_tcp(..., handler_nursery=connections)

Accepting ends first, so new clients are refused from the moment the drain begins while the
connected ones finish; that is why the clients do not live in serve_tcp's own nursery. Connected
is also who has not been accepted yet: the kernel has told them that they are, and they may have
asked something.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from tcpecho_trio.errors import CannotListen
from tcpecho_trio.server.admission import Arrivals
from tcpecho_trio.server.journal import Journal
from tcpecho_trio.server.lifecycle import Lifecycle, Phase
from tcpecho_trio.server.listeners import Doors
from tcpecho_trio.server.pump import Pump, pump_exists
from tcpecho_trio.server.registry import Registry
from tcpecho_trio.server.settings import RemoteShutdown, Settings
from tcpecho_trio.server.tls import Tls

__all__ = [
    "Journal",
    "Lifecycle",
    "Phase",
    "Registry",
    "RemoteShutdown",
    "Settings",
    "serve",
]


async def serve(
    settings: Settings,
    *,
    lifecycle: Lifecycle,
    registry: Registry,
    journal: Journal,
    tls: Tls | None = None,
    listeners: Sequence[trio.abc.Listener[Any]] = (),
    task_status: trio.TaskStatus[list[trio.abc.Listener[Any]]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until the life cycle says stop, then drain and return.

    ``await nursery.start(partial(serve, …))`` returns the listeners once clients can connect;
    none, if the end was asked for before that.

    Args:
      settings: what the server is.
      lifecycle: says when to end.
      registry: who is connected.
      journal: what happened.
      tls: what clients of ``tls://`` endpoints shake hands with; it may be loaded anew meanwhile.
      listeners: already listening, to be served instead of those that the settings name, and
        closed at the end; over TLS where they are TCP and there is `tls`.
      task_status: for ``nursery.start()``.

    Raises:
      CannotListen: the port could not be opened.
    """
    failure: CannotListen | None = None
    serving: list[trio.abc.Listener[Any]] = []
    started = False
    doors_closed = trio.Event()
    try:
        pump = Pump(journal) if settings.pump and pump_exists() else None
    except OSError as error:  # not even a descriptor for that
        raise CannotListen.because(error, settings.host, settings.port) from error
    arrivals = Arrivals(
        settings=settings,
        lifecycle=lifecycle,
        registry=registry,
        journal=journal,
        pump=pump,
    )
    try:
        async with trio.open_nursery() as watching:
            watching.start_soon(journal.run)
            if pump is not None:
                watching.start_soon(pump.run)
            async with trio.open_nursery() as connections:
                try:
                    async with trio.open_nursery() as accepting:
                        # These watchers outlive the scopes that they are given; then they
                        # have nothing to cancel.
                        watching.start_soon(_cut_when_told, lifecycle, connections.cancel_scope)  # noqa: ASYNC111
                        watching.start_soon(
                            partial(
                                _end_when_told,
                                lifecycle,
                                registry,
                                journal,
                                accepting=accepting.cancel_scope,  # noqa: ASYNC111
                                connections=connections.cancel_scope,  # noqa: ASYNC111
                                settings=settings,
                                doors_closed=doors_closed,
                            )
                        )
                        doors = Doors(arrivals, tls, connections, unix_mode=settings.unix_mode)
                        names: list[str] = []
                        try:
                            for listener in listeners:
                                names.append(await accepting.start(doors.inherit, listener))
                                serving.append(listener)
                            for endpoint in () if listeners else settings.endpoints:
                                opened, name = await accepting.start(doors.open, endpoint)
                                serving += opened
                                names.append(name)
                        except CannotListen as error:
                            failure = error  # raised below, where no nursery wraps it
                            accepting.cancel_scope.cancel()
                            connections.cancel_scope.cancel()  # who came by a door that opened
                        else:
                            for name in names:
                                journal.listening(name)
                            started = True
                            task_status.started(serving)
                finally:
                    doors_closed.set()
            watching.cancel_scope.cancel()
    finally:
        if pump is not None:
            pump.close()
    if failure is not None:
        raise failure
    journal.stopped(registry.closed - registry.cut, registry.cut)
    lifecycle.stop()
    if not started:
        task_status.started([])


async def _end_when_told(
    lifecycle: Lifecycle,
    registry: Registry,
    journal: Journal,
    *,
    accepting: trio.CancelScope,
    connections: trio.CancelScope,
    settings: Settings,
    doors_closed: trio.Event,
) -> None:
    """Drain: refuse newcomers, wake whoever is idle, bound the time. Then, if told so, cut."""
    await lifecycle.wait_draining()
    accepting.cancel()  # also while the sockets are still being opened
    now = trio.current_time()
    connections.deadline = now + settings.drain_timeout
    for arriving in registry.arriving:
        arriving.deadline = now + settings.drain_grace
    await doors_closed.wait()
    journal.draining(lifecycle.reason, len(registry))  # whoever reads that finds nobody listening
    for client in registry:
        client.drain()
    if not lifecycle.cutting:  # else no checkpoint: everything may be over by now
        await lifecycle.wait_cut()
    journal.cutting()


async def _cut_when_told(lifecycle: Lifecycle, connections: trio.CancelScope) -> None:
    """Cut, without waiting for the doors: nobody is let in last then."""
    await lifecycle.wait_cut()
    connections.cancel()
