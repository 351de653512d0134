"""A server as a process: signals, standard input and output around :func:`serve`.

The server knows nothing of any of these; here they are handed to it as arguments.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial

import click
import trio

from tcpecho_trio.errors import TcpEchoError
from tcpecho_trio.server import Journal, Lifecycle, Registry, Settings, serve
from tcpecho_trio.server.console import Console
from tcpecho_trio.server.journal import console_teller, json_teller
from tcpecho_trio.server.outlet import Outlet
from tcpecho_trio.texts import Texts

STOPPING = (signal.SIGINT, signal.SIGTERM)


async def run_server(
    settings: Settings, texts: Texts, *, as_json: bool, messages: bool, console: bool
) -> None:
    """Run a server with its journal, its signals and its console around it.

    Args:
      settings: the server's.
      texts: the language of the console.
      as_json: the journal is one JSON object a line.
      messages: each message and reply is told.
      console: words are read from standard input.

    Raises:
      CannotListen: the port could not be opened.
    """
    lifecycle, registry = Lifecycle(), Registry()
    outlet = Outlet(
        fd=1,
        lost=lambda count: texts.lines_lost.format(count=count),
        encoding=sys.stdout.encoding or "utf-8",
    )
    teller = json_teller(outlet.put) if as_json else console_teller(outlet.put, texts)
    journal = Journal(teller, texts, messages=messages)

    async def obey_signals(arriving: AsyncIterator[int]) -> None:
        async for number in arriving:
            lifecycle.signal(texts.drain_signal.format(name=signal.Signals(number).name))

    async def obey_console() -> None:
        # With a JSON journal, answers to a person would be in the way of its reader.
        say = write_error if as_json else outlet.put
        words = Console(fd=0, say=say, texts=texts, lifecycle=lifecycle, registry=registry)
        await words.run(greet=os.isatty(0))

    # From here on the process ends by itself: a signal that comes when nobody reads the
    # receiver any more is raised again as it closes, and must then find nothing to kill.
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    failure: TcpEchoError | None = None
    with trio.open_signal_receiver(*STOPPING) as arriving:
        async with trio.open_nursery() as surroundings:
            surroundings.start_soon(outlet.run)
            surroundings.start_soon(obey_signals, arriving)
            try:
                await surroundings.start(
                    partial(
                        serve, settings, lifecycle=lifecycle, registry=registry, journal=journal
                    )
                )
            except TcpEchoError as error:
                failure = error  # raised below, where no nursery wraps it
            else:
                if console:
                    surroundings.start_soon(obey_console)
                await lifecycle.wait_stopped()
            await outlet.flush()
            surroundings.cancel_scope.cancel()
    if failure is not None:
        raise failure


def write_error(line: str) -> None:
    """Put a line on standard error."""
    click.echo(line, err=True)
