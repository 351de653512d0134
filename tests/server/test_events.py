"""The two seams: counters, and events with their subscribers."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from dataclasses import dataclass

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.dialects import INSPECT, STANDARD
from tcpecho_trio.protocol import Protocol
from tcpecho_trio.server import Settings
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import (
    ConnectionClosed,
    ConnectionOpened,
    Event,
    Listening,
    MessagesReceived,
    RepliesSent,
)
from tcpecho_trio.server.stats import Totals
from tcpecho_trio.server.subscriptions import Events
from tests.support.running import Running, read_all, running_server, until

INFO = ConnectionInfo(1, "p:1", "p:1", "here:1")


@dataclass
class Census:
    """A subscriber as somebody else would write it: it counts all there is to count."""

    opened: int = 0
    closed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    messages_in: int = 0
    messages_out: int = 0

    def __call__(self, event: Event) -> None:
        match event:
            case ConnectionOpened():
                self.opened += 1
            case ConnectionClosed():
                self.closed += 1
            case MessagesReceived(data=data, messages=messages):
                self.bytes_in += len(data)
                self.messages_in += messages
            case RepliesSent(data=data, messages=messages):
                self.bytes_out += len(data)
                self.messages_out += messages


async def load(server: Running) -> Census:
    """Clients of every kind at once; what they have counted themselves."""
    seen = Census()

    async def talk(chunks: list[bytes], messages: int) -> None:
        async with await server.connect() as client:
            received = b""
            for chunk in chunks:
                await client.send_all(chunk)
                if not chunk.endswith(b"DESCO") and chunk != chunks[-1]:
                    received += await client.receive_some()
            await client.send_eof()
            received += await read_all(client)
        seen.opened += 1
        seen.closed += 1
        seen.bytes_in += sum(map(len, chunks))
        seen.bytes_out += len(received)
        seen.messages_in += messages
        seen.messages_out += messages

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(talk, [b"hola\n"] * 50, 50)
        for _ in range(5):
            nursery.start_soon(talk, [b"hola\nadios\r\n" * 400], 800)
            nursery.start_soon(talk, ["año nuevo".encode(), b"hola"], 2)
            nursery.start_soon(talk, [b"hola\nDESCO", b"\nuna ", b"linea\nsin fin"], 4)
            nursery.start_soon(talk, [b"DESCONEXION\n"], 1)
            nursery.start_soon(talk, [b"uno\nDESCONEXION\n"], 2)
            nursery.start_soon(talk, [b"hola\n" + b"x" * 200_000 + b"\n"], 2)
            nursery.start_soon(talk, [], 0)
    return seen


@pytest.mark.usefixtures("path")
async def test_a_subscriber_counts_everything_exactly_while_the_journal_samples() -> None:
    async with running_server() as server:
        census = Census()
        server.events.subscribe(census, messages=True)
        seen = await load(server)
        await server.endings(seen.closed)
        assert census == seen
        assert len(server.told.named("received")) < seen.messages_in  # the journal samples
        totals = server.registry.totals()
        assert totals == Totals(seen.bytes_in, seen.bytes_out, seen.messages_in, seen.messages_out)


@pytest.mark.usefixtures("path")
async def test_totals_are_those_of_the_open_connections_and_the_closed_ones() -> None:
    async with running_server() as server, await server.connect() as stays:
        assert await server.ask(b"hola\n") == b"HOLA\n"
        await server.endings(1)
        await stays.send_all(b"adios\n")
        await stays.receive_some()
        await until(lambda: server.registry.totals() == Totals(11, 11, 2, 2))


async def test_a_dialect_that_reports_counts_on_the_pump_too() -> None:
    async with running_server(Settings(dialect=INSPECT)) as server, await server.connect() as one:
        for _ in range(3):
            await one.send_all(b"hola\n")
            await one.receive_some()
        (connection,) = server.registry
        assert connection.stats.read_sizes is not None
        assert list(connection.stats.read_sizes.latest) == [5, 5, 5]
        assert connection.stats.read_sizes.count == 3


@given(
    st.lists(st.sampled_from([b"hola", b"DESCONEXIONES", b"D", "ñ".encode(), b""]), max_size=8),
    st.data(),
)
def test_a_line_clients_messages_are_its_lines_however_they_are_cut(
    lines: list[bytes], data: st.DataObject
) -> None:
    text = b"\n".join([b"first", *lines])
    cuts = sorted(data.draw(st.lists(st.integers(6, max(6, len(text))), max_size=6)))
    protocol, begun = Protocol(STANDARD), 0
    # The first chunk holds an LF: from then on it is a line client.
    places = [0, *(cut for cut in cuts if text.find(b"\n") in range(cut)), len(text)]
    if text.find(b"\n") < 0:
        places = [0, len(text)]
    for start, end in itertools.pairwise(places):
        protocol.receive_data(text[start:end])
        begun += protocol.begun
    complete = text.split(b"\n")
    assert begun == len(complete) - (not complete[-1])


# Subscribers


def test_an_event_comes_to_every_subscriber_until_it_unsubscribes() -> None:
    events, one, two = Events(), list[Event](), list[Event]()
    events.subscribe(one.append)
    events.subscribe(two.append)
    events.publish(Listening("here:1"))
    events.unsubscribe(one.append)
    events.publish(Listening("here:2"))
    assert one == [Listening("here:1")]
    assert two == [Listening("here:1"), Listening("here:2")]


def test_messages_come_only_to_those_who_asked_for_them() -> None:
    events, everything, few, no_messages = Events(), list[Event](), list[Event](), list[Event]()
    assert not events.messages
    events.subscribe(no_messages.append)
    assert not events.messages
    assert not events.received(INFO, b"a\n", 1)
    events.subscribe(few.append, messages=lambda _, data, __: b"wanted" in data)
    assert events.messages
    assert not events.received(INFO, b"other\n", 1)
    assert events.received(INFO, b"wanted\n", 1)
    events.subscribe(everything.append, messages=True)
    assert events.received(INFO, b"other\n", 1)
    events.replied(INFO, b"OTHER\n", 1)
    assert few == [MessagesReceived(INFO, b"wanted\n", 1), RepliesSent(INFO, b"OTHER\n", 1)]
    assert everything == [MessagesReceived(INFO, b"other\n", 1), RepliesSent(INFO, b"OTHER\n", 1)]
    assert no_messages == []
    events.unsubscribe(few.append)
    events.unsubscribe(everything.append)
    assert not events.messages


def test_a_subscriber_that_fails_is_removed_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_: Event) -> None:
        raise RuntimeError("a bug of somebody else's")

    events, told = Events(), Counter[str]()
    events.subscribe(broken)
    events.subscribe(lambda event: told.update([event.name]))
    with caplog.at_level(logging.ERROR):
        for number in range(3):
            events.publish(Listening(f"here:{number}"))
    assert told == {"listening": 3}
    assert len(caplog.records) == 1


async def test_a_subscription_is_bounded_and_counts_what_it_drops() -> None:
    events = Events()
    with events.subscription(3) as subscription:
        for number in range(5):
            events.publish(Listening(f"here:{number}"))
        assert [await subscription.receive() for _ in range(3)] == [
            Listening(f"here:{number}") for number in range(3)
        ]
        assert subscription.dropped == 2
        async with trio.open_nursery() as nursery:
            received: list[Event] = []

            async def receive() -> None:
                received.append(await subscription.receive())

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            events.publish(Listening("late:1"))
        assert received == [Listening("late:1")]
    events.publish(Listening("nobody:1"))
    assert subscription.dropped == 2
