"""The fault proxy does what it is asked to, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.soak.fault_proxy import Direction, FaultProxy, Faults, Side, reset_on_close
from tests.support.running import read_all

STREAM = bytes(range(256)) * 4


@asynccontextmanager
async def proxied(
    faults: Faults,
) -> AsyncGenerator[tuple[FaultProxy, trio.SocketStream, trio.SocketStream], None]:
    """A proxy, and the client's and the server's end of a connection through it."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = FaultProxy(listener.socket.getsockname())
    async with trio.open_nursery() as nursery, listener:
        await nursery.start(proxy.serve)
        client = await proxy.open(faults)
        server = await listener.accept()
        async with client, server:
            yield proxy, client, server
        nursery.cancel_scope.cancel()


async def test_without_faults_bytes_and_ends_go_through() -> None:
    async with proxied(Faults()) as (proxy, client, server):
        await client.send_all(STREAM)
        await client.send_eof()
        assert await read_all(server) == STREAM
        await server.send_all(b"reply")
        await server.send_eof()
        assert await read_all(client) == b"reply"
        assert not proxy.happened


@pytest.mark.parametrize("segment", [1, 7, 300])
async def test_slices_and_delays_lose_nothing(segment: int) -> None:
    direction = Direction(slice=segment, delay=0.00001, seed=segment)
    async with proxied(Faults(up=direction, down=direction)) as (proxy, client, server):
        await client.send_all(STREAM)
        await client.send_eof()
        assert await read_all(server) == STREAM
        await server.send_all(STREAM)
        await server.send_eof()
        assert await read_all(client) == STREAM
        assert proxy.happened == {"slice": 2, "delay": 2}


async def test_a_stall_loses_nothing() -> None:
    async with proxied(Faults(down=Direction(stall=(0, 0.01)))) as (proxy, client, server):
        await server.send_all(STREAM)
        await server.send_eof()
        assert await read_all(client) == STREAM
        assert proxy.happened == {"stall": 1}


async def test_a_half_close_gives_the_end_of_input_after_so_many_bytes() -> None:
    async with proxied(Faults(up=Direction(half_close=100))) as (proxy, client, server):
        await client.send_all(STREAM)
        assert await read_all(server) == STREAM[:100]
        await server.send_all(b"reply")
        await server.aclose()
        assert await read_all(client) == b"reply"
        assert proxy.happened == {"half-close": 1}


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER, Side.BOTH])
async def test_a_reset_reaches_whom_it_is_meant_for(side: Side) -> None:
    async with proxied(Faults(up=Direction(reset=9, side=side))) as (proxy, client, server):
        await client.send_all(STREAM[:9])
        for end, stream in ((Side.CLIENT, client), (Side.SERVER, server)):
            if end in side:
                with pytest.raises(trio.BrokenResourceError):
                    await read_all(stream)
            else:
                await read_all(stream)
        assert sum(proxy.happened.values()) == 1


async def test_a_reset_of_one_side_becomes_a_reset_of_the_other() -> None:
    async with proxied(Faults()) as (proxy, client, server):
        reset_on_close(client)
        await client.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await read_all(server)
        assert not proxy.happened


class Recorder(trio.abc.HalfCloseableStream):
    """Where a relay sends to; it remembers how."""

    def __init__(self) -> None:
        self.segments: list[bytes] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.segments.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None: ...

    async def send_eof(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return b""

    async def aclose(self) -> None: ...


async def segments_of(direction: Direction, chunk: int) -> list[bytes]:
    """How a relay cuts STREAM, which comes in chunks of that length."""
    source, sink = trio.testing.MemoryReceiveStream(), Recorder()
    for at in range(0, len(STREAM), chunk):
        source.put_data(STREAM[at : at + chunk])
    source.put_eof()
    await FaultProxy(("", 0))._relay(source, sink, direction)
    return sink.segments


async def test_the_seed_says_where_to_cut() -> None:
    one, same, other = [await segments_of(Direction(slice=50, seed=s), 1024) for s in (1, 1, 2)]
    assert one == same != other
    assert b"".join(one) == b"".join(other) == STREAM
    assert max(map(len, one)) <= 50
