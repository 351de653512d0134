"""What the admission must not wait for. A wait that is forgotten here would last an hour."""

from __future__ import annotations

import pytest
import trio

from tcpecho_trio.dialects import ADMIN, INSPECT, STANDARD
from tcpecho_trio.proxy_protocol import Command, Header, Transport, encode_v2
from tcpecho_trio.server import Settings
from tests.support.processes import AT_ONCE
from tests.support.running import read_exactly, running_server, until

pytestmark = pytest.mark.usefixtures("path")

LOCAL = encode_v2(Header(2, Command.LOCAL, Transport.UNSPEC))


@pytest.fixture(autouse=True)
def an_hour_for_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpecho_trio.server.proxy_stage.HEADER_TIME", 3600.0)


async def test_a_proxys_own_connection_is_greeted_at_once() -> None:
    settings = Settings(dialect=ADMIN, proxy_protocol=True)
    async with running_server(settings) as server, await server.connect() as probe:
        await probe.send_all(LOCAL)
        with trio.fail_after(AT_ONCE):
            greeting = ADMIN.greeting.encode()
            assert await read_exactly(probe, len(greeting)) == greeting


async def test_a_proxys_own_connection_has_its_banner_at_once() -> None:
    settings = Settings(dialect=INSPECT, banner=True, proxy_protocol=True)
    async with running_server(settings) as server, await server.connect() as probe:
        await probe.send_all(LOCAL)
        with trio.fail_after(AT_ONCE):
            assert await read_exactly(probe, 1) == b"{"


async def test_where_the_client_speaks_first_a_probe_is_no_client_until_it_does() -> None:
    settings = Settings(dialect=STANDARD, proxy_protocol=True)
    async with running_server(settings) as server:
        async with await server.connect() as probe:
            await probe.send_all(LOCAL)
            await until(lambda: bool(server.registry.admitting))
        assert await server.endings() == ["probe"]
        assert server.told.named("connected") == []


async def test_whoever_says_nothing_before_its_header_holds_up_nobody() -> None:
    settings = Settings(proxy_protocol=True, drain_timeout=2)
    async with running_server(settings) as server:
        silent = [await server.connect() for _ in range(20)]
        with trio.fail_after(AT_ONCE):
            assert await server.ask(LOCAL + b"hola") == b"HOLA"
            server.lifecycle.drain()  # nor the end: the drain gives them little time
            await server.lifecycle.wait_stopped()
        for client in silent:
            await client.aclose()


async def test_whoever_is_let_in_as_the_drain_begins_has_little_time() -> None:
    settings = Settings(proxy_protocol=True, drain_timeout=3600)
    async with running_server(settings) as server:
        silent = server.at_the_door()
        server.lifecycle.drain()
        with trio.fail_after(AT_ONCE):
            await server.lifecycle.wait_stopped()
        await silent.aclose()
        assert await server.endings() == ["aborted"]
