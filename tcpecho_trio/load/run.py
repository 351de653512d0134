"""A load from its beginning to its end: who is loaded, may that be, and what came of it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

import trio

from tcpecho_trio.client.connect import Target
from tcpecho_trio.errors import CannotConnect, CannotRead, LoadRefused
from tcpecho_trio.load.connecting import Address, unreachable
from tcpecho_trio.load.engine import Engine
from tcpecho_trio.load.plan import Plan
from tcpecho_trio.load.report import Report
from tcpecho_trio.load.settings import LoadSettings
from tcpecho_trio.load.timeline import Row
from tcpecho_trio.nurseries import open_nursery


class Load:
    """A load that is running.

    Args:
      plan: what it does.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._finished = trio.Event()
        self._reports: list[Report] = []

    @property
    def plan(self) -> Plan:
        """What it does, and what it has counted so far."""
        return self._plan

    def stop(self) -> None:
        """End it early: replies that are under way are still waited for, a second at most."""
        self._plan.interrupt(time.perf_counter_ns())

    async def report(self) -> Report:
        """Wait for its end; what came of it."""
        await self._finished.wait()
        return self._reports[0]

    def _finish(self, report: Report) -> None:
        self._reports.append(report)
        self._finished.set()


@asynccontextmanager
async def open_load(
    settings: LoadSettings,
    *,
    shared: bool = True,
    on_row: Callable[[Row], None] | None = None,
) -> AsyncGenerator[Load, None]:
    """Run a load beside the block; leaving the block ends it.

    Args:
      settings: what it is made of.
      shared: whether other tasks of this Trio program have work to do, too: the server that is
        loaded, for example. Without it the load takes the loop for itself, a 50th of a second at
        a time, and is more exact.
      on_row: called with each new row of the timeline.

    Raises:
      LoadRefused: this address may not be loaded.
      CannotRead: a certificate or key cannot be used.
      CannotConnect: nobody answers there, or not over TLS as it was asked for.
      ServerFull: the server has no room for us.
      TooSlow: no connection came about within the timeout.
    """
    addresses = await find(settings.target)
    if (settings.connections > 1 or settings.churn) and not settings.anywhere:
        check_private(addresses, settings.target.name)
    context = _context(settings.target)
    plan = Plan(settings, time.process_time)
    plan.record.on_row = on_row
    load = Load(plan)
    engine = Engine(plan, settings.target, addresses, context, shared=shared)

    async def run() -> None:
        began = time.time()
        await engine.run()
        load._finish(Report.of(plan, settings.target.name, began=began))

    async with open_nursery(Exception) as nursery:
        nursery.start_soon(run)
        yield load
        nursery.cancel_scope.cancel()


async def run_load(
    settings: LoadSettings,
    *,
    shared: bool = True,
    on_row: Callable[[Row], None] | None = None,
) -> Report:
    """Run a load to its end; what came of it. See :func:`open_load`."""
    async with open_load(settings, shared=shared, on_row=on_row) as load:
        return await load.report()


async def find(target: Target) -> list[Address]:
    """The addresses of a server.

    Raises:
      CannotConnect: it has none.
    """
    if target.path:
        if not hasattr(socket, "AF_UNIX"):
            error = OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            raise CannotConnect.because(error, target.host, target.port, target.path)
        return [(socket.AF_UNIX, target.path)]
    try:
        found = await trio.socket.getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM, family=socket.AF_UNSPEC
        )
    except (OSError, UnicodeError) as error:
        raise unreachable(error, target) from error
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


def check_private(addresses: list[Address], name: str) -> None:
    """Many connections belong to one's own machines only.

    Raises:
      LoadRefused: an address is public.
    """
    for family, where in addresses:
        if family in (socket.AF_INET, socket.AF_INET6):
            address = ip_address(str(where[0]).partition("%")[0])
            address = getattr(address, "ipv4_mapped", None) or address
            if not (address.is_private or address.is_loopback or address.is_link_local):
                raise LoadRefused("load.public", address=name)


def _context(target: Target) -> ssl.SSLContext | None:
    if target.tls is None:
        return None
    try:
        return target.tls.context()
    except OSError as error:
        raise CannotRead.because(error, target.tls.files()) from error


def room_for(connections: int) -> None:
    """Raise the limit of descriptors as far as allowed (getrlimit(2)).

    Raises:
      LoadRefused: that is not enough.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        raise LoadRefused("load.descriptors", connections=connections, needed=needed, limit=soft)


SPARE = 64
"""Descriptors for everything but connections: standard streams, pollers, libraries, reports."""
