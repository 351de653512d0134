"""A server that sends lines faster than anybody could read holds nobody at the prompt."""

from __future__ import annotations

import re
import signal
import socket
import time
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.client import Client
from tcpecho_trio.client.flood import LINES_A_SECOND, LINES_AT_ONCE, LineAllowance
from tcpecho_trio.client.prompt import Conversation
from tcpecho_trio.client.terminal import PlainTerminal
from tcpecho_trio.dialects import STANDARD
from tcpecho_trio.errors import ServerLeft
from tcpecho_trio.texts import ENGLISH
from tests.support.old_servers import double
from tests.support.screens import CTRL_C, Screen, client_screen

MORE = re.compile(r"… y [\d\s]+ líneas más")


def flood(peer: socket.socket) -> None:
    """Lines, as fast as they are read."""
    while True:
        peer.sendall(b"spam\n" * 20_000)


def is_flooded(screen: Screen) -> None:
    """Wait until some lines were not shown."""
    while not MORE.search(screen.raw):
        screen._read()


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])  # type: ignore[index]


@pytest.fixture(params=["editor", "plain"])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setenv("TERM", "dumb")


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("way", ["Ctrl-C twice", "SIGTERM"])
def test_a_flooded_prompt_is_left_within_a_second(way: str) -> None:
    with double(flood) as port, client_screen(port) as screen:
        is_flooded(screen)
        begun = time.monotonic()
        if way == "SIGTERM":
            screen.child.kill(signal.SIGTERM)
        else:
            screen.press(CTRL_C)
            screen.see_somewhere("Solicitando desconexión del servidor...")
            begun = time.monotonic()
            screen.press(CTRL_C)
        assert screen.end() == 1
        # The promise is a second; the rest is for a machine that is busy with other tests.
        assert time.monotonic() - begun < 15
        assert screen.lines[-1].endswith("Error: Interrumpido.")


@pytest.mark.usefixtures("terminal")
def test_a_flood_fills_neither_the_screen_nor_the_memory() -> None:
    with double(flood) as port, client_screen(port) as screen:
        is_flooded(screen)
        assert screen.child.pid is not None
        before = peak_memory(screen.child.pid)
        while len(MORE.findall(screen.raw)) < 4:
            screen._read()
        assert screen.raw.count("spam") < LINES_AT_ONCE + 6 * LINES_A_SECOND
        # Three seconds of a flood without a bound were some 30 MB.
        assert peak_memory(screen.child.pid) - before < 8_000


async def conversation_over(ours: trio.abc.HalfCloseableStream) -> list[str]:
    """What is shown of a conversation in which nobody types, until the server closes."""
    screen: list[str] = []

    async def read_line() -> str | None:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    client = Client(ours, STANDARD, "double:1")
    conversation = Conversation(client, PlainTerminal(read_line, screen.append), texts=ENGLISH)
    with pytest.raises(ServerLeft):
        await conversation.run()
    return screen


async def test_a_long_list_is_shown_whole(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(b"spam\n" * LINES_AT_ONCE)
    await theirs.send_eof()
    shown = await conversation_over(ours)
    assert "".join(shown).count("spam\n") == LINES_AT_ONCE


async def test_what_was_not_shown_is_counted_in_the_end(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(b"spam\n" * (LINES_AT_ONCE + 1))
    await theirs.send_eof()
    shown = "".join(await conversation_over(ours))
    assert shown.count("spam\n") == LINES_AT_ONCE
    assert shown.endswith("… and 1 more line\n")


async def test_receiving_lines_that_are_there_lets_other_tasks_run() -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1")
    await theirs.send_all(b"line\n" * 1000)
    order: list[str] = []

    async def receive() -> None:
        for _ in range(1000):
            assert await client.receive_line() == "line"
        order.append("received")

    async def other() -> None:
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        order.append("other")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        nursery.start_soon(other)
    assert order == ["other", "received"]


def test_however_long_nothing_came_no_more_is_shown_at_once() -> None:
    allowance = LineAllowance()
    assert allowance.take(1.0)
    taken = [allowance.take(3600.0) for _ in range(2 * LINES_AT_ONCE)]
    assert taken.count(True) == LINES_AT_ONCE
    assert allowance.renew(3601.0) == allowance.skipped + LINES_AT_ONCE
    taken = [allowance.take(3601.0) for _ in range(2 * LINES_AT_ONCE)]
    assert taken.count(True) == LINES_A_SECOND


@given(pauses=st.lists(st.floats(0, 3), max_size=300), burst=st.integers(1, 2000))
def test_never_more_lines_than_anybody_could_read(pauses: list[float], burst: int) -> None:
    allowance = LineAllowance()
    now, shown, counted, renew_at = 100.0, 0, 0, 0.0
    for pause in pauses:
        now += pause
        if renew_at and now >= renew_at:
            counted += allowance.renew(renew_at)
            renew_at = 0.0
        for _ in range(burst):
            if allowance.take(now):
                shown += 1
            elif not renew_at:
                renew_at = now + 1
        assert shown <= LINES_AT_ONCE + (now - 100 + 1) * LINES_A_SECOND
    assert shown + counted + allowance.skipped == burst * len(pauses)
