"""Conversations over WebSockets: with this server like any other."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack

import pytest
import trio
import wsproto.events

from tcpecho_trio.admin import service
from tcpecho_trio.dialects import ADMIN, INSPECT
from tcpecho_trio.server import DrainReason, Settings
from tests.support.administered import administered, until
from tests.support.processes import OldClient
from tests.support.web import Conversation, Web, ask

Where = int | str
UPGRADE = {
    "connection": "keep-alive, Upgrade",
    "upgrade": "WebSocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_a_message_is_answered_and_the_word_ends_it() -> None:
    async with administered() as server:

        def play(where: Where) -> object:
            with Conversation(where) as client:
                client.say("hola\n")
                client.hear("HOLA\n")
                client.say("ñan")
                client.say("dú\nDESCONEXION\n")
                client.hear("ÑANDÚ\nConexión cerrada\n")
                return client.end()

        assert await server.play(play) == (1000, "disconnected")


async def test_it_is_counted_and_listed_as_one_of_the_web() -> None:
    async with administered(Settings(dialect=ADMIN)) as server:

        def play(where: Where) -> tuple[object, str]:
            with Conversation(where) as client, OldClient(server.port) as other:
                client.hear("Conexión exitosa. Usa 'LISTAR' para ver clientes.")
                address = "{}:{}".format(*client.socket.getsockname())
                other.hear()
                listed = other.ask("LISTAR\n")
                assert f"web:{address}" in listed
                clients = ask(where, "GET", "/api/clients").json["clients"]
                (found,) = [one for one in clients if one["listener"] == "web"]
                assert found["client"] == found["peer"] == f"web:{address}"
                return client.leave(), listed

        closed, _ = await server.play(play)
        assert closed == (1000, "eof")
        await until(lambda: server.registry.closed == 2)
        assert server.registry.accepted_at == {"web": 1, f"127.0.0.1:{server.port}": 1}


async def test_what_is_held_is_answered_after_a_quiet_period() -> None:
    async with administered() as server:

        def play(where: Where) -> None:
            with Conversation(where) as client:
                client.say("DESCO")
                client.hear("DESCO")

        await server.play(play)


async def test_it_is_drained_like_any_other() -> None:
    async with administered() as server:

        def play(where: Where) -> object:
            with Conversation(where) as client:
                client.say("hola\n")
                client.hear("HOLA\n")
                trio.from_thread.run_sync(server.lifecycle.drain)
                return client.end()

        assert await server.play(play) == (1001, "drained")
        assert (await server.play(ask, "GET", "/ws")).status == 426


async def test_the_administrator_may_let_it_go() -> None:
    async with administered() as server:

        def play(where: Where) -> object:
            with Conversation(where) as client:
                client.say("hola\n")
                client.hear("HOLA\n")
                assert ask(where, "DELETE", "/api/clients/1").status == 204
                return client.end()

        assert await server.play(play) == (1000, "operator")


async def test_a_full_server_says_so_and_closes() -> None:
    async with administered(Settings(max_connections=1)) as server:

        def play(where: Where) -> object:
            with OldClient(server.port) as first:
                first.ask("hola\n")
                with Conversation(where) as client:
                    client.hear("ERROR: el servidor está lleno, inténtalo más tarde\n")
                    return client.end()

        assert await server.play(play) == (1013, "full")


async def test_the_limit_of_its_address_holds_for_it_too() -> None:
    async with administered(Settings(max_connections_per_address=1)) as server:

        def play(where: Where) -> object:
            with Conversation(where) as first, Conversation(where) as client:
                first.say("hola\n")
                first.hear("HOLA\n")
                client.hear("ERROR: hay demasiadas conexiones desde tu dirección\n")
                return client.end()

        assert await server.play(play) == (1013, "address_limit")


async def test_it_suffers_faults_like_any_other() -> None:
    async with administered() as server:

        def play(where: Where) -> object:
            ask(where, "PUT", "/api/faults", b'{"faults": ["close:6"]}')
            with Conversation(where) as client:
                client.say("ñandú\n")  # cut between the two bytes of a letter
                client.hear("ÑAND")
                return client.end()

        assert await server.play(play) == (1000, "fault")


async def test_a_report_says_by_which_way_it_came() -> None:
    async with administered(Settings(dialect=INSPECT)) as server:

        def play(where: Where) -> str:
            with Conversation(where) as client:
                client.say("INFORME\n")
                while not client.text.endswith("\n"):
                    event = client._next()
                    client.text += event.data
                return client.text

        assert '"listener": "web"' in await server.play(play)


async def test_an_idle_one_is_let_go() -> None:
    async with administered(Settings(idle_timeout=0.2)) as server:

        def play(where: Where) -> object:
            with Conversation(where) as client:
                client.say("hola\n")
                client.hear("HOLA\n")
                return client.end()

        assert await server.play(play) == (1000, "idle")


async def test_a_remote_shutdown_from_this_machine_is_obeyed() -> None:
    async with administered(Settings(dialect=ADMIN)) as server:

        def play(where: Where) -> object:
            with Conversation(where) as client:
                client.say("DESCONEXION\n")
                client.hear(
                    "Conexión exitosa. Usa 'LISTAR' para ver clientes.SERVIDOR CERRÁNDOSE...\n"
                )
                return client.end()

        assert await server.play(play) == (1001, "shutdown")
        assert server.lifecycle.reason is DrainReason.REMOTE


async def test_a_ping_is_answered_in_the_middle_of_a_message() -> None:
    async with administered() as server:

        def play(where: Where) -> None:
            with Conversation(where) as client:
                client.send(wsproto.events.TextMessage(data="ho", message_finished=False))
                client.send(wsproto.events.Ping(payload=b"there?"))
                client.send(wsproto.events.TextMessage(data="la\n"))
                heard, pong = "", None
                while heard != "HOLA\n" or pong is None:
                    event = client._next()
                    if isinstance(event, wsproto.events.Pong):
                        pong = bytes(event.payload)
                    else:
                        heard += event.data
                assert pong == b"there?"

        await server.play(play)


async def test_a_message_of_a_mebibyte_comes_back_whole() -> None:
    async with administered() as server:

        def play(where: Where) -> bool:
            with Conversation(where) as client:
                text = "a ñ" * (1 << 18) + "\n"
                client.socket.settimeout(None)
                sender = client._frames.send(wsproto.events.TextMessage(data=text))
                with ExitStack() as stack:
                    import threading

                    thread = threading.Thread(target=client.socket.sendall, args=(sender,))
                    thread.start()
                    stack.callback(thread.join)
                    heard: list[str] = []
                    while sum(map(len, heard)) < len(text):
                        heard.append(client._next().data)
                return "".join(heard) == text.upper()

        assert await server.play(play)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x82\x81\0\0\0\0x", 1003),  # binary
        (b"\x81\x81\0\0\0\0\xff", 1007),  # not UTF-8
        (b"\x81\x01x", 1002),  # not masked
        (b"\xf1\x81\0\0\0\0x", 1002),  # reserved bits
        (b"\x89\xfe\x00\x7e\0\0\0\0" + bytes(126), 1002),  # a ping of 126 bytes
        (b"\x80\x81\0\0\0\0x", 1002),  # a continuation of nothing
    ],
)
async def test_what_is_no_frame_of_text_ends_it(frame: bytes, code: int) -> None:
    async with administered() as server:

        def play(where: Where) -> object:
            with Conversation(where) as client:
                client.say("hola\n")
                client.hear("HOLA\n")
                client.socket.sendall(frame)
                return client.end()[0]

        assert await server.play(play) == code
        await until(lambda: server.registry.closed == 1)
        assert server.told.named("crashed") == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"upgrade": "h2c"}, 426),
        ({"connection": "close"}, 426),
        ({"sec-websocket-version": "8"}, 426),
        ({"sec-websocket-key": None}, 400),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example"}, 421),
        ({}, 101),
    ],
)
async def test_only_what_may_become_a_websocket_does(
    change: dict[str, str | None], status: int
) -> None:
    async with administered() as server:

        def play(where: Where) -> int:
            with Web(where) as web:
                headers = {k: v for k, v in {**UPGRADE, **change}.items() if v is not None}
                web.send("GET", "/ws", **headers)
                return web.head().status

        assert await server.play(play) == status


async def test_who_asks_for_it_is_told_first_which_connection_it_is() -> None:
    async with administered(Settings(dialect=ADMIN)) as server:

        def play(where: Where) -> tuple[object, object]:
            with Conversation(where, protocol="tcpecho.introduced") as client:
                client.hear("Conexión exitosa. Usa 'LISTAR' para ver clientes.")
                client.say("LIS")
                told = client._next()
                assert isinstance(told, wsproto.events.BytesMessage)
                client.say("TAR\n")
                client.hear(
                    f"Clientes conectados:\nweb:127.0.0.1:{client.socket.getsockname()[1]}\n"
                )
                (listed,) = ask(where, "GET", "/api/clients").json["clients"]
                own = {"connection": listed["number"], "client": listed["client"]}
                return json.loads(bytes(told.data)), own

        told, own = await server.play(play)
        assert told == own


async def test_a_server_that_starts_takes_none() -> None:
    async with administered(started=False) as server:

        def play(where: Where) -> int:
            with Web(where) as web:
                return web.ask("GET", "/ws", **UPGRADE).status

        assert await server.play(play) == 503


async def test_one_that_does_not_read_is_cut_and_the_rest_served() -> None:
    async with administered(Settings(write_timeout=0.5)) as server:

        def play(where: Where) -> None:
            with Conversation(where) as stuck, Conversation(where) as client:
                stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                stuck.socket.settimeout(0.2)
                line = "x" * 60_000 + "\n"
                try:
                    while True:
                        stuck.say(line)
                except OSError:  # full, or reset already
                    pass
                client.say("hola\n")
                client.hear("HOLA\n")
                while "write_timeout" not in (
                    closed := ask(where, "GET", "/api/status").json["totals"]["closed"]
                ):
                    assert set(closed) <= {"write_timeout"}

        await server.play(play)


async def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(service.LASTING, "conversations", 2)
    async with administered() as server:

        def play(where: Where) -> list[int]:
            with Web(where) as one, Web(where) as two, Web(where) as three:
                first = []
                for web in (one, two, three):  # one after the other: whoever is served first counts
                    web.send("GET", "/ws", **UPGRADE)
                    first.append(web.head().status)
                one.socket.close()
                while ask(where, "GET", "/api/status").json["clients"] > 1:
                    pass
                with Web(where) as web:
                    web.send("GET", "/ws", **UPGRADE)
                    return [*first, web.head().status]

        assert await server.play(play) == [101, 101, 503, 101]


async def test_a_second_signal_cuts_them_at_once() -> None:
    async with administered() as server:

        def play(where: Where) -> object:
            with Conversation(where) as client:
                client.say("hola\n")
                client.hear("HOLA\n")
                trio.from_thread.run_sync(server.lifecycle.abort)
                try:
                    return client.end()[0]
                except OSError:  # a reset
                    return 1006

        assert await server.play(play) == 1006
