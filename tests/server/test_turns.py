"""How much time commands may take: a token bucket, and the slices in which they are obeyed."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.dialects import ADMIN
from tcpecho_trio.server import Events, Lifecycle, Registry, Settings, conversation
from tcpecho_trio.server import turns as turns_module
from tcpecho_trio.server.connection import Connection
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.context import ServerContext
from tcpecho_trio.server.conversation import REPLY_SIZE
from tcpecho_trio.server.portable import OwnTask
from tcpecho_trio.server.turns import Turns


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processor time is the mock clock's: it passes while somebody sleeps."""
    monkeypatch.setattr(turns_module, "perf_counter", trio.current_time)


async def waited(turns: Turns) -> float:
    """Seconds until somebody may obey."""
    start = trio.current_time()
    await turns.wait()
    return trio.current_time() - start


async def test_a_burst_of_two_milliseconds_waits_for_nobody(autojump_clock: MockClock) -> None:
    turns = Turns()
    for _ in range(2):
        with trio.testing.assert_no_checkpoints():
            await turns.wait()
        turns.spent(0.001)
    assert await waited(turns) == pytest.approx(0.0001)


async def test_what_was_spent_is_made_good_at_half_the_time(autojump_clock: MockClock) -> None:
    turns = Turns()
    turns.spent(0.007)
    turns.spent(0.005)
    # Ten milliseconds more than the burst take twenty, and a little so that it is below.
    assert await waited(turns) == pytest.approx(0.0201)
    with trio.testing.assert_no_checkpoints():
        await turns.wait()
    turns.spent(0.001)
    assert await waited(turns) == pytest.approx((0.001 - 0.00005) * 2 + 0.0001)


async def test_what_has_been_made_good_meanwhile_is_not_waited_for(
    autojump_clock: MockClock,
) -> None:
    turns = Turns()
    turns.spent(0.012)
    await trio.sleep(1)  # the mock clock's
    with trio.testing.assert_no_checkpoints():
        await turns.wait()


async def test_time_that_nobody_used_is_not_saved(autojump_clock: MockClock) -> None:
    turns = Turns()
    await trio.sleep(1000)  # the mock clock's
    turns.spent(0.003)
    assert await waited(turns) == pytest.approx(0.0021)
    await trio.sleep(1000)
    turns.spent(0.003)
    assert await waited(turns) == pytest.approx(0.0021)


async def test_who_waits_first_obeys_first_and_nobody_overtakes(autojump_clock: MockClock) -> None:
    turns = Turns()
    order: list[tuple[str, float]] = []
    start = trio.current_time()

    async def obey(name: str) -> None:
        await turns.wait()
        order.append((name, round(trio.current_time() - start, 4)))
        turns.spent(0.01)

    turns.spent(0.012)
    async with trio.open_nursery() as nursery:
        for name in ("first", "second", "third"):
            nursery.start_soon(obey, name)
            await trio.testing.wait_all_tasks_blocked()
    assert [name for name, _ in order] == ["first", "second", "third"]
    assert [time for _, time in order] == pytest.approx([0.0201, 0.0401, 0.0601], abs=0.0003)


async def test_whoever_comes_while_others_wait_stands_behind_them(
    autojump_clock: MockClock,
) -> None:
    turns = Turns()
    order: list[str] = []

    async def obey(name: str) -> None:
        await turns.wait()
        order.append(name)

    turns.spent(0.012)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey, "who waits")
        await trio.testing.wait_all_tasks_blocked()
        turns._debt = 0.0  # as if it were made good, before the one who waits has noticed
        await obey("who comes")
    assert order == ["who waits", "who comes"]


class Noted:
    """Turns that only note what they are told; at the last, sends are noted, too."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    async def wait(self) -> None:
        self.calls.append("wait")
        await trio.lowlevel.checkpoint()

    def spent(self, seconds: float) -> None:
        self.calls.append(seconds)


async def obeyed(
    monkeypatch: pytest.MonkeyPatch,
    *,
    words: int,
    took: float,
    list_size: int = 1,
    asking: float = 0,
) -> list[object]:
    """What is noted while LISTAR is obeyed so many times, each of which takes so long.

    With `asking` the list is never fresh, and to ask the others for theirs takes that long.
    """
    now = 100.0

    class Slow(Registry):
        fresh = not asking

        async def refresh(self) -> None:
            nonlocal now
            now += asking
            turns.calls.append("ask")

        def clients(self) -> list[str]:
            nonlocal now
            now += took
            return ["x" * list_size]

    monkeypatch.setattr(conversation, "perf_counter", lambda: now)
    turns, registry = Noted(), Slow()
    ours, theirs = memory_stream_pair()

    async def send_all(data: bytes) -> None:
        turns.calls.append("send")
        await type(theirs).send_all(theirs, data)

    theirs.send_all = send_all  # type: ignore[method-assign, assignment]
    events = Events()
    context = ServerContext(
        *(Settings(), Lifecycle(), registry, registry, events, OwnTask(events)),
        turns=turns,  # type: ignore[arg-type]
    )
    info = ConnectionInfo(registry.accept("here:1"), "peer:1", "peer:1", "here:1")
    connection = Connection(theirs, info, context, ADMIN, trusted=True)
    await ours.send_all(b"hola\n" + b"LISTAR\n" * words + b"hola\n")
    await ours.send_eof()
    await connection.run()
    assert turns.calls.pop(0) == "send"  # the greeting
    return turns.calls


async def test_after_each_slice_of_a_millisecond_the_next_turn_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    assert await obeyed(monkeypatch, words=7, took=0.0004) == [
        *("wait", pytest.approx(0.0012), "wait", pytest.approx(0.0012)),
        *("wait", pytest.approx(0.0004), "send"),
    ]


async def test_a_slice_ends_when_it_is_over_and_not_at_its_last_moment(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(conversation, "SLICE", 0.25)
    assert await obeyed(monkeypatch, words=4, took=0.125) == ["wait", 0.375, "wait", 0.125, "send"]


async def test_the_time_in_which_a_client_may_not_read_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    calls = await obeyed(monkeypatch, words=3, took=2**-12, list_size=REPLY_SIZE)
    # In pieces of what a TLS record holds, of which the last one is short.
    once = ["wait", 2**-12, *["send"] * math.ceil((REPLY_SIZE + 30) / 16384)]
    assert calls == [*once * 3, "send"]


async def test_the_time_in_which_others_are_asked_for_their_lists_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    calls = await obeyed(monkeypatch, words=2, took=2**-12, asking=0.25)
    assert calls == [*["ask", "wait", 2**-12] * 2, "send"]


async def test_text_needs_no_turn(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    assert await obeyed(monkeypatch, words=0, took=1) == ["send"]
