"""What the command ``cluster`` does."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence

import click
import trio

from tcpecho_trio.cli.cluster_table import as_json as written_as_json
from tcpecho_trio.cli.cluster_table import as_table
from tcpecho_trio.cli.clustering import check_tls
from tcpecho_trio.cluster.location import ClusterLocation
from tcpecho_trio.errors import ClusterError, LocalFailure, TcpEchoError
from tcpecho_trio.texts import Texts

try:
    from tcpecho_trio.cluster.control import Control
    from tcpecho_trio.cluster.resp import tls_context
except ModuleNotFoundError as error:
    raise ClusterError("cluster.needs_extra") from error

WATCH = 1.0
"""Seconds between two tables."""

WIDE = 10_000
"""Columns where there is no terminal: a line is never cut."""

CLEAR = "\x1b[H\x1b[J"
"""The cursor to the upper left, and nothing below it (ECMA-48, CUP and ED)."""


async def show_status(
    location: ClusterLocation, texts: Texts, *, as_json: bool, watch: bool
) -> None:
    """Put the servers on standard output, once or again and again until Ctrl-C.

    Raises:
      ClusterError, TooSlow: Redis is of no use; while watching, only at first.
      LocalFailure: standard output cannot be written.
    """
    control = _control(location)
    await _show(control, location, texts, as_json=as_json, clear=False)
    if not watch:
        return
    at_terminal = os.isatty(sys.stdout.fileno()) and not as_json
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, control, location, texts, as_json, at_terminal)
            async for _ in interrupts:
                nursery.cancel_scope.cancel()
                break


async def _watch(
    control: Control, location: ClusterLocation, texts: Texts, as_json: bool, clear: bool
) -> None:
    while True:
        await trio.sleep(WATCH)
        try:
            await _show(control, location, texts, as_json=as_json, clear=clear)
        except LocalFailure:
            raise
        except TcpEchoError as error:  # Redis; it may come back
            click.echo(texts.error.format(message=error.localized(texts)), err=True)


async def _show(
    control: Control, location: ClusterLocation, texts: Texts, *, as_json: bool, clear: bool
) -> None:
    reading = await control.read()
    if as_json:
        _say(written_as_json(reading, str(location)))
        return
    terminal = os.isatty(sys.stdout.fileno())
    width = shutil.get_terminal_size().columns if terminal else WIDE
    lines = as_table(reading, str(location), texts, width)
    _say((CLEAR if clear else "") + "\n".join(lines))


async def drain_servers(
    location: ClusterLocation, texts: Texts, names: Sequence[str], allowed: float
) -> None:
    """Have servers end, all at the same time, within so many seconds.

    Raises:
      NoSuchServer, ClusterError, TooSlow: see :class:`~tcpecho_trio.cluster.control.Control`.
      LocalFailure: standard output cannot be written.
    """
    control = _control(location)
    chosen = await control.choose(names)
    began = trio.current_time()
    for record in chosen:
        await control.order(record, "drain")
        _say(texts.cluster.draining.format(name=record.name))
    for record in chosen:
        left = max(0.001, allowed - (trio.current_time() - began))
        await control.wait_gone(record, left)
        seconds = trio.current_time() - began
        _say(texts.cluster.gone.format(name=record.name, seconds=seconds))


async def restart_servers(
    location: ClusterLocation, texts: Texts, names: Sequence[str], allowed: float
) -> None:
    """Restart servers, one at a time; stop at the first that is not ready in so many seconds.

    Raises:
      NoSuchServer, ClusterError, TooSlow: see :class:`~tcpecho_trio.cluster.control.Control`.
      LocalFailure: standard output cannot be written.
    """
    control = _control(location)
    chosen = await control.choose(names)
    for place, record in enumerate(chosen):
        known = (await control.read()).records
        began = trio.current_time()
        _say(texts.cluster.restarting.format(name=record.name))
        await control.order(record, "restart")
        await control.wait_ready(record, known, chosen[place + 1 :], allowed)
        seconds = trio.current_time() - began
        _say(texts.cluster.ready.format(name=record.name, seconds=seconds))


def _control(location: ClusterLocation) -> Control:
    check_tls(location, tls_context)
    return Control(location)


def _say(text: str) -> None:
    """Put lines on standard output.

    Raises:
      BrokenPipeError: whoever read it has left.
      LocalFailure: it cannot be written.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LocalFailure.because(error) from error
