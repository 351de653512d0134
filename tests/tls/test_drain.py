"""What a client over TLS has sent when the drain begins is answered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import pytest
import trio

from tcpecho_trio.server import Lifecycle, Settings, drain
from tcpecho_trio.server.connection import Connection
from tcpecho_trio.tls.stream import TlsStream
from tests.support.running import Told, read_all
from tests.support.tls_pairs import Ends
from tests.support.wire import over

AT_ONCE = Settings(drain_timeout=0)
"""Without a drain timeout nobody is waited for: all that counts is what is here."""


def draining(stream: object, told: Told | None = None) -> Connection:
    lifecycle = Lifecycle()
    lifecycle.drain()
    return over(stream, AT_ONCE, lifecycle=lifecycle, told=told)


class Wrapped:
    """A stream above another one, as faults make one."""

    def __init__(self, below: TlsStream) -> None:
        self.below = below
        self.receive_some, self.send_all = below.receive_some, below.send_all
        self.send_eof = below.send_eof


@pytest.mark.parametrize("wrap", [lambda stream: stream, Wrapped], ids=["bare", "wrapped"])
async def test_records_that_wait_in_the_socket_are_answered_though_no_time_is_left(
    ends: Ends, wrap: type[Wrapped]
) -> None:
    async with ends.connected() as (server, client):
        said = b"hola\n" * 12_000  # several records, of which one read brings no whole number
        await client.send_all(said)

        async def serve() -> None:
            await draining(wrap(server)).run()
            await server.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            assert await read_all(client) == said.upper()
            await client.aclose()


class InPieces:
    """The connection below, from which a record comes in two pieces, and nothing between them."""

    def __init__(self, records: Iterator[bytes]) -> None:
        self.received = 0
        self._records = records
        self._ready = b""
        self._rest = b""

    async def receive_some(self, _: int) -> bytes:
        await trio.lowlevel.cancel_shielded_checkpoint()  # what is here is taken, as of a socket
        if self._rest and not self._ready:
            self._ready, self._rest = self._rest, b""
            await trio.sleep_forever()  # the wait is over; the rest is here in the next one
        if not self._ready:
            record = next(self._records, b"")
            self._ready, self._rest = record[:100], record[100:]
        piece, self._ready = self._ready, b""
        self.received += len(piece)
        return piece

    async def send_all(self, _: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        self._records = iter(())  # it closes as soon as it hears of the end
        self._ready = self._rest = b""


async def test_who_sends_pieces_of_records_for_ever_does_not_hold_up_the_drain(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "PEERS_BUFFER", most := 100_000)
    told = Told()
    async with ends.connected() as (server, client):

        def records() -> Iterator[bytes]:
            for line in repeat(b"x" * 1000 + b"\n"):
                client.encrypt(line)
                yield client.outgoing.read()

        below = InPieces(records())
        socket, server.below = server.below, below  # type: ignore[assignment]
        await draining(server, told).run()
        server.below = socket
    (closed,) = told.named("closed")
    assert closed["reason"] == "drained"
    assert most / 2 < below.received < most + 2000
