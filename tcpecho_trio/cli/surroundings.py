"""What surrounds a server in its process: signals, standard streams, what Python and Trio log."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import trio

from tcpecho_trio.server import Events
from tcpecho_trio.server.event_fields import fields_of
from tcpecho_trio.server.events import AcceptFailed, Unraisable
from tcpecho_trio.server.journal import LinesLost
from tcpecho_trio.server.renderers import Put, Renderer
from tcpecho_trio.stdio.log_writer import LogWriter


@contextlib.contextmanager
def signals(*numbers: signal.Signals) -> Iterator[AsyncIterator[int]]:
    """Receive signals; after that ignore them until the process ends.

    At no time has a signal its default action, which would kill the process: the receiver gives a
    handler of ours back as it closes. It raises again what nobody has read, which then finds that
    handler. To block the signals meanwhile (pthread_sigmask(3)) would not do, because another
    thread would take them. Nor would it do to leave the handler there: the interpreter takes it
    away as it ends, and the process lives a little longer.
    """
    early: list[int] = []
    for number in numbers:
        signal.signal(number, lambda number, _: early.append(number))
    receiver = trio.open_signal_receiver(*numbers)
    arriving = receiver.__enter__()
    for came in early:  # before there was a receiver
        signal.raise_signal(came)
    try:
        yield arriving
    finally:
        receiver.__exit__(None, None, None)
        ignore(numbers)


def ignore(numbers: Iterable[signal.Signals]) -> None:
    """Have the signals do nothing from now on."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def log_writer(fd: int, renderer: Callable[[Put], Renderer], encoding: str) -> LogWriter:
    """A log writer to a standard stream, which says in the log's own form what was lost."""

    def lost(count: int) -> str:
        lines: list[str] = []
        event = LinesLost(count)
        renderer(lines.append)(event.name, fields_of(event))
        return lines[0]

    return LogWriter(fd, lost, encoding)


@contextlib.contextmanager
def accept_failures(events: Events) -> Iterator[None]:
    """Publish what Trio logs when it cannot accept (out of descriptors, mostly).

    Trio's own way would be a traceback on stderr, ten times a second.
    """

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            events.publish(AcceptFailed(str(error or record.getMessage())))

    log, handler = logging.getLogger("trio.serve_listeners"), Handler()
    log.addHandler(handler)
    propagate, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


@contextlib.contextmanager
def unraisable(events: Events) -> Iterator[None]:
    """Publish errors in places that can raise none (a callback of OpenSSL's).

    Python's own way is a traceback on stderr, as often as a peer can bring it about, and a write
    that stops the whole loop if nobody reads there.
    """

    def tell(unraisable: sys.UnraisableHookArgs) -> None:
        with contextlib.suppress(RuntimeError):  # in a thread of its own there is no clock
            name = unraisable.exc_type.__name__
            events.publish(Unraisable(f"{name}: {unraisable.exc_value}"))

    before, sys.unraisablehook = sys.unraisablehook, tell
    try:
        yield
    finally:
        sys.unraisablehook = before
