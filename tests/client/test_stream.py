"""Input → server → output, both directions at once."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.client import Client, open_client
from tcpecho_trio.client.stream import Sink, Source, TerminalSink, relay
from tcpecho_trio.dialects import STANDARD
from tcpecho_trio.display import shown
from tcpecho_trio.errors import ConnectionLost, ServerLeft, TooSlow
from tests.support.naive_model import upper
from tests.support.running import Running, running_server

on_both_paths = pytest.mark.usefixtures("path")  # on the pump, and without it


def source_of(*chunks: bytes) -> Source:
    waiting = list(chunks)

    async def source() -> bytes:
        await trio.lowlevel.checkpoint()
        return waiting.pop(0) if waiting else b""

    return source


def collector() -> tuple[bytearray, Sink]:
    collected = bytearray()

    async def sink(data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        collected.extend(data)

    return collected, sink


async def through(server: Running, source: Source) -> bytes:
    collected, sink = collector()
    async with open_client("127.0.0.1", server.port) as client:
        await relay(client, source, sink)
    return bytes(collected)


@on_both_paths
async def test_more_than_every_buffer_comes_back_in_upper_case() -> None:
    chunk = ("añejo € " * 1000 + "\n").encode() * 30 + b"\xff\xfe\n"
    async with running_server() as server:
        assert await through(server, source_of(*[chunk] * 60)) == upper(chunk) * 60


@on_both_paths
async def test_the_end_of_the_input_is_answered() -> None:
    async with running_server() as server:
        assert await through(server, source_of(b"hola\nDESCO")) == b"HOLA\nDESCO"
        assert await through(server, source_of()) == b""


@pytest.mark.parametrize(
    ("said", "slow", "half_closed_at"),
    [
        (b"hola\n", 0.4, 0.4),  # as soon as they have them
        (b"hola\n", 5.0, 1.0),
        (b"hola", 5.0, 0.0),  # the server may be waiting for just that
        (b"", 5.0, 0.0),
    ],
)
async def test_complete_lines_have_a_second_for_their_replies_before_the_half_close(
    autojump_clock: MockClock, said: bytes, slow: float, half_closed_at: float
) -> None:
    ours, theirs = memory_stream_pair()
    ended: list[float] = []
    collected, sink = collector()

    async def answer() -> None:
        await trio.sleep(slow)
        await theirs.send_all(b"HOLA\n")
        await theirs.send_eof()

    async def listen() -> None:
        while await theirs.receive_some():
            pass
        ended.append(trio.current_time() - began)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        nursery.start_soon(listen)
        await relay(Client(ours, STANDARD, "memory"), source_of(said), sink)
    assert collected == b"HOLA\n"
    assert ended == [pytest.approx(half_closed_at)]


@on_both_paths
async def test_a_server_that_leaves_before_the_input_ends_is_an_error() -> None:
    async def endless() -> bytes:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async with running_server() as server, trio.open_nursery() as nursery:

        async def drain_when_connected() -> None:
            await server.told.wait_for("connected")
            server.lifecycle.drain()

        nursery.start_soon(drain_when_connected)
        with pytest.raises(ConnectionLost) as caught:
            await through(server, endless)
        assert caught.value.message == "client_input_lost"


async def test_a_server_that_closes_with_its_last_reply_has_answered_everything() -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1")
    closed = trio.Event()
    chunks = [b"hola\n", b""]

    async def source() -> bytes:
        if not chunks[0]:
            await closed.wait()  # its end is seen only after the server has closed
        return chunks.pop(0)

    async def server() -> None:
        assert await theirs.receive_some() == b"hola\n"
        await theirs.send_all(b"HOLA\n")
        await theirs.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        closed.set()

    collected, sink = collector()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        await relay(client, source, sink)
    assert collected == b"HOLA\n"


async def test_a_leaving_word_with_more_behind_it_has_not_sent_everything() -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1")
    closed = trio.Event()
    chunks = [b"DESCONEXION\n", b"hola\n"]

    async def source() -> bytes:
        if len(chunks) == 1:
            await closed.wait()  # the rest comes when the server has closed
        return chunks.pop(0)

    async def server() -> None:
        assert await theirs.receive_some() == b"DESCONEXION\n"
        await theirs.send_all("Conexión cerrada\n".encode())
        await theirs.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        closed.set()

    _, sink = collector()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        try:
            await relay(client, source, sink)
        except ConnectionLost as error:
            failure = error
    assert isinstance(failure, ConnectionLost)
    assert failure.message == "client_input_lost"


async def test_a_time_limit_is_for_replies_and_not_for_the_sink(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1", timeout=2)

    async def server() -> None:
        for _ in range(3):
            await theirs.receive_some()
            await trio.sleep(1)
            await theirs.send_all(b"HOLA\n")
        await theirs.receive_some()
        await trio.sleep(3)

    async def slow_source() -> bytes:
        await trio.sleep(10)
        return b"hola\n"

    async def slow_sink(_: bytes) -> None:
        await trio.sleep(5)

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(TooSlow):
            await relay(client, slow_source, slow_sink, reply_timeout=2)
        assert trio.current_time() - start == pytest.approx(40 + 2)  # the fourth message's
        nursery.cancel_scope.cancel()


@on_both_paths
async def test_after_a_leaving_word_the_server_may_leave() -> None:
    first = True

    async def word_and_then_nothing() -> bytes:
        nonlocal first
        if not first:
            await trio.sleep_forever()
        first = False
        return b"hola\nDESCONEXION \r\n"

    async with running_server() as server:
        reply = await through(server, word_and_then_nothing)
        assert reply == "HOLA\nConexión cerrada\r\n".encode()


@on_both_paths
async def test_a_failing_source_or_sink_is_told() -> None:
    async def failing(*_: object) -> bytes:
        await trio.lowlevel.checkpoint()
        raise BrokenPipeError("gone")

    async def failing_sink(data: bytes) -> None:
        await failing(data)

    async with running_server() as server:
        async with open_client("127.0.0.1", server.port) as client:
            with pytest.raises(BrokenPipeError):
                await relay(client, failing, collector()[1])
        async with open_client("127.0.0.1", server.port) as client:
            with pytest.raises(BrokenPipeError):
                await relay(client, source_of(b"hola\n"), failing_sink)


async def test_a_source_that_fails_once_is_told_of(autojump_clock: MockClock) -> None:
    ours, _ = memory_stream_pair()
    failures = [OSError("a disk")]

    async def source() -> bytes:
        await trio.lowlevel.checkpoint()
        if failures:
            raise failures.pop()
        return b""

    with pytest.raises(OSError, match="a disk"):
        await relay(Client(ours, STANDARD, "double:1"), source, collector()[1])


@pytest.mark.parametrize("ends", [True, False])
async def test_a_server_that_closes_before_anything_was_sent_may_be_right(
    autojump_clock: MockClock, ends: bool
) -> None:
    ours, theirs = memory_stream_pair()
    closed = trio.Event()

    async def source() -> bytes:
        await closed.wait()
        return b""  # nothing was to be sent

    async def server() -> None:
        await theirs.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        if ends:
            closed.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        start = trio.current_time()
        with nullcontext() if ends else pytest.raises(ServerLeft):
            await relay(Client(ours, STANDARD, "double:1"), source, collector()[1])
        assert trio.current_time() - start < 0.5  # a person waits for their prompt


@given(chunks=st.lists(st.binary(max_size=2000)))
def test_a_terminal_is_shown_whole_lines_and_nothing_it_would_obey(chunks: list[bytes]) -> None:
    screen: list[str] = []
    sink = TerminalSink(screen.append)

    async def main() -> None:
        for chunk in [*filter(None, chunks), b""]:
            await sink(chunk)

    trio.run(main)
    sent = b"".join(chunks)
    assert len(screen) == sent.count(b"\n") + bool(sent.rpartition(b"\n")[2])
    for line in screen:
        assert line.endswith("\n")
        assert line[:-1].isprintable()
        assert len(line) <= 201


@pytest.mark.parametrize("letter", "añ€😀")
@pytest.mark.parametrize("length", range(198, 203))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\rx\n"])
def test_a_terminal_is_shown_the_same_however_a_line_comes(
    letter: str, length: int, end: str
) -> None:
    screens: list[list[str]] = []
    text = letter * length + end

    async def main() -> None:
        data = text.encode()
        for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
            screens.append([])
            sink = TerminalSink(screens[-1].append)
            for piece in pieces:
                await sink(piece)

    trio.run(main)
    whole, dripped = screens
    assert dripped == whole == [shown(text[:-1].removesuffix("\r")) + "\n"]


def test_a_terminal_keeps_no_more_of_a_line_than_it_shows() -> None:
    screen: list[str] = []
    sink = TerminalSink(screen.append)

    async def main() -> None:
        for _ in range(100):
            await sink(b"a" * 65536)
            assert len(sink._rest) < 1000
        await sink(b"\n")

    trio.run(main)
    assert screen == ["a" * 199 + "…\n"]
