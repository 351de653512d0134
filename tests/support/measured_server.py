"""A server in a process of its own that tells what it holds.

``python -m tests.support.measured_server``.

From outside a process shows its descriptors, threads and memory, but not its tasks. Each line
on standard input is answered with one line of JSON, as soon as nobody is connected and every
task sleeps, or after a while; the end of standard input drains the server. ``--portable`` does
without the pump.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import trio
import trio.testing

from tcpecho_trio.server import Events, Lifecycle, Registry, Settings, serve
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.events import Event

CUSHION = 0.05
"""Seconds in which nothing may happen before it counts as quiet: connections that were made and
given up may still be in the backlog."""

PATIENCE = 15
"""Seconds for the last clients to be gone; a lingering close takes two."""

PAGE = os.sysconf("SC_PAGE_SIZE")


class WatchedRegistry(Registry):
    """A registry that says when everybody has left."""

    def __init__(self) -> None:
        super().__init__()
        self.emptied = trio.Event()

    def accept(self, endpoint: str) -> int:
        self.emptied = trio.Event()
        return super().accept(endpoint)

    def close(self, number: int, reason: CloseReason) -> None:
        super().close(number, reason)
        if not self.places:
            self.emptied.set()


async def main(*, pump: bool) -> None:
    lifecycle, registry = Lifecycle(), WatchedRegistry()
    happened: Counter[str] = Counter()

    def count(event: Event) -> None:
        happened[event.name] += 1

    events = Events()
    events.subscribe(count)

    async def settle() -> None:
        with trio.move_on_after(PATIENCE):  # whoever is still there then is told of
            await trio.testing.wait_all_tasks_blocked(CUSHION)
            while registry.places:
                await registry.emptied.wait()
                await trio.testing.wait_all_tasks_blocked(CUSHION)

    def measured() -> dict[str, int]:
        gc.collect()
        return {
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "descriptors": len(list(Path("/proc/self/fd").iterdir())),
            "threads": len(list(Path("/proc/self/task").iterdir())),
            "rss": int(Path("/proc/self/statm").read_text().split()[1]) * PAGE,
            "connected": registry.places,
            "accepted": registry.accepted,
            "crashed": happened["crashed"],
        }

    settings = Settings(host="127.0.0.1", port=0, pump=pump)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(serve, settings, lifecycle=lifecycle, registry=registry, events=events)
        )
        print(listener.socket.getsockname()[1], flush=True)  # noqa: T201  what it is for
        async with trio.lowlevel.FdStream(os.dup(0)) as questions:
            async for _ in questions:
                await settle()
                print(json.dumps(measured()), flush=True)  # noqa: T201
        lifecycle.drain()


if __name__ == "__main__":
    trio.run(partial(main, pump="--portable" not in sys.argv))
