"""What a client does, step by step, and what it has to be told."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import trio
from hypothesis import strategies as st

from tcpecho_trio.dialects import ADMIN, SALUTATION, STANDARD, Action, Dialect
from tcpecho_trio.protocol import Foreign, Request
from tcpecho_trio.server.conversation import QUIET_PERIOD
from tcpecho_trio.tls.stream import TlsStream
from tests.support.certificates import HOST
from tests.support.naive_model import NaiveModel
from tests.support.protocol_inputs import chunks, lines_together, openings, unframed_messages, words
from tests.support.running import Running

RESET = struct.pack("ii", 1, 0)
STALL = (b"a line for a reader that stalls " * 800 + b"\n") * 40
"""A megabyte: more than the sockets between an idle reader and the server hold."""

Secure = Callable[[trio.SocketStream], "CutTls"]
"""Puts TLS on a connection."""

Step = tuple[Literal["send"], bytes] | tuple[Literal["pause", "stall"], None]
End = Literal["half-close", "reset", "drain"]


@dataclass
class Schedule:
    """What one client does, step by step."""

    dialect: Dialect
    steps: list[Step]
    end: End


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Framed from the first line on; or unframed, and then each message has its pause."""
    dialect = draw(st.sampled_from([STANDARD, SALUTATION, ADMIN]))
    steps: list[Step] = []
    if draw(st.booleans()):
        steps.append(("send", b"hola\n"))
        one: st.SearchStrategy[Any] = st.one_of(
            st.tuples(st.just("send"), st.one_of(chunks, lines_together).filter(bool)),
            st.sampled_from([("pause", None), ("stall", None)]),
        )
        steps += draw(st.lists(one, max_size=6))
    else:
        for message in draw(st.lists(st.one_of(words, openings, unframed_messages), max_size=3)):
            steps += [("send", message), ("pause", None)]
    return Schedule(dialect, steps, draw(st.sampled_from(["half-close", "reset", "drain"])))


def expected(schedule: Schedule) -> tuple[bytes, bool]:
    """Everything the client is told when nothing is lost, and whether it is cut after that."""
    model = NaiveModel(schedule.dialect)
    cut = schedule.end == "reset"
    for kind, data in schedule.steps:
        if kind == "send":
            assert data is not None
            model.data(data)
        elif kind == "stall":
            model.data(b"\n")  # then, whole lines of no dialect's words, too many for the model
            if not model.finished:
                model.outputs.append(STALL.upper())
            # After a word that ends it so much is more than a lingering close discards.
            cut = cut or any(
                isinstance(output, Request) and output.command.leaves for output in model.outputs
            )
        else:
            model.quiet()
    said = len(model.outputs)
    model.eof()
    told = schedule.dialect.greeting.encode()
    for place, output in enumerate(model.outputs):
        if isinstance(output, bytes):
            told += output
            continue
        if isinstance(output, Foreign):
            return told, True
        terminator = output.terminator
        text = output.command.text.encode()
        if output.command.action is Action.LIST:
            text += (terminator or b"\n") + b"PEER"
        # A word that only the client's own end of input decides gets no farewell.
        if place < said or schedule.end == "drain" or not output.command.leaves:
            told += text + terminator
        if output.command.leaves:
            break
    return told, cut


async def play(server: Running, schedule: Schedule, secure: Secure | None = None) -> bytes:
    """The client's side of the schedule; what it was told.

    Args:
      server: whom it talks to.
      schedule: what it does.
      secure: puts TLS on the connection.
    """
    received = bytearray()
    reading = trio.Event()
    reading.set()
    below = await server.connect()
    stream: trio.abc.HalfCloseableStream = below
    if secure is not None:
        stream = tls = secure(below)
        await tls.do_handshake()
    peer = "{}:{}".format(*below.socket.getsockname()).encode()

    async def read() -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await reading.wait()
                data = await stream.receive_some(8192)
                if not data:
                    return
                received.extend(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        with contextlib.suppress(trio.BrokenResourceError):
            for kind, data in schedule.steps:
                if kind == "send":
                    assert data is not None
                    await stream.send_all(data)
                elif kind == "stall":
                    reading = trio.Event()  # the reader stops at its next look
                    nursery.start_soon(stall_over, reading)
                    await stream.send_all(b"\n" + STALL)
                else:
                    await trio.sleep(QUIET_PERIOD * 1.6)  # a client that pauses
            if schedule.end == "half-close":
                await stream.send_eof()
            elif schedule.end == "drain":
                server.lifecycle.drain()
        if schedule.end == "reset":
            below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            nursery.cancel_scope.cancel()
    await stream.aclose()
    return bytes(received).replace(peer, b"PEER")


async def stall_over(reading: trio.Event) -> None:
    """The reader that stalled goes on after a while."""
    await trio.sleep(0.02)  # so long the client stalls
    reading.set()


class CutTls(TlsStream):
    """A client's TLS that cuts lines into any records, and records into any segments."""

    def __init__(self, below: trio.SocketStream, context: ssl.SSLContext, random: Random) -> None:
        super().__init__(below, context, name=HOST)
        self._random = random
        self._lines = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        # One send of an unframed client is one message, and one record.
        self._lines = self._lines or b"\n" in bytes(data)
        left = bytes(data)
        while left:
            size = self._cut(len(left)) if self._lines else len(left)
            self.encrypt(left[:size])
            left = left[size:]
        records = self.outgoing.read()
        while records:
            size = self._cut(len(records))
            await self.below.send_all(records[:size])
            records = records[size:]

    async def send_eof(self) -> None:
        if self._random.random() < 0.5:
            await super().send_eof()
        else:
            await self.below.send_eof()  # without a close_notify

    def _cut(self, size: int) -> int:
        return min(size, self._random.choice([1, 7, 40, 3000, 16384, 40_000, size]) + size // 100)
