"""A client as a process: which kind of conversation, and what is behind 0 and 1.

The client's parts know nothing of signals and descriptors; here they are handed to them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence

import click
import trio

from tcpecho_trio.client import Client, open_client
from tcpecho_trio.client.prompt import Conversation
from tcpecho_trio.client.stream import DescriptorSink, Sink, Source, TerminalSink, relay
from tcpecho_trio.dialects import Dialect
from tcpecho_trio.errors import TcpEchoError
from tcpecho_trio.standard_input import LineReader, read_chunk
from tcpecho_trio.texts import Texts


async def run_client(
    host: str, port: int, dialect: Dialect, texts: Texts, *, messages: Sequence[str]
) -> None:
    """Send the messages; without any, talk to the person at the terminal, or be a pipe.

    Raises:
      TcpEchoError: no connection, or it was lost.
      OSError: standard input or output failed.
    """
    async with open_client(host, port, dialect=dialect) as client:
        if messages or not os.isatty(0):
            await _stream(client, messages)
        else:
            _write(texts.client_connected.format(address=f"{host}:{port}") + "\n")
            await _converse(client, texts)


async def _converse(client: Client, texts: Texts) -> None:
    """A person at a terminal; Ctrl-C leaves, a second one at once."""
    conversation = Conversation(
        client, read_line=LineReader(0).read_line, write=_write, texts=texts
    )
    failure: TcpEchoError | None = None

    async def obey_interrupts(arriving: AsyncIterator[int], everything: trio.CancelScope) -> None:
        await anext(arriving)
        conversation.interrupt()
        await anext(arriving)
        everything.cancel()

    with trio.open_signal_receiver(signal.SIGINT) as arriving:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey_interrupts, arriving, nursery.cancel_scope)
            try:
                await conversation.run()
            except TcpEchoError as error:
                failure = error  # raised below, where no nursery wraps it
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _stream(client: Client, messages: Sequence[str]) -> None:
    """The messages, or else standard input, to the server; its replies to standard output."""
    sink: Sink = TerminalSink(_write) if os.isatty(1) else DescriptorSink(1)
    waiting = [f"{message}\n".encode("utf-8", "surrogateescape") for message in messages]

    async def next_message() -> bytes:
        await trio.lowlevel.checkpoint()
        return waiting.pop(0) if waiting else b""

    async def next_chunk() -> bytes:
        return await read_chunk(0)

    source: Source = next_message if messages else next_chunk
    await relay(client, source, sink)


def _write(text: str) -> None:
    """Put text on the screen at once."""
    click.echo(text, nl=False)
