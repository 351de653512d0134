"""How a conversation with a server that knows no lines ends, whatever state it is in."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

import tcpecho_trio.client
from tcpecho_trio.client import GAP, LEAVE_TIME, open_client
from tcpecho_trio.client.raw import RawClient
from tcpecho_trio.dialects import STANDARD


class Peer:
    """A server on which each thing that comes is noted with its time, and that never closes."""

    def __init__(self, *replies: bytes) -> None:
        ours, self._stream = memory_stream_pair()
        self.client = RawClient(ours, STANDARD, "double:1")
        self.heard: list[tuple[bytes, float]] = []
        self._replies = list(replies)

    async def serve(self) -> None:
        start = trio.current_time()
        while True:
            data = bytes(await self._stream.receive_some())
            self.heard.append((data, trio.current_time() - start))
            if not data:
                break
            if self._replies:
                await self._stream.send_all(self._replies.pop(0))


async def test_a_server_that_has_said_nothing_is_not_waited_for_before_the_leaving_word(
    autojump_clock: MockClock,
) -> None:
    peer = Peer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.serve)
        await peer.client.send_message("hola")
        await trio.sleep(1)
        await peer.client.leave()
        nursery.cancel_scope.cancel()
    assert peer.heard == [(b"hola", 0), (b"DESCONEXION", 1)]


async def test_who_leaves_is_not_told_to_wait(autojump_clock: MockClock) -> None:
    ours, _ = memory_stream_pair()
    told: list[float] = []
    client = RawClient(
        ours, STANDARD, "double:1", on_waiting=lambda: told.append(trio.current_time())
    )
    await client.send_message("hola")
    await client.leave()
    assert told == []


async def test_who_has_left_says_the_word_once_and_ends_a_server_that_does_not(
    autojump_clock: MockClock,
) -> None:
    peer = Peer(b"HOLA")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.serve)
        assert await peer.client.ask("hola") == "HOLA"
        await peer.client.leave()
        await peer.client.close_politely()
    said = [data for data, _ in peer.heard]
    assert said == [b"hola", b"DESCONEXION", b""]


async def test_who_was_cut_short_says_no_word_but_half_closes(autojump_clock: MockClock) -> None:
    peer = Peer()
    send_all = peer.client._stream.send_all

    async def slowly(data: bytes) -> None:
        await send_all(data[:1])
        await trio.sleep(10)

    peer.client._stream.send_all = slowly  # type: ignore[method-assign, assignment]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.serve)
        with trio.move_on_after(1):
            await peer.client.send_message("hola")
        await peer.client.close_politely()
    assert peer.heard == [(b"h", 0), (b"", 1)]


async def test_a_cancelled_block_waits_six_seconds_at_most_for_a_server_that_takes_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A connection in which nothing moves any more."""

        async def send_all(self, _: bytes) -> None:
            await trio.sleep_forever()

        async def receive_some(self, _: int) -> bytes:
            await trio.sleep_forever()
            raise AssertionError("unreachable")

        async def __aenter__(self) -> Full:
            return self

        async def __aexit__(self, *_: object) -> None:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def connect(*_: object, **__: object) -> Full:
        await trio.lowlevel.checkpoint()
        return Full()

    monkeypatch.setattr(tcpecho_trio.client, "connect", connect)
    with trio.CancelScope() as scope:
        async with open_client(framing="raw"):
            begun = trio.current_time()
            scope.cancel()
    assert trio.current_time() - begun == pytest.approx(6)


async def test_a_farewell_of_several_pieces_is_heard_whole(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    client = RawClient(ours, STANDARD, "double:1")

    async def serve() -> None:
        await theirs.receive_some()
        await theirs.send_all(b"Hasta")
        await trio.sleep(GAP * 2)
        await theirs.send_all(b"luego")
        await theirs.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        assert await client.leave() == "Hasta\nluego"
    assert GAP * 2 < LEAVE_TIME
