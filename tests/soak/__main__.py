"""``python -m tests.soak [--seconds N] [--seed S]``: exit code 0 if nothing was lost."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import signal
import socket
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import trio

from tests.soak.client import difference, play, secured
from tests.soak.fault_proxy import FaultProxy
from tests.soak.plans import over_tls, plan
from tests.soak.report import Life, Tally, report
from tests.soak.server import IN_TIME, Server
from tests.support.certificates import Certificates

SECONDS = 600.0
AT_A_TIME = 64
"""Clients at a time: as many as one load process keeps busy on the processor it has."""
WARM_UP = 0.25
"""Of the time; then allocators have seen every kind of client many times over."""
NEWS_EVERY = 30.0
"""Seconds between two signs of life of a long run."""
STAYING = 10
"""Clients of each server that are still there when it is told to end, and have just sent …"""
STAYING_BYTES = 160_000
"""… so much, of which a part still waits in the sockets: all of it is due, drain or not."""
SOURCES = 200
"""Addresses that clients come from: ports in TIME_WAIT (tcp(7)) must not run out in one."""


class Soak:
    """One run: its servers, what stands before them, and what came of it."""

    def __init__(self, seed: int, linger: float | None = None) -> None:
        self.seed = seed
        self.linger = linger
        self.tally = Tally()
        self.lives: list[Life] = []
        self._proxies: list[FaultProxy] = []
        self._at_a_time = 0

    async def run(self, seconds: float, at_a_time: int, only: int | None) -> bool:
        """Play clients for so long, or `only` this one; print the report; say if all was well."""
        with tempfile.TemporaryDirectory() as folder:
            certificates = Certificates(Path(folder))
            return await self._run(certificates, seconds, at_a_time, only)

    async def _run(
        self, certificates: Certificates, seconds: float, at_a_time: int, only: int | None
    ) -> bool:
        files, context = certificates.files, certificates.client()
        tls = ("--tls-cert", files.certificate, "--tls-key", files.key)
        async with trio.open_nursery() as nursery:
            for server in (
                Server("pump", linger=self.linger),
                Server("portable", "--portable", linger=self.linger),
                Server("pump, TLS", *tls, linger=self.linger, context=context),
                Server("portable, TLS", *tls, "--portable", linger=self.linger, context=context),
            ):
                await nursery.start(server.serve)
                self.lives.append(Life(server, server.held()))
                self._proxies.append(FaultProxy(("127.0.0.1", server.port)))
                await nursery.start(self._proxies[-1].serve)
            began = trio.current_time()
            if only is None:
                await self._load(seconds, at_a_time)
            else:
                for which in range(len(self.lives)):
                    await self._live(only, which)
            took = trio.current_time() - began
            async with trio.open_nursery() as ending:
                for life in self.lives:
                    ending.start_soon(self._end, life)
            nursery.cancel_scope.cancel()
        faults = sum((proxy.happened for proxy in self._proxies), Counter[str]())
        text, well = report(self.tally, self.lives, faults, seed=self.seed, seconds=took)
        print(text)
        return well

    async def _load(self, seconds: float, at_a_time: int) -> None:
        """Keep so many clients going for so long, and let the last ones finish."""
        until = trio.current_time() + seconds
        numbers = itertools.count()

        async def one_after_the_other() -> None:
            while trio.current_time() < until:
                number = next(numbers)
                await self._live(number, number % len(self.lives))

        async with trio.open_nursery() as watching:
            watching.start_soon(self._watch, seconds)
            async with trio.open_nursery() as clients:
                for _ in range(at_a_time):
                    clients.start_soon(one_after_the_other)
            watching.cancel_scope.cancel()

    async def _live(self, number: int, which: int) -> None:
        """One client's life at one of the servers."""
        server, decided = self.lives[which].server, plan(self.seed, number)
        if server.context is not None:
            secret = over_tls(decided)
            if secret is None:
                await trio.lowlevel.checkpoint()
                return
            decided = secret
        source = f"127.0.0.{2 + number % SOURCES}"
        self._at_a_time += 1
        self.tally.most_at_a_time = max(self.tally.most_at_a_time, self._at_a_time)
        connect = partial(self._proxies[which].open, source=source)
        compared, wrong = await play(decided, connect, server.context)
        self._at_a_time -= 1
        self.tally.add(decided, server.name, compared, wrong)

    async def _watch(self, seconds: float) -> None:
        """See what the servers hold once they are warm; tell now and then how it goes."""
        await trio.sleep(seconds * WARM_UP)  # a soak lasts as long as it is told
        for life in self.lives:
            life.warm = life.server.held()
        while True:
            await trio.sleep(NEWS_EVERY)  # the pace of its news
            tally = self.tally
            print(f"… {tally.connections:,} connections, {len(tally.losses)} losses", flush=True)

    async def _end(self, life: Life) -> None:
        """See what a server still holds when everybody has left; then tell it to end while
        clients are there that have just said much.
        """
        server = life.server
        life.settled = await server.settle(life.fresh)
        try:
            async with contextlib.AsyncExitStack() as open_streams:
                staying = {}
                for number in range(STAYING):
                    stream = await open_streams.enter_async_context(
                        await secured(await _narrow_stream(server.port), server.context)
                    )
                    staying[stream] = b"stays%d\n" % number
                    await stream.send_all(staying[stream])
                    await stream.receive_some()
                for stream, line in staying.items():
                    await stream.send_all(line * (STAYING_BYTES // len(line)))
                server.process.send_signal(signal.SIGTERM)
                began = trio.current_time()
                for stream, line in staying.items():
                    due = line.upper() * (STAYING_BYTES // len(line))
                    heard = b"".join([bytes(data) async for data in stream])
                    await stream.aclose()
                    self.tally.compared += len(heard)
                    if heard != due:
                        wrong = difference(0, due, heard)
                        self.tally.losses.append(f"drain ({server.name}): {wrong}")
        except (OSError, trio.BrokenResourceError) as error:
            self.tally.losses.append(f"drain ({server.name}): {error!r}")
        else:
            with trio.move_on_after(IN_TIME):
                life.exit_code = await server.process.wait()
            life.drain_seconds = trio.current_time() - began


async def _narrow_stream(port: int) -> trio.SocketStream:
    """A connection that takes in little and sends much ahead (socket(7)): replies that nobody
    reads soon keep the server from reading the rest, and yet all is sent.
    """
    narrow = trio.socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * STAYING_BYTES)
    await narrow.connect(("127.0.0.1", port))
    return trio.SocketStream(narrow)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, help="repeat the decisions of a run; else a new one")
    parser.add_argument("--at-a-time", type=int, default=AT_A_TIME, help="clients (%(default)s)")
    parser.add_argument("--client", type=int, help="only this client of the seed, on each server")
    parser.add_argument("--linger", type=float, help="of a lingering close, on a busy machine")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    soak = Soak(seed, options.linger)
    well = trio.run(soak.run, options.seconds, options.at_a_time, options.client)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
