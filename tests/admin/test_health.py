"""Health and readiness: what an orchestrator asks, in each phase of a server's life."""

from __future__ import annotations

import pytest
import trio

from tcpecho_trio.dialects import ADMIN
from tcpecho_trio.server import DrainReason, Settings
from tests.support.administered import administered, until
from tests.support.processes import OldClient
from tests.support.web import Web, ask, events

HEALTH, READY = "/healthz", "/readyz"


def asked(where: int | str) -> tuple[int, int, str]:
    ready = ask(where, "GET", READY)
    return ask(where, "GET", HEALTH).status, ready.status, ready.body.decode().strip()


async def test_a_server_that_runs_is_healthy_and_ready() -> None:
    async with administered() as server:
        assert await server.play(asked) == (200, 200, "ready")


async def test_a_server_that_starts_is_healthy_and_not_ready() -> None:
    async with administered(started=False) as server:
        assert await server.play(asked) == (200, 503, "starting")


async def test_a_full_server_is_not_ready_until_somebody_leaves() -> None:
    async with administered(Settings(max_connections=1)) as server:

        def fill(where: int | str) -> tuple[int, int, str]:
            with OldClient(server.port) as client:
                client.ask("hola\n")
                return asked(where)

        assert await server.play(fill) == (200, 503, "full")
        await until(lambda: server.registry.places == 0)
        assert await server.play(asked) == (200, 200, "ready")


async def test_a_server_in_its_shutdown_delay_is_not_ready() -> None:
    async with administered() as server:
        server.lifecycle.shutdown_delay = 60.0
        server.lifecycle.signal(DrainReason.SIGTERM)
        assert await server.play(asked) == (200, 503, "delaying")


async def test_both_answer_until_the_very_end_of_the_drain() -> None:
    async with administered() as server:
        client = await trio.open_tcp_stream("127.0.0.1", server.port)
        await client.send_all(b"hola\n")
        assert await client.receive_some() == b"HOLA\n"
        server.lifecycle.drain()
        await until(lambda: server.told.named("draining") != [])
        assert await server.play(asked) == (200, 503, "draining")
        # It lingers until we close; only then the server can end.
        assert await client.receive_some() == b""
        assert await server.play(asked) == (200, 503, "draining")
        await client.aclose()
        await server.lifecycle.wait_stopped()
        assert await server.play(asked) == (200, 503, "stopped")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_health_may_be_asked_for_without_a_body(method: str) -> None:
    async with administered() as server:
        answer = await server.play(ask, method, HEALTH)
        assert answer.headers["content-length"] == "3"
        assert answer.body == (b"ok\n" if method == "GET" else b"")


async def test_an_old_balancer_asks_in_http_1_0_without_a_host() -> None:
    def asked(where: int | str) -> bytes:
        with Web(where) as web:
            web.socket.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            return web.socket.recv(1000)

    async with administered() as server:
        assert (await server.play(asked)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_drain_that_a_word_asked_for_is_seen_on_the_event_stream() -> None:
    async with administered(Settings(dialect=ADMIN)) as server:

        def watch(where: int | str) -> list[str]:
            with events(where) as stream:
                with OldClient(server.port) as client:
                    client.hear()
                    client.ask("DESCONEXION\n")
                return [name for name, _ in stream if name != "sample"]

        names = await server.play(watch)
        assert names[-1] == "stopped"
        assert names.index("draining") < names.index("stopped")
        assert "closed" in names
