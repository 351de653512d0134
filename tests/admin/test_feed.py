"""The event stream: what happens, as it happens, as far as one can read it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tcpecho_trio.admin import watch as watch_module
from tcpecho_trio.admin.feed import HISTORY, QUEUE, Feed, Reader, as_event
from tcpecho_trio.admin.local import Local
from tcpecho_trio.admin.state import ServerState
from tcpecho_trio.admin.watch import BURST, Watch
from tcpecho_trio.server import Events, Lifecycle, Registry, Settings
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import ConnectionOpened, DrainReason, DrainStarted, ServerStopped
from tcpecho_trio.server.faults import FaultSampler
from tcpecho_trio.server.stats import Totals
from tests.support.administered import administered, until
from tests.support.processes import OldClient
from tests.support.web import ask, events

Where = int | str
Told = Iterator[tuple[str, dict[str, Any]]]
INFO = ConnectionInfo(7, "c:1", "c:1", "here:1")


def take(stream: Told, *names: str) -> list[tuple[str, dict[str, Any]]]:
    """Events until each of these has come; samples left out unless asked for."""
    wanted, taken = list(names), []
    for name, fields in stream:
        if name != "sample" or "sample" in names:
            taken.append((name, fields))
        if name in wanted:
            wanted.remove(name)
        if not wanted:
            break
    return taken


async def test_a_conversation_is_told_as_it_happens(path: str) -> None:
    async with administered() as server:

        def play(where: Where) -> list[tuple[str, dict[str, Any]]]:
            with events(where) as stream:
                take(stream, "sample")
                with OldClient(server.port) as client:
                    told = take(stream, "connected")  # before it has said a word
                    client.ask("hola \x1b[2J<script>\n")
                    told += take(stream, "received", "replied")
                    client.ask("DESCONEXION\n")
                    told += take(stream, "closed")
                return told

        told = await server.play(play)
        assert [name for name, _ in told] == [
            *("connected", "received", "replied", "received", "leaving", "replied", "closed")
        ]
        assert told[1][1]["text"] == "hola \\x1b[2J<script>"
        assert told[1][1]["cut"] == 0
        assert told[2][1]["text"] == "HOLA \\x1b[2J<SCRIPT>"
        for _, fields in told:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", fields["timestamp"])
            assert {"connection", "client", "peer", "listener"} <= fields.keys()
        assert told[-1][1]["reason"] == "disconnected"
        assert told[-1][1]["messages_in"] == 2


async def test_a_sample_is_the_totals() -> None:
    async with administered() as server:

        def play(where: Where) -> dict[str, Any]:
            with OldClient(server.port) as client:
                client.ask("hola\n")
                with events(where) as stream:
                    ((_, sample),) = itertools.islice(
                        (item for item in stream if item[0] == "sample" and item[1]["clients"]), 1
                    )
                    return sample

        sample = await server.play(play)
        sample.pop("time")
        assert 0 <= sample.pop("loop_delay") < 60
        assert sample == {
            "clients": 1,
            "accepted": 1,
            "messages_in": 1,
            "messages_out": 1,
            "bytes_in": 5,
            "bytes_out": 5,
            "phase": "running",
        }


async def test_a_long_line_is_cut_and_says_so() -> None:
    async with administered() as server:

        def play(where: Where) -> dict[str, Any]:
            with events(where) as stream, OldClient(server.port) as client:
                take(stream, "connected")
                client.socket.sendall(b"x" * 1000 + b"\n")
                return take(stream, "received")[-1][1]

        fields = await server.play(play)
        assert fields["text"] == "x" * 199 + "…"
        assert fields["cut"] == 801


async def test_a_flood_is_sampled_and_what_was_left_out_is_counted() -> None:
    async with administered() as server:

        def play(where: Where) -> tuple[int, int]:
            shown = omitted = 0
            with events(where) as stream, OldClient(server.port) as client:
                take(stream, "connected")
                client.socket.sendall(b"hola\n" * 5000)
                for name, fields in stream:
                    shown += name == "received"
                    omitted += fields["count"] if name == "more_messages" else 0
                    if shown + omitted >= 5000:
                        return shown, omitted
            raise AssertionError

        shown, omitted = await server.play(play)
        assert shown + omitted == 5000
        assert 0 < shown <= 3 * BURST


async def test_who_looks_for_one_client_sees_it_amid_a_flood_from_another() -> None:
    async with administered() as server:

        def play(where: Where) -> tuple[list[str], int]:
            with OldClient(server.port) as quiet, OldClient(server.port) as loud:
                address = "{}:{}".format(*quiet.socket.getsockname())
                with events(where, query=f"?contains={address}") as stream:
                    take(stream, "sample")
                    loud.socket.sendall(b"fuera\n" * 5000)
                    quiet.ask("hola\n")
                    told = take(stream, "replied")
                    quiet.socket.sendall(b"hola\n" * 200)
                    shown = omitted = 0
                    for name, fields in stream:
                        shown += name == "received"
                        omitted += fields["count"] if name == "more_messages" else 0
                        if shown + omitted >= 200:
                            break
                    quiet.socket.close()
                    told += take(stream, "closed")
                    assert {fields["client"] for _, fields in told} == {address}
                    return [name for name, _ in told], shown + omitted

        names, counted = await server.play(play)
        assert names[:2] == ["received", "replied"]
        assert counted == 200


async def test_connections_that_come_in_masses_are_counted() -> None:
    async with administered() as server:

        def play(where: Where) -> int:
            with events(where) as stream:
                take(stream, "sample")
                for _ in range(200):
                    with OldClient(server.port) as client:
                        client.ask("a\n")
                told = 0
                for name, fields in stream:
                    told += name in ("connected", "closed")
                    told += fields["count"] if name == "more_connections" else 0
                    if told >= 400:
                        return told
            raise AssertionError

        assert await server.play(play) == 400


async def test_nobody_is_asked_for_messages_while_nobody_reads() -> None:
    async with administered() as server:
        assert not server.state.events.messages

        def play(where: Where) -> None:
            with events(where) as stream:
                take(stream, "sample")
                assert server.state.events.messages

        await server.play(play)
        await until(lambda: not server.state.events.messages)


async def test_while_the_bucket_is_empty_no_message_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "MESSAGES_A_TICK", 0)
    async with administered() as server:

        def play(where: Where) -> None:
            with events(where) as stream, OldClient(server.port) as client:
                take(stream, "connected")
                for _ in range(BURST + 5):
                    client.ask("a\n")
                assert not server.state.events.messages

        await server.play(play)


async def test_the_last_event_is_that_the_server_has_ended() -> None:
    async with administered() as server:

        def play(where: Where) -> list[str]:
            with events(where) as stream:
                take(stream, "sample")
                ask(where, "POST", "/api/drain")
                return [name for name, _ in stream if name != "sample"]

        assert await server.play(play) == ["draining", "stopped"]


# The feed alone, on a clock of its own.


def feed() -> tuple[Feed, ServerState, Local]:
    state = ServerState(Settings(), Lifecycle(), Registry(), Events(), FaultSampler())
    local = Local(state)
    return local.feed, state, local


class Sent(list[tuple[str, dict[str, Any]]]):
    """What was sent to one reader."""

    async def __call__(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        for block in data.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line)
            if "event" in fields:
                self.append((fields["event"], json.loads(fields["data"])))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [fields for found, fields in self if found == name]


async def test_a_newcomer_gets_the_last_five_minutes_first(autojump_clock: MockClock) -> None:
    told, _, local = feed()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(local.run)
        await trio.sleep(400.5)
        sent = Sent()
        nursery.start_soon(told.stream, sent)
        await trio.sleep(0.2)
        assert [name for name, _ in sent] == ["sample"] * HISTORY
        await trio.sleep(2)
        assert len(sent) == HISTORY + 2
        nursery.cancel_scope.cancel()


async def test_a_reader_that_is_too_slow_loses_events_and_is_told(
    autojump_clock: MockClock,
) -> None:
    told, state, local = feed()
    reading = trio.Event()
    sent = Sent()

    async def slowly(data: bytes) -> None:
        await sent(data)
        await reading.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(local.run)
        nursery.start_soon(told.stream, slowly)
        await trio.sleep(60)
        for _ in range(QUEUE + 10):
            state.events.publish(DrainStarted(DrainReason.PROGRAM, 0))
        reading.set()
        await trio.sleep(1)
        samples = len(sent.named("sample"))
        dropped = sum(fields["count"] for fields in sent.named("dropped"))
        assert len(sent.named("draining")) + samples + dropped >= QUEUE + 10
        assert 60 <= dropped <= 80
        nursery.cancel_scope.cancel()


async def test_what_happens_once_is_always_shown(autojump_clock: MockClock) -> None:
    told, state, _ = feed()
    sent = Sent()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.stream, sent)
        await trio.sleep(0.01)
        for _ in range(BURST + 1):
            state.events.publish(ConnectionOpened(INFO))
        state.events.publish(ServerStopped(1, 2, Totals()))
        told.end()
        await told.wait_left()
    assert len(sent.named("connected")) == BURST
    assert [name for name, _ in sent][-1] == "stopped"


async def test_nothing_comes_after_the_end_however_late_a_reader_is(
    autojump_clock: MockClock,
) -> None:
    told, state, local = feed()
    sent = Sent()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(local.run)
        nursery.start_soon(told.stream, sent)
        await trio.sleep(3.5)
        state.lifecycle.drain(DrainReason.PROGRAM)
        state.events.publish(ServerStopped(1, 2, Totals()))
        state.lifecycle.stop()
        await trio.sleep(3)
        told.end()
        await told.wait_left()
        nursery.cancel_scope.cancel()
    assert [name for name, _ in sent] == ["sample"] * 3 + ["stopped"]


async def test_a_delay_of_the_loop_is_seen(autojump_clock: MockClock) -> None:
    delays: list[float] = []
    told, state, _ = feed()
    watched = Watch(state, delays.append, told)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.run)
        await trio.sleep(0.55)
        autojump_clock.jump(0.35)  # as if somebody had kept the loop for so long
        await trio.sleep(1.05)
        nursery.cancel_scope.cancel()
    assert max(delays) == pytest.approx(0.3, abs=0.06)
    assert state.loop_delay == pytest.approx(0.3, abs=0.06)


def test_an_event_is_two_lines_whatever_it_says() -> None:
    event = as_event("received", {"text": "a\n\nevent: forged\r\u2028\ud800"})
    assert event.count(b"\n") == 3
    assert event.isascii()


async def test_a_reader_hears_the_end_once() -> None:
    reader = Reader()
    reader.put(b"last")
    reader.end()
    assert [await reader.take(), await reader.take()] == [b"last", b""]
