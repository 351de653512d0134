"""A client as a process: which kind of conversation, and what is behind 0 and 1.

The client's parts know nothing of signals and descriptors; here they are handed to them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence

import click
import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.client import Client, open_client
from tcpecho_trio.client.prompt import Conversation
from tcpecho_trio.client.stream import DescriptorSink, Sink, TerminalSink, relay
from tcpecho_trio.dialects import Dialect
from tcpecho_trio.errors import LocalFailure, TcpEchoError
from tcpecho_trio.standard_input import Input, LineReader
from tcpecho_trio.texts import Texts


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

    async def obey_interrupts(
        arriving: AsyncIterator[int], conversation: Conversation, everything: trio.CancelScope
    ) -> None:
        nonlocal failure
        await anext(arriving)
        conversation.interrupt()
        await anext(arriving)
        failure = TcpEchoError("client_interrupted")
        everything.cancel()

    with Input(0) as typed, trio.open_signal_receiver(signal.SIGINT) as arriving:
        lines = LineReader(typed)
        conversation = Conversation(client, read_line=lines.read_line, write=_write, texts=texts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey_interrupts, arriving, conversation, nursery.cancel_scope)
            try:
                await conversation.run()
            except (TcpEchoError, OSError) as error:
                failure = error  # raised below, where no nursery wraps it
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _standard_output() -> Sink:
    """Byte for byte into a file or a pipe; readable and harmless on a terminal."""
    return TerminalSink(_write) if os.isatty(1) else DescriptorSink(1)


def _write(text: str) -> None:
    """Put text on the screen at once."""
    click.echo(text, nl=False)
