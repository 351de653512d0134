"""A client as a process: which kind of conversation, and what is behind 0 and 1.

The client's parts know nothing of signals and descriptors; here they are handed to them.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click
import trio

from tcpecho_trio.cli.progress import ProgressBar, terminal_columns
from tcpecho_trio.client import Client, ClientTls, Framing, open_client
from tcpecho_trio.client.connect import ProxyVersion
from tcpecho_trio.client.stream import Sink, TerminalSink, relay
from tcpecho_trio.client.terminal import PlainTerminal, Terminal
from tcpecho_trio.dialects import STANDARD, Dialect
from tcpecho_trio.errors import LocalFailure, MessageRefused, TcpEchoError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.stdio.input import Input, LineReader
from tcpecho_trio.stdio.output import Output
from tcpecho_trio.texts import Texts

DUMB = ("", "dumb", "unknown")
"""Values of TERM (term(7)) that promise nothing but scrolling; none at all is one of them."""

EXTRA = ("prompt_toolkit", "platformdirs")
"""What the extra ``client`` installs, and the terminal's editor needs."""

CONTINUED: signal.Signals | None = getattr(signal, "SIGCONT", None)
RESIZED: signal.Signals | None = getattr(signal, "SIGWINCH", None)
HUNG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""Signals that Windows does not have."""


LINE_LIMIT = 16 * 1_048_576
"""Bytes of a line of the input that is one message: it is kept as a whole, and so is its reply."""


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """What the command line says about a client.

    Args:
      host, port, dialect, framing, unix, tls, send_proxy, timeout, connect_retry: as for
        :func:`~tcpecho_trio.client.open_client`.
      messages: to be sent instead of standard input.
      as_json: replies are written as JSON, one object a line.
    """

    host: str = "localhost"
    port: int = 5000
    dialect: Dialect = STANDARD
    framing: Framing = "line"
    unix: str = ""
    tls: ClientTls | None = None
    send_proxy: ProxyVersion | None = None
    timeout: float | None = None
    connect_retry: float = 0.0
    messages: Sequence[str] = ()
    as_json: bool = False


async def run_client(options: ClientOptions, texts: Texts) -> None:
    """Send the messages; without any, talk with the person at the terminal, or be a pipe.

    Raises:
      MessageRefused: one of the messages cannot be sent; then none is.
      TcpEchoError: no connection, or it was lost; or standard input or output failed.
      BrokenPipeError: whoever read our output has left.
    """
    if options.framing == "raw":
        from tcpecho_trio.client.raw import check

        for message in options.messages:
            check(message, options.dialect)

    def on_retry(error: TcpEchoError) -> None:
        address = error.details.get("address", options.unix or options.host)
        waiting = texts.client_retrying.format(address=address, seconds=options.connect_retry)
        click.echo(waiting, err=True)

    async with open_client(
        options.host,
        options.port,
        dialect=options.dialect,
        framing=options.framing,
        unix=options.unix,
        tls=options.tls,
        send_proxy=options.send_proxy,
        timeout=options.timeout,
        connect_retry=options.connect_retry,
        on_retry=on_retry if os.isatty(2) else None,
        on_waiting=lambda: click.echo(texts.client_turn, err=True),
    ) as client:
        try:
            if not options.messages and os.isatty(0) and not options.as_json:
                _write(texts.client_connected.format(address=client.address) + "\n")
                await _converse(client, texts)
            elif options.as_json or options.framing == "raw":
                await _ask_each(client, options, texts)
            else:
                await _relay(client, options, texts)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise LocalFailure.because(error) from error


async def _relay(client: Client, options: ClientOptions, texts: Texts) -> None:
    """Messages or standard input to the server, and what it says to standard output."""
    waiting = [f"{message}\n".encode("utf-8", "surrogateescape") for message in options.messages]

    async def next_message() -> bytes:
        if not waiting:
            return b""  # without a checkpoint: a server that closes now has had everything
        await trio.lowlevel.checkpoint()
        return waiting.pop(0)

    with standard_output() as sink:
        if options.messages:
            await relay(client, next_message, sink, reply_timeout=options.timeout)
            return
        with Input(0) as piped, progress(texts) as moved:

            async def next_chunk() -> bytes:
                data = await piped.read_chunk()
                moved(len(data))
                return data

            await relay(client, next_chunk, sink, reply_timeout=options.timeout)


async def _ask_each(client: Client, options: ClientOptions, texts: Texts) -> None:
    """Each message or line of standard input to the server, one at a time."""
    from tcpecho_trio.client import script

    write = script.as_json if options.as_json else script.as_line
    waiting = list(options.messages)

    async def next_message() -> str | None:
        await trio.lowlevel.checkpoint()
        return waiting.pop(0) if waiting else None

    with standard_output() as sink:

        async def report(result: script.Result) -> None:
            if isinstance(result.error, MessageRefused):
                reason = result.error.localized(texts)
                skipped = texts.client_skipped.format(number=result.number, reason=reason)
                click.echo(skipped, err=True)
            if line := write(result):
                await sink(line)

        if waiting:
            await script.ask_each(client, next_message, report)
        else:
            with Input(0) as piped:
                await script.ask_each(client, _whole_lines(piped), report)


def _whole_lines(piped: Input) -> Callable[[], Awaitable[str | None]]:
    """Reads line after line of the input.

    Raises:
      MessageRefused: when one is longer than :data:`LINE_LIMIT`.
    """
    lines = LineReader(piped, limit=LINE_LIMIT + 1)
    number = 0

    async def next_line() -> str | None:
        nonlocal number
        number += 1
        line = await lines.read_line()
        if line is not None and len(line.encode("utf-8", "surrogateescape")) > LINE_LIMIT:
            raise MessageRefused("line_too_long", number=number, limit=LINE_LIMIT >> 20)
        return line

    return next_line


async def _converse(client: Client, texts: Texts) -> None:
    """A person at a terminal; Ctrl-C leaves, a second one at once."""
    from tcpecho_trio.client.prompt import Conversation

    async def obey_signals(
        arriving: AsyncIterator[int], terminal: Terminal, conversation: Conversation
    ) -> None:
        interrupted = False
        async for number in arriving:
            if number == CONTINUED:
                terminal.resume()
            elif number == RESIZED:
                terminal.resize()
            elif number == signal.SIGINT and not interrupted:
                interrupted = True
                conversation.interrupt()
            else:
                raise TcpEchoError("client_interrupted")

    # Not left to the system, which would leave the terminal as the editor has set it. A
    # hang-up that nohup(1) wants to be ignored still is.
    signals = [signal.SIGINT, signal.SIGTERM]
    signals += [number for number in (CONTINUED, RESIZED) if number is not None]
    if HUNG_UP is not None and signal.getsignal(HUNG_UP) is not signal.SIG_IGN:
        signals.append(HUNG_UP)
    with trio.open_signal_receiver(*signals) as arriving, _terminal(client, texts) as terminal:
        conversation = Conversation(client, terminal, texts=texts)
        async with open_nursery(TcpEchoError, OSError) as nursery:
            nursery.start_soon(obey_signals, arriving, terminal, conversation)
            await conversation.run()
            nursery.cancel_scope.cancel()


@contextmanager
def _terminal(client: Client, texts: Texts) -> Iterator[Terminal]:
    """The terminal with an editor where that is possible, else as it is."""
    # prompt_toolkit is imported only here: a pipe or -m should not wait for it.
    if os.isatty(1) and os.environ.get("TERM", "") not in DUMB:
        try:
            from tcpecho_trio.client.editor import Editor
            from tcpecho_trio.client.history import FileHistory, history_file
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in (*EXTRA, "termios"):
                raise  # only where there is no termios, on Windows, it is no mistake
        else:
            words = [word.decode() for word in client.dialect.words]
            hint = texts.client_hint_words if words else texts.client_hint
            history = FileHistory(history_file())
            with Editor(
                words=words,
                hint=hint.format(words=", ".join(words)),
                history=history,
                write=_write,
            ) as editor:
                yield editor
            return
    with Input(0) as typed:
        yield PlainTerminal(LineReader(typed).read_line, _write)


@contextmanager
def standard_output() -> Iterator[Sink]:
    """Replies to descriptor 1.

    A person sees them line by line, readable and harmless. A file or a pipe gets every byte as
    it is, in blocks as large as they come: nothing is held back, and a reader that is slow gets
    larger ones.
    """
    if sys.__stdout__ is None:  # closed before we began; something else may be behind 1 now
        yield _closed_output
    elif os.isatty(1):
        yield TerminalSink(_write)
    else:
        with Output(1) as output:
            yield output.write


async def _closed_output(data: bytes) -> None:
    """Where there is no standard output, a reply is lost.

    Raises:
      OSError: always, unless there is nothing to write.
    """
    await trio.lowlevel.checkpoint()
    if data:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


@contextmanager
def progress(texts: Texts) -> Iterator[Callable[[int], None]]:
    """A progress bar on the terminal, if a file is sent and nothing else is shown there.

    Yields:
      Takes the number of bytes that have been moved since the last time.
    """
    size = _bytes_left(0)
    shared = os.isatty(1) and os.path.sameopenfile(1, 2)
    if not size or not os.isatty(2) or shared or os.environ.get("TERM", "") in DUMB:
        yield lambda _: None
        return

    def write(text: str) -> None:
        click.echo(text, nl=False, err=True)

    bar = ProgressBar(texts.client_progress, size, write, lambda: terminal_columns(2))
    try:
        yield bar.add
    finally:
        write("\n")


def _bytes_left(fd: int) -> int:
    """How much of a regular file is still to be read; 0 for anything else."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        return 0
    return max(0, found.st_size - os.lseek(fd, 0, os.SEEK_CUR))


def _write(text: str) -> None:
    """Put text on the screen at once."""
    click.echo(text, nl=False)
