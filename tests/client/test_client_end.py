"""When the client half-closes, and what a cancellation leaves of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from tcpecho_trio.client import Client
from tcpecho_trio.client.stream import relay
from tcpecho_trio.dialects import ADMIN, STANDARD
from tcpecho_trio.errors import ServerLeft
from tests.support.running import read_exactly


class Input:
    """A source with these chunks, and a sink that keeps what comes."""

    def __init__(self, *chunks: bytes) -> None:
        self._waiting = list(chunks)
        self.received = b""

    async def source(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._waiting.pop(0) if self._waiting else b""

    async def sink(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.received += data


@pytest.mark.parametrize("chunks", [(b"uno\ndos\ntres\n",), (b"uno\n", b"dos\n", b"tres\n")])
async def test_the_client_half_closes_after_the_last_reply_and_not_after_the_first(
    autojump_clock: MockClock, chunks: tuple[bytes, ...]
) -> None:
    ours, theirs = memory_stream_pair()
    talk = Input(*chunks)
    half_closed = trio.Event()

    async def server() -> None:
        await read_exactly(theirs, 13)
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                assert await theirs.receive_some() == b""
                half_closed.set()

            nursery.start_soon(listen)
            for reply in (b"UNO\n", b"DOS\n", b"TRES\n"):
                await trio.sleep(0.2)  # a proxy that took a half-close for the end would leave
                assert not half_closed.is_set()
                await theirs.send_all(reply)
            await half_closed.wait()
            await theirs.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        await relay(Client(ours, STANDARD, "memory"), talk.source, talk.sink)
    assert talk.received == b"UNO\nDOS\nTRES\n"


async def test_a_list_is_waited_for_until_it_pauses_before_the_half_close(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_stream_pair()
    talk = Input(b"LISTAR\n")

    async def server() -> None:
        await theirs.send_all(ADMIN.greeting.encode())
        await read_exactly(theirs, 7)
        for line in (b"Clientes conectados:\n", b"a:1\n", b"b:2\n"):
            await theirs.send_all(line)
            with trio.move_on_after(0.05) as waiting:  # less than ends a list
                await theirs.receive_some()
            assert waiting.cancelled_caught
        assert await theirs.receive_some() == b""
        await theirs.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        await relay(Client(ours, ADMIN, "memory"), talk.source, talk.sink)
    assert talk.received == b"Clientes conectados:\na:1\nb:2\n"


async def loss(
    ours: trio.abc.HalfCloseableStream, server: Callable[[], Awaitable[None]], talk: Input
) -> str:
    """What the client says was lost, at a server that leaves early."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(ServerLeft) as caught:
            await relay(Client(ours, STANDARD, "memory"), talk.source, talk.sink)
    return caught.value.message


async def test_a_server_that_leaves_while_the_last_input_is_being_sent_is_an_error(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = lockstep_stream_pair()  # it sends only as fast as somebody receives
    talk = Input(b"uno\ndos\n")

    async def server() -> None:
        assert await theirs.receive_some(4) == b"uno\n"
        await theirs.send_all(b"UNO\nDOS\n")  # as if it had heard all
        await theirs.send_eof()

    assert await loss(ours, server, talk) == "client_input_lost"


async def test_a_server_that_leaves_a_message_without_its_reply_is_an_error(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_stream_pair()
    talk = Input(b"uno\ndos\n")

    async def server() -> None:
        await read_exactly(theirs, 8)
        await theirs.send_all(b"UNO\n")
        await theirs.send_eof()

    assert await loss(ours, server, talk) == "client_replies_lost"


@pytest.mark.parametrize("how", ["send_message", "send"])
async def test_what_was_cancelled_before_anything_went_out_leaves_the_client_usable(
    how: str,
) -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "memory")
    with trio.CancelScope() as scope:
        scope.cancel()
        if how == "send_message":
            await client.send_message("nunca")
        else:
            await client.send(b"nunca\n")
    assert scope.cancelled_caught

    async def server() -> None:
        assert await read_exactly(theirs, 5) == b"hola\n"  # nothing before it
        await theirs.send_all(b"HOLA\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        assert await client.ask("hola") == "HOLA"


async def test_a_send_that_is_cancelled_half_way_is_cancelled() -> None:
    ours, _ = lockstep_stream_pair()  # nobody receives, so that it waits
    client = Client(ours, STANDARD, "memory")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, b"hola\n")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    went_on = False
    with trio.move_on_after(0.01):
        other, _ = lockstep_stream_pair()
        await Client(other, STANDARD, "memory").send(b"hola\n")
        went_on = True
    assert not went_on
