"""A client as a process: which kind of conversation, and what is behind 0 and 1.

The client's parts know nothing of signals and descriptors; here they are handed to them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import click
import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.client import Client, open_client
from tcpecho_trio.client.prompt import Conversation
from tcpecho_trio.client.stream import DescriptorSink, Sink, TerminalSink, relay
from tcpecho_trio.client.terminal import PlainTerminal, Terminal
from tcpecho_trio.dialects import Dialect
from tcpecho_trio.errors import LocalFailure, TcpEchoError
from tcpecho_trio.standard_input import Input, LineReader
from tcpecho_trio.texts import Texts

DUMB = ("", "dumb", "unknown")
"""Values of TERM (term(7)) that promise nothing but scrolling; none at all is one of them."""

EXTRA = ("prompt_toolkit", "platformdirs")
"""What the extra ``client`` installs, and the terminal's editor needs."""


async def run_client(
    host: str, port: int, dialect: Dialect, texts: Texts, *, messages: Sequence[str]
) -> None:
    """Send the messages; without any, talk to the person at the terminal, or be a pipe.

    Raises:
      TcpEchoError: no connection, or it was lost; or standard input or output failed.
      BrokenPipeError: whoever read our output has left.
    """
    async with open_client(host, port, dialect=dialect) as client:
        try:
            if messages:
                await _ask(client, messages)
            elif os.isatty(0):
                address = format_address((host, port))
                _write(texts.client_connected.format(address=address) + "\n")
                await _converse(client, texts)
            else:
                with Input(0) as piped:
                    await relay(client, piped.read_chunk, _standard_output())
        except BrokenPipeError:
            raise
        except OSError as error:
            raise LocalFailure.because(error) from error


async def _ask(client: Client, messages: Sequence[str]) -> None:
    """Each message to the server, and its replies to standard output."""
    waiting = [f"{message}\n".encode("utf-8", "surrogateescape") for message in messages]

    async def next_message() -> bytes:
        await trio.lowlevel.checkpoint()
        return waiting.pop(0) if waiting else b""

    await relay(client, next_message, _standard_output())


async def _converse(client: Client, texts: Texts) -> None:
    """A person at a terminal; Ctrl-C leaves, a second one at once."""
    failure: TcpEchoError | OSError | None = None

    async def obey_signals(
        arriving: AsyncIterator[int],
        terminal: Terminal,
        conversation: Conversation,
        everything: trio.CancelScope,
    ) -> None:
        nonlocal failure
        interrupted = False
        async for number in arriving:
            if number == signal.SIGCONT:
                terminal.resume()
            elif number == signal.SIGWINCH:
                terminal.resize()
            elif number == signal.SIGINT and not interrupted:
                interrupted = True
                conversation.interrupt()
            else:
                failure = TcpEchoError("client_interrupted")
                everything.cancel()

    # Not left to the system, which would leave the terminal as the editor has set it. A
    # hang-up that nohup(1) wants to be ignored still is.
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGCONT, signal.SIGWINCH]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    with trio.open_signal_receiver(*signals) as arriving, _terminal(client, texts) as terminal:
        conversation = Conversation(client, terminal, texts=texts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey_signals, arriving, terminal, conversation, nursery.cancel_scope)
            try:
                await conversation.run()
            except (TcpEchoError, OSError) as error:
                failure = error  # raised below, where no nursery wraps it
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


@contextmanager
def _terminal(client: Client, texts: Texts) -> Iterator[Terminal]:
    """The terminal with an editor where that is possible, else as it is."""
    # prompt_toolkit is imported only here: a pipe or -m should not wait for it.
    if os.isatty(1) and os.environ.get("TERM", "") not in DUMB:
        try:
            from tcpecho_trio.client.editor import Editor
            from tcpecho_trio.client.history import FileHistory, history_file
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in EXTRA:
                raise
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


def _standard_output() -> Sink:
    """Byte for byte into a file or a pipe; readable and harmless on a terminal."""
    return TerminalSink(_write) if os.isatty(1) else DescriptorSink(1)


def _write(text: str) -> None:
    """Put text on the screen at once."""
    click.echo(text, nl=False)
