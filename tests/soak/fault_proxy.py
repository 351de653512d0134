"""A TCP proxy that does to connections what bad networks and worse peers do.

Each connection goes through with its own :class:`Faults`, decided beforehand by whoever opens it
(:meth:`FaultProxy.open`), so nothing depends on the order in which connections are accepted.
Where something befalls a connection is given in bytes of the stream, never in chunks or in
time, so it does not depend on how the network cuts, either.

===========  ==================================================================================
fault        what happens to one direction
===========  ==================================================================================
delay        each segment waits for a random time before it goes on
slice        the stream goes on in segments of random length, each with a send of its own
stall        after some bytes, nothing moves for a while
half-close   after some bytes the receiver gets the end of input, and the rest is thrown away
reset        after some bytes one side, or both, gets a TCP RST (RFC 9293 §3.5.2)
===========  ==================================================================================

What nobody asked for is passed on faithfully: an end of input as one, a reset as one.
"""

from __future__ import annotations

import enum
import random
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field

import trio

CHUNK = 65536
"""Bytes asked for in one receive; it also bounds what the proxy keeps of a direction, so that
back-pressure goes through it."""


class Side(enum.Flag):
    """Who is told of a reset; the other one sees an ordinary close."""

    CLIENT = enum.auto()
    SERVER = enum.auto()
    BOTH = CLIENT | SERVER


@dataclass(frozen=True, slots=True)
class Direction:
    """What befalls one direction of a connection; nothing, unless told.

    Args:
      delay: seconds that a segment waits at most.
      slice: bytes of a segment at most; 0 passes on what comes as it comes.
      stall: after how many bytes, for how many seconds.
      half_close: after how many bytes.
      reset: after how many bytes.
      side: who is told of that reset.
      seed: of the delays and the segments' lengths.
    """

    delay: float = 0
    slice: int = 0
    stall: tuple[int, float] | None = None
    half_close: int | None = None
    reset: int | None = None
    side: Side = Side.BOTH
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Faults:
    """What befalls a connection: ``up`` from the client to the server, ``down`` back."""

    up: Direction = field(default_factory=Direction)
    down: Direction = field(default_factory=Direction)


def reset_on_close(stream: trio.SocketStream) -> None:
    """Let the stream's close be a reset (SO_LINGER with no time, socket(7))."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class FaultProxy:
    """Stands before one server.

    Args:
      target: the server's address.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.happened: Counter[str] = Counter()
        """How many directions of a connection each fault really befell, by its name above."""
        self._target = target
        self._address = ("", 0)
        self._decided: dict[tuple[str, int], Faults] = {}  # by the client's address

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and pass on until cancelled."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self._address = listener.socket.getsockname()
        task_status.started()
        await trio.serve_listeners(self._pass_on, [listener])

    async def open(self, faults: Faults, source: str = "127.0.0.1") -> trio.SocketStream:
        """A connection to the server, by way of these faults, from this address."""
        client = trio.socket.socket()
        try:
            await client.bind((source, 0))  # now it has an address that the proxy will see
            self._decided[client.getsockname()] = faults
            await client.connect(self._address)
        except BaseException:
            client.close()
            raise
        return trio.SocketStream(client)

    async def _pass_on(self, client: trio.SocketStream) -> None:
        """Serve one connection; both of its halves end with it."""
        try:
            peer = client.socket.getpeername()
        except OSError:  # it was reset before it was accepted
            return
        faults = self._decided.pop(peer)
        try:
            # From the client's own address: with one source for all, ports would run out.
            server = await trio.open_tcp_stream(*self._target, local_address=peer[0])
        except OSError:
            reset_on_close(client)
            return
        async with server, trio.open_nursery() as nursery:
            ends = {Side.CLIENT: client, Side.SERVER: server}

            def reset(sides: Side) -> None:
                for side, stream in ends.items():
                    if side in sides:
                        reset_on_close(stream)
                nursery.cancel_scope.cancel()

            async def relay(source: Side, direction: Direction) -> None:
                try:
                    sides = await self._relay(ends[source], ends[~source], direction)
                except trio.BrokenResourceError:  # one side was reset: so is the other
                    sides = Side.BOTH
                if sides:
                    reset(sides)

            nursery.start_soon(relay, Side.CLIENT, faults.up)
            nursery.start_soon(relay, Side.SERVER, faults.down)

    async def _relay(
        self,
        source: trio.abc.ReceiveStream,
        sink: trio.abc.HalfCloseableStream,
        direction: Direction,
    ) -> Side:
        """Pass one direction on to its end; return who is to be reset then, mostly nobody."""
        befallen: set[str] = set()

        def befell(fault: str) -> None:
            if fault not in befallen:
                befallen.add(fault)
                self.happened[fault] += 1

        chance = random.Random(direction.seed)
        stall_at, stall_time = direction.stall or (None, 0)
        at, edge = 0, None if not direction.slice else chance.randint(1, direction.slice)
        chunk = memoryview(b"")
        while True:
            if at == direction.reset:
                befell(f"reset {direction.side.name or ''}".lower())
                return direction.side
            if at == direction.half_close:
                befell("half-close")
                await sink.send_eof()
                async for _ in source:
                    pass
                return Side(0)
            if at == stall_at:
                befell("stall")
                await trio.sleep(stall_time)  # the fault itself
            if not chunk:
                chunk = memoryview(await source.receive_some(CHUNK))
                if not chunk:
                    await sink.send_eof()
                    return Side(0)
            # As far as the next place where something happens.
            marks = (edge, direction.reset, direction.half_close, stall_at)
            size = min([len(chunk), *(mark - at for mark in marks if mark and mark > at)])
            if direction.delay:
                befell("delay")
                await trio.sleep(chance.uniform(0, direction.delay))  # the fault itself
            await sink.send_all(chunk[:size])
            at, chunk = at + size, chunk[size:]
            if at == edge:
                befell("slice")
                edge += chance.randint(1, direction.slice)
