"""How often the client lets other tasks run: in each call, and no oftener than it needs."""

from __future__ import annotations

import trio
from trio.testing import assert_checkpoints

from tcpecho_trio.client import Client
from tcpecho_trio.client.connection import RECEIVE_SIZE
from tcpecho_trio.client.stream import TerminalSink
from tcpecho_trio.dialects import STANDARD
from tests.support.steps import counted_steps


class Flood:
    """A connection that has a hundred lines for each message."""

    async def send_all(self, _: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, size: int) -> bytes:
        assert size == RECEIVE_SIZE
        await trio.lowlevel.checkpoint()
        return b"UNO\n" + b"DOS\n" * 99


async def test_each_line_of_a_flood_lets_other_tasks_run_once() -> None:
    client = Client(Flood(), STANDARD, "double:1")  # type: ignore[arg-type]
    await client.send_message("hola")  # from now on what comes is no greeting
    with counted_steps() as steps:
        assert await client.receive_line() == "UNO"  # received
        for _ in range(99):
            with assert_checkpoints():
                assert await client.receive_line() == "DOS"  # it was here already
    assert steps.count == 100


async def test_who_is_cancelled_takes_no_line_and_loses_none() -> None:
    client = Client(Flood(), STANDARD, "double:1")  # type: ignore[arg-type]
    await client.send_message("hola")
    assert await client.receive_line() == "UNO"
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.receive_line()
    assert scope.cancelled_caught
    assert [await client.receive_line() for _ in range(100)] == ["DOS"] * 99 + ["UNO"]


async def test_each_piece_that_a_terminal_is_shown_lets_other_tasks_run() -> None:
    sink = TerminalSink(list[str]().append)
    for piece in (b"HOLA\n", b"sin fin", b""):
        with assert_checkpoints():
            await sink(piece)
