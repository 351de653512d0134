"""A server whose place another one has taken: it accepts nobody else and hurries nobody."""

from __future__ import annotations

import socket

import pytest
import trio

from tcpecho_trio.server.listeners import Inherited
from tests.support.running import read_all, read_exactly, running_server


async def test_a_retiring_server_answers_until_its_last_client_leaves_and_then_ends(
    path: str,
) -> None:
    async with running_server() as server, await server.connect() as client:
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"
        server.lifecycle.retire()
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(OSError, match="connect"):
            await server.connect()
        await client.send_all(b"todavia\n")
        assert await read_exactly(client, 8) == b"TODAVIA\n"
        await client.send_all(b"DESCONEXION\n")
        await client.send_eof()
        await read_all(client)
        await server.lifecycle.wait_stopped()
        assert server.told.named("draining") == []
        assert server.told.named("stopped")[0]["served"] == 1


async def test_a_retiring_server_that_nobody_uses_ends_at_once() -> None:
    async with running_server() as server:
        server.lifecycle.retire()
        await server.lifecycle.wait_stopped()


async def test_a_retiring_server_drains_when_it_is_told_to(path: str) -> None:
    async with running_server() as server, await server.connect() as client:
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"
        server.lifecycle.retire()
        await trio.testing.wait_all_tasks_blocked(0.01)
        server.lifecycle.drain()
        assert await read_all(client) == b""
        await server.lifecycle.wait_stopped()
        assert server.told.named("draining")[0]["clients"] == 1


@pytest.mark.parametrize("backlog", [True, False])
@pytest.mark.parametrize("end", ["drain", "retire"])
async def test_who_waits_at_an_inherited_socket_is_served_or_left_to_the_next_server(
    backlog: bool, end: str
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as opened:
        port = opened.getsockname()[1]
        same = trio.socket.from_stdlib_socket(opened.dup())
        inherited = Inherited(trio.SocketListener(same), f"localhost:{port}", backlog=backlog)
        async with running_server(listeners=[inherited]) as server:
            clients = [server.at_the_door(b"hola\n") for _ in range(200)]
            getattr(server.lifecycle, end)()  # before the server can have seen all of them
            for client in clients[: None if backlog and end == "drain" else 0]:
                assert await read_exactly(client, 5) == b"HOLA\n"
            for client in clients:
                await client.aclose()
            await server.lifecycle.wait_stopped()
            accepted = server.registry.accepted
        opened.setblocking(False)
        while accepted < len(clients):
            waiting, _ = opened.accept()
            assert waiting.recv(5) == b"hola\n"
            waiting.close()
            accepted += 1
