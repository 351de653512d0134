"""What a client over TLS has sent when the drain begins is answered."""

from __future__ import annotations

import trio

from tcpecho_trio.server import Lifecycle, Settings
from tests.support.running import read_all
from tests.support.tls_pairs import Ends
from tests.support.wire import over


async def test_records_that_wait_in_the_socket_are_answered_though_no_time_is_left(
    ends: Ends,
) -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    # Without a drain timeout nobody is waited for: all that counts is what is here.
    settings = Settings(drain_timeout=0)
    async with ends.connected() as (server, client):
        said = b"hola\n" * 12_000  # several records, of which one read brings no whole number
        await client.send_all(said)

        async def serve() -> None:
            await over(server, settings, lifecycle=lifecycle).run()
            await server.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            assert await read_all(client) == said.upper()
            await client.aclose()
