"""Faults on demand: how they are written, which clients they hit, what they do to a stream."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.dialects import ADMIN
from tcpecho_trio.server import Settings
from tcpecho_trio.server.faults import Fault, FaultSampler, FaultyStream, Injected, Kind
from tests.support.running import Running, read_all, read_exactly, running_server

SHARES = st.floats(0, 1).map(lambda share: round(share, 6))
FAULTS = st.one_of(
    st.builds(Fault, st.just(Kind.DELAY), st.integers(0, 10**9).map(lambda ms: ms / 1000), SHARES),
    st.builds(Fault, st.just(Kind.DRIP), st.integers(1, 10**12).map(float), SHARES),
    st.builds(Fault, st.just(Kind.STALL), st.just(0.0), SHARES),
    st.builds(
        Fault,
        st.sampled_from([Kind.CLOSE, Kind.RESET]),
        st.integers(0, 10**12).map(float),
        SHARES,
    ),
)


@given(FAULTS)
def test_a_fault_is_read_as_it_is_said(fault: Fault) -> None:
    assert Fault.parse(f"{fault}@{fault.share:f}") == fault


@given(st.one_of(st.text(), st.from_regex(r"[a-z]{4,5}(:[0-9.]+(ms|s)?)?(@[0-9.]+)?")))
def test_whatever_else_is_written_is_read_or_refused(spec: str) -> None:
    with contextlib.suppress(ValueError):
        fault = Fault.parse(spec)
        assert 0 <= fault.share <= 1
        assert 0 <= fault.amount < math.inf


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("delay:200ms@0.1", Fault(Kind.DELAY, 0.2, 0.1)),
        ("delay:1.5s", Fault(Kind.DELAY, 1.5)),
        ("drip:10@0", Fault(Kind.DRIP, 10, 0)),
        ("stall@1", Fault(Kind.STALL)),
        ("close:0", Fault(Kind.CLOSE, 0)),
        ("reset:1234567", Fault(Kind.RESET, 1234567)),
    ],
)
def test_examples(spec: str, fault: Fault) -> None:
    assert Fault.parse(spec) == fault


@pytest.mark.parametrize(
    "spec",
    [
        *("", "nonsense", "delay", "delay:200", "delay:-1s", "drip", "drip:0", "drip:1s"),
        *("stall:1", "stall:1s", "close", "close:1ms", "close:1.5", "reset:0.5", "reset:x"),
        *("stall@", "stall@1.1", "stall@-1", "stall@x", "stall@1.2.3", "stall@.", "stall@nan"),
        *("DELAY:1s", " stall", "stall@1 ", "close:" + "9" * 400, "delay:" + "9" * 400 + "s"),
    ],
)
def test_what_is_no_fault_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Fault.parse(spec)


# Who suffers

HALF = Fault(Kind.STALL, share=0.5)


def drawn(lottery: FaultSampler, fault: Fault, count: int = 64) -> list[bool]:
    return [fault in lottery.draw() for _ in range(count)]


@given(st.integers(), st.lists(FAULTS, max_size=4).map(tuple))
def test_the_same_seed_hits_the_same_connections(seed: int, faults: tuple[Fault, ...]) -> None:
    one, other = FaultSampler(faults, seed), FaultSampler(faults, seed)
    assert [one.draw() for _ in range(20)] == [other.draw() for _ in range(20)]


@given(st.integers(), st.lists(FAULTS.filter(lambda fault: fault != HALF), max_size=4).map(tuple))
def test_whom_a_fault_hits_does_not_depend_on_those_behind_it(
    seed: int, others: tuple[Fault, ...]
) -> None:
    alone, together = FaultSampler((HALF,), seed), FaultSampler((HALF, *others), seed)
    assert drawn(alone, HALF) == drawn(together, HALF)


@given(st.integers(), FAULTS.filter(lambda fault: fault != HALF), FAULTS)
def test_whom_a_fault_hits_does_not_depend_on_what_those_before_it_are(
    seed: int, one: Fault, other: Fault
) -> None:
    after_one, after_other = FaultSampler((one, HALF), seed), FaultSampler((other, HALF), seed)
    if other != HALF:
        assert drawn(after_one, HALF) == drawn(after_other, HALF)


@given(st.integers())
def test_a_share_of_1_hits_everybody_and_one_of_0_nobody(seed: int) -> None:
    always, never = Fault(Kind.STALL), Fault(Kind.DRIP, 1, 0)
    lottery = FaultSampler((always, never), seed)
    assert all(lottery.draw() == (always,) for _ in range(20))


def test_faults_draw_apart_and_seeds_differ() -> None:
    twin = Fault(Kind.CLOSE, 0, 0.5)
    lottery = FaultSampler((HALF, twin), 1)
    draws = [lottery.draw() for _ in range(64)]
    assert [HALF in draw for draw in draws] != [twin in draw for draw in draws]
    assert drawn(FaultSampler((HALF,), 1), HALF) != drawn(FaultSampler((HALF,), 2), HALF)
    assert drawn(FaultSampler((HALF,), None), HALF) != drawn(FaultSampler((HALF,), None), HALF)
    assert 16 < sum(drawn(FaultSampler((HALF,), 3), HALF)) < 48


# What it does to a stream


def on_a_mock_clock(body: Callable[[], Awaitable[None]]) -> None:
    trio.run(body, clock=MockClock(autojump_threshold=0))


async def heard(faults: tuple[Fault, ...], sends: list[bytes]) -> tuple[bytes, bool | None, float]:
    """What arrives, how a fault ended it, and how long that took."""
    ours, theirs = memory_stream_pair()
    stream, start, end = FaultyStream(theirs, faults, math.inf), trio.current_time(), None
    try:
        for data in sends:
            await stream.send_all(data)
    except Injected as injected:
        end = injected.reset
    took = trio.current_time() - start
    await stream.send_eof()
    return await read_all(ours), end, took


SENDS = st.lists(st.binary(min_size=1, max_size=200), max_size=6)
ENDS = st.builds(Fault, st.sampled_from([Kind.CLOSE, Kind.RESET]), st.integers(0, 600).map(float))
SLOW = st.one_of(
    st.builds(Fault, st.just(Kind.DELAY), st.floats(0.01, 10)),
    st.builds(Fault, st.just(Kind.DRIP), st.integers(1, 1000).map(float)),
)


@given(st.lists(st.one_of(ENDS, SLOW), max_size=4).map(tuple), SENDS)
def test_what_arrives_is_a_prefix_whatever_the_cuts(
    faults: tuple[Fault, ...], sends: list[bytes]
) -> None:
    async def body() -> None:
        # Of two faults of one kind the last counts.
        amounts = {fault.kind: int(fault.amount) for fault in faults}
        limits = [amounts[kind] for kind in (Kind.CLOSE, Kind.RESET) if kind in amounts]
        sent = b"".join(sends)
        received, end, _ = await heard(faults, sends)
        assert received == sent[: min(limits, default=len(sent))]
        reached = bool(limits) and bool(sends) and len(sent) >= min(limits)
        assert (end is not None) is reached

    on_a_mock_clock(body)


@given(st.integers(1, 1000), st.binary(min_size=1, max_size=500))
def test_a_drip_is_no_faster_than_it_says(rate: int, data: bytes) -> None:
    async def body() -> None:
        received, _, took = await heard((Fault(Kind.DRIP, rate),), [data])
        assert received == data
        assert took == pytest.approx(len(data) / rate)

    on_a_mock_clock(body)


async def test_every_reply_comes_late(autojump_clock: MockClock) -> None:
    assert await heard((Fault(Kind.DELAY, 2.5),), [b"a", b"b"]) == (b"ab", None, 5)


@pytest.mark.parametrize("kind", [Kind.CLOSE, Kind.RESET])
async def test_of_close_and_reset_the_earlier_one_ends_it(kind: Kind) -> None:
    other = Kind.RESET if kind is Kind.CLOSE else Kind.CLOSE
    faults = (Fault(other, 5), Fault(kind, 3))
    received, end, _ = await heard(faults, [b"hola\n"])
    assert (received, end) == (b"hol", kind is Kind.RESET)


async def test_a_stream_with_no_room_at_all_ends_before_it_listens() -> None:
    _, theirs = memory_stream_pair()
    with pytest.raises(Injected, match="close"):
        await FaultyStream(theirs, (Fault(Kind.CLOSE, 0),), math.inf).receive_some()


async def test_it_is_a_stream_like_the_one_below() -> None:
    ours, theirs = memory_stream_pair()
    stream = FaultyStream(theirs, (), math.inf)
    await stream.wait_send_all_might_not_block()
    await ours.send_all(b"hola")
    assert await stream.receive_some(2) == b"ho"
    await stream.aclose()
    assert await ours.receive_some() == b""


# What a client of a server sees


def suffering(*specs: str) -> Settings:
    return Settings(faults=tuple(map(Fault.parse, specs)))


async def ended(server: Running) -> str:
    (closed,) = await server.told.wait_for("closed")
    assert server.told.named("crashed") == []
    return str(closed["reason"])


@pytest.mark.parametrize("size", [0, 1, 7])
async def test_an_orderly_close_after_so_many_bytes(size: int) -> None:
    async with running_server(suffering(f"close:{size}")) as server:
        async with await server.connect() as client:
            await client.send_all(b"hola\n" * 1000)
            assert await read_all(client) == (b"HOLA\n" * 1000)[:size]
        assert await ended(server) == "fault"


async def test_a_reset_after_so_many_bytes() -> None:
    async with running_server(suffering("reset:7")) as server:
        async with await server.connect() as client:
            await client.send_all(b"hola\n" * 1000)
            with pytest.raises(trio.BrokenResourceError):
                await read_all(client)
        assert await ended(server) == "fault"


async def test_what_will_be_suffered_is_told() -> None:
    async with running_server(suffering("delay:10ms", "close:5000000")) as server:
        assert await server.ask(b"hola") == b"HOLA"
        (told,) = server.told.named("faulty")
        assert told["faults"] == "delay:0.01s close:5000000"


async def test_whoever_is_spared_notices_nothing() -> None:
    async with running_server(suffering("reset:0@0", "stall@0")) as server:
        assert await server.ask(b"hola") == b"HOLA"
        assert server.told.named("faulty") == []


async def test_a_stalled_client_hears_nothing_and_does_not_hold_up_the_drain() -> None:
    async with running_server(suffering("stall")) as server, await server.connect() as client:
        await client.send_all(b"hola\nadios\n")
        await server.told.wait_for("connected")
        server.lifecycle.drain()
        assert await read_all(client) == b""
        await client.aclose()
        await server.lifecycle.wait_stopped()
        assert await ended(server) == "drained"


async def test_a_fault_is_of_replies_and_the_greeting_is_one() -> None:
    settings = Settings(dialect=ADMIN, faults=(Fault(Kind.CLOSE, 8),))
    async with running_server(settings) as server, await server.connect() as client:
        assert await read_exactly(client, 8) == ADMIN.greeting.encode()[:8]
        assert await read_all(client) == b""
