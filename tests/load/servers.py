"""Servers that do as a test tells them, in the test's own process."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio

from tcpecho_trio.load import LoadSettings, Report, Target, run_load

Talk = Callable[[trio.SocketStream, int], Awaitable[object]]
"""Talks with one client: its connection, and its number from 0."""


@asynccontextmanager
async def serving(talk: Talk) -> AsyncGenerator[int, None]:
    """A server on a free port; yields the port."""
    numbers = itertools.count()

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await talk(stream, next(numbers))

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def at(port: int, **options: object) -> LoadSettings:
    """A short load of that port."""
    target = Target(host="127.0.0.1", port=port)
    if "duration" not in options and "messages" not in options and "ramp" not in options:
        options["messages"] = 200
    return LoadSettings(**{"target": target, "timeout": 20.0, **options})  # type: ignore[arg-type]


async def load(port: int, **options: object) -> Report:
    """Run a short load to its end."""
    with trio.fail_after(120):
        return await run_load(at(port, **options))


def adds_up(report: Report) -> bool:
    """Whether each message has ended in one counter."""
    gone = report.errors["wrong"] + report.errors["missing"] + report.cut
    return report.sent == report.replies + gone


async def upper(stream: trio.SocketStream, _: int = 0) -> None:
    """What a good server does."""
    while data := await stream.receive_some(65536):
        await stream.send_all(data.upper())
