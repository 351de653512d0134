"""The server: listeners, nurseries, and the life cycle as a whole.

::

    serve()
      └─ watching                cuts the connections when told to
          └─ connections         one task a client; outlives accepting
              └─ accepting       trio.serve_tcp(..., handler_nursery=connections)

Accepting ends first, so new clients are refused from the moment the drain begins while the
connected ones finish; that is why the clients do not live in serve_tcp's own nursery.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from tcpecho_trio.errors import CannotListen
from tcpecho_trio.server.connection import handle
from tcpecho_trio.server.journal import Journal
from tcpecho_trio.server.lifecycle import Lifecycle, Phase
from tcpecho_trio.server.registry import Registry
from tcpecho_trio.server.settings import RemoteShutdown, Settings

__all__ = [
    "Journal",
    "Lifecycle",
    "Phase",
    "Registry",
    "RemoteShutdown",
    "Settings",
    "serve",
]

PORT_ATTEMPTS = 16
"""How often a free port is looked for: another program may take it before we listen on it
again, or it may be taken on only one of the host's addresses."""


async def serve(
    settings: Settings,
    *,
    lifecycle: Lifecycle,
    registry: Registry,
    journal: Journal,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until the life cycle says stop, then drain and return.

    ``await nursery.start(partial(serve, …))`` returns the listeners once clients can connect.

    Raises:
      CannotListen: the port could not be opened.
    """
    failure: OSError | None = None
    handler = partial(
        handle, settings=settings, lifecycle=lifecycle, registry=registry, journal=journal
    )
    async with trio.open_nursery() as watching:
        async with trio.open_nursery() as connections:
            # The watcher outlives the scope it is given; by then there is nothing to cancel.
            scope = connections.cancel_scope
            watching.start_soon(_cut_when_told, lifecycle, journal, scope)
            async with trio.open_nursery() as accepting:
                try:
                    listeners = await _listen(accepting, connections, handler, settings)
                except OSError as error:
                    failure = error  # raised below, where no nursery wraps it
                else:
                    port = listeners[0].socket.getsockname()[1]
                    journal.listening(f"{settings.host}:{port}")
                    task_status.started(listeners)
                    await lifecycle.wait_draining()
                    journal.draining(lifecycle.reason, len(registry))
                accepting.cancel_scope.cancel()
            connections.cancel_scope.deadline = trio.current_time() + settings.drain_timeout
            for client in registry:
                client.drain()
        watching.cancel_scope.cancel()
    if failure is not None:
        raise CannotListen.because(failure, settings.host, settings.port) from failure
    journal.stopped()
    lifecycle.stop()


async def _listen(
    accepting: trio.Nursery,
    connections: trio.Nursery,
    handler: Callable[[trio.SocketStream], Awaitable[None]],
    settings: Settings,
) -> list[trio.SocketListener]:
    """Start accepting on every address of the host, on one port.

    Raises:
      OSError: from getaddrinfo(3), bind(2) or listen(2).
    """
    for attempts_left in reversed(range(PORT_ATTEMPTS)):
        port = settings.port or await _free_port(settings.host)
        serve_tcp = partial(trio.serve_tcp, handler, port, host=settings.host)
        try:
            listeners: list[trio.SocketListener] = await accepting.start(
                partial(serve_tcp, handler_nursery=connections)
            )
        except OSError as error:
            if settings.port or error.errno != errno.EADDRINUSE or not attempts_left:
                raise
        else:
            return listeners
    raise AssertionError("the last attempt returns or raises")


async def _free_port(host: str) -> int:
    """A port that is free right now: with port 0, each address would get a different one."""
    listeners = await trio.open_tcp_listeners(0, host=host)
    port: int = listeners[0].socket.getsockname()[1]
    for listener in listeners:
        await listener.aclose()
    return port


async def _cut_when_told(lifecycle: Lifecycle, journal: Journal, scope: trio.CancelScope) -> None:
    await lifecycle.wait_cut()
    journal.cutting()
    scope.cancel()
