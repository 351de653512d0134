"""A server inside a test with its administrator's endpoint beside it, and programs in threads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import trio

from tcpecho_trio.admin.endpoint import AdminEndpoint
from tcpecho_trio.admin.local import Local
from tcpecho_trio.admin.service import Admin
from tcpecho_trio.admin.state import ServerState
from tcpecho_trio.server import Events, Journal, Lifecycle, Registry, Settings, serve
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.faults import FaultSampler
from tcpecho_trio.server.tls import Tls
from tests.support import running
from tests.support.running import Told, until

Result = TypeVar("Result")


@dataclass
class Administered:
    """A server in this process and its endpoint."""

    port: int
    where: int | str
    state: ServerState
    admin: Admin
    told: Told
    nursery: trio.Nursery

    @property
    def lifecycle(self) -> Lifecycle:
        return self.state.lifecycle

    @property
    def registry(self) -> Registry:
        return self.state.registry

    async def play(self, program: Callable[..., Result], *arguments: object) -> Result:
        """Run a program that blocks in a thread; the endpoint is its first argument."""
        return await trio.to_thread.run_sync(program, self.where, *arguments)


@asynccontextmanager
async def administered(
    settings: Settings | None = None,
    *,
    url: str = "http://127.0.0.1:0",
    token: str | None = None,
    tls: Tls | None = None,
    started: bool = True,
) -> AsyncGenerator[Administered, None]:
    """Both on free ports; at the end the server is drained, and both must end by themselves.

    Without `started` the server itself is left out: it is just starting.
    """
    settings = replace(settings or Settings(), host="127.0.0.1", port=0, pump=running.PUMP)
    if tls is not None and not settings.listen:
        settings = replace(settings, listen=(Endpoint(Scheme.TLS, "127.0.0.1", 0),))
    told, events = Told(), Events()
    Journal(told, messages=False).listen_to(events)
    faults = FaultSampler(settings.faults, settings.fault_seed)
    state = ServerState(settings, Lifecycle(), Registry(), events, faults)
    local = Local(state)
    admin = Admin(AdminEndpoint.parse(url), local, token=token, tls=tls)
    async with trio.open_nursery() as nursery:
        name = await nursery.start(admin.run)
        where = name.removeprefix("unix://") if "unix" in name else int(name.rpartition(":")[2])
        nursery.start_soon(_finish, admin, state.lifecycle)
        port = 0
        if started:
            server = partial(
                serve,
                settings,
                lifecycle=state.lifecycle,
                registry=state.registry,
                events=events,
                tls=tls,
                also=local.conversations,
                faults=faults,
            )
            serving = await nursery.start(server)
            address = serving[0].socket.getsockname()
            port = address[1] if isinstance(address, tuple) else 0
        yield Administered(port, where, state, admin, told, nursery)
        if started:
            state.lifecycle.drain()
            await state.lifecycle.wait_stopped()
        await admin.finish()
        nursery.cancel_scope.cancel()
    assert told.named("unraisable") == [], "a bug of the endpoint's"
    assert state.registry.accepted == state.registry.closed


async def _finish(admin: Admin, lifecycle: Lifecycle) -> None:
    await lifecycle.wait_stopped()
    await admin.finish()


__all__ = ["Administered", "administered", "until"]
