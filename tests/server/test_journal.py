"""Events, told to a person or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tcpecho_trio.server import events
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.journal import EVENTS_A_SECOND, MAX_LINES, NEWCOMER_TIME, Journal
from tcpecho_trio.server.renderers import Renderer, console_renderer, json_renderer
from tcpecho_trio.server.stats import ConnectionStats, Totals
from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.texts import ENGLISH, LANGUAGES, SPANISH, Texts

STOPPED = "Servidor detenido: 12 clientes atendidos, 1 cortado."


def connection(client: str) -> ConnectionInfo:
    """The same number for the same client."""
    return ConnectionInfo(int(client.partition(":")[2]), client, client, "here:1")


class Server:
    """What a server publishes, and the journal that listens to it."""

    def __init__(self, render: Renderer, *, messages: bool = True) -> None:
        self.events = Events()
        self.journal = Journal(render, messages=messages)
        self.journal.listen_to(self.events)
        self.run = self.journal.run

    def received(self, client: str, data: bytes) -> None:
        begun = data.count(b"\n") + (not data.endswith(b"\n"))
        self.events.received(connection(client), data, begun)

    def replied(self, client: str, data: bytes) -> None:
        self.events.replied(connection(client), data, 1)

    def connected(self, client: str) -> None:
        self.events.publish(events.ConnectionOpened(connection(client)))

    def leaving(self, client: str) -> None:
        self.events.publish(events.DisconnectRequested(connection(client)))

    def closed(self, client: str, reason: CloseReason) -> None:
        stats = ConnectionStats(0.0)
        self.events.publish(events.ConnectionClosed(connection(client), reason, stats, 1.5))

    def stopped(self, served: int, aborted: int) -> None:
        self.events.publish(events.ServerStopped(served, aborted, Totals()))


def told(texts: Texts = SPANISH, *, messages: bool = True) -> tuple[Server, list[str]]:
    lines: list[str] = []
    return Server(console_renderer(lines.append, texts), messages=messages), lines


async def test_a_chunk_is_told_line_by_line() -> None:
    journal, lines = told()
    journal.received("p:1", b"hola\r\nadi\xc3\xb3s\nrest")
    journal.received("p:1", b"\n")
    texts = ("hola", "adiós", "rest", "")
    assert lines == [f"[p:1] Mensaje recibido: {text}" for text in texts]


@pytest.mark.parametrize("ending", [b"", b"\n"])
async def test_of_many_lines_at_once_the_first_are_told_and_the_rest_counted(
    autojump_clock: MockClock, ending: bytes
) -> None:
    journal, lines = told()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        journal.received("p:1", b"\n".join([b"x"] * 5000) + ending)
        journal.replied("p:1", b"\n".join([b"X"] * 5000) + ending)
        assert len(lines) == 2 * MAX_LINES
        await trio.sleep(1.5)
        assert lines[-1] == f"… y {5000 - MAX_LINES:,} mensajes más".replace(",", " ")
        nursery.cancel_scope.cancel()


async def test_one_more_is_told_in_the_singular(autojump_clock: MockClock) -> None:
    journal, lines = told()
    for number in range(EVENTS_A_SECOND + 1):
        journal.connected(f"p:{number}")
    journal.stopped(1, 0)
    assert lines[-2] == "… y 1 conexión más"


async def test_more_messages_than_one_can_read_are_counted_and_told_each_second(
    autojump_clock: MockClock,
) -> None:
    journal, lines = told(ENGLISH)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        for _ in range(3):
            lines.clear()
            for _ in range(10_000):
                journal.received("p:1", b"x\n")
                journal.replied("p:1", b"X\n")
            assert len(lines) == 2 * EVENTS_A_SECOND
            await trio.sleep(1.1)
            assert lines[2 * EVENTS_A_SECOND :] == [
                f"… and {10_000 - EVENTS_A_SECOND:,} more messages"
            ]
        await trio.sleep(100)
        lines.clear()
        journal.received("p:1", b"x\n")
        journal.replied("p:1", b"X\n")
        assert len(lines) == 2
        nursery.cancel_scope.cancel()


async def test_at_a_rate_one_can_read_every_message_is_told(autojump_clock: MockClock) -> None:
    journal, lines = told()
    for _ in range(200):
        journal.received("p:1", b"x\n")
        journal.replied("p:1", b"X\n")
        await trio.sleep(1 / EVENTS_A_SECOND + 0.001)
    assert len(lines) == 400


async def test_what_was_not_told_is_counted_at_the_end() -> None:
    journal, lines = told()
    for _ in range(1000):
        journal.received("p:1", b"x")
    journal.stopped(12, 1)
    assert lines[-2:] == [f"… y {1000 - EVENTS_A_SECOND} mensajes más", STOPPED]


async def test_what_peers_send_is_escaped_and_cut() -> None:
    journal, lines = told()
    journal.received("p:1", b"\x1b[2J" + b"a" * 1000)
    assert lines[0].startswith(r"[p:1] Mensaje recibido: \x1b[2Jaaa")
    assert len(lines[0]) < 240


async def test_quiet_tells_no_connections_and_no_messages_but_everything_else() -> None:
    journal, lines = told(messages=False)
    journal.connected("p:1")
    journal.received("p:1", b"x\n" * 1000)
    journal.replied("p:1", b"X")
    journal.leaving("p:1")
    journal.closed("p:1", CloseReason.DISCONNECTED)
    assert lines == []
    journal.events.publish(events.ShutdownRefused(connection("p:1")))
    journal.stopped(12, 1)
    assert lines == ["[p:1] Apagado remoto rechazado (1)", STOPPED]


async def test_connections_too_are_counted_when_they_are_too_many(
    autojump_clock: MockClock,
) -> None:
    journal, lines = told()
    for number in range(1000):
        journal.connected(f"p:{number}")
    journal.stopped(12, 1)
    assert lines[-2] == f"… y {1000 - EVENTS_A_SECOND} conexiones más"


async def test_failures_to_accept_are_told_now_and_then(autojump_clock: MockClock) -> None:
    journal, lines = told()
    for _ in range(250):
        journal.events.publish(events.AcceptFailed("[Errno 24] Too many open files"))
        await trio.sleep(0.125)
    assert [line.split("intentos: ")[1].split(")")[0] for line in lines] == ["1", "80", "80", "80"]


@pytest.mark.parametrize("texts", LANGUAGES.values())
async def test_every_close_reason_has_its_words(texts: Texts) -> None:
    journal, lines = told(texts)
    for reason in CloseReason:
        journal.closed("p:1", reason)
    assert len(lines) == len(set(lines)) == len(CloseReason)


def test_both_languages_fill_in_the_same_names() -> None:
    def names(line: str) -> set[str]:
        return {part.partition("}")[0] for part in line.split("{")[1:]}

    def compare(spanish: Any, english: Any) -> None:
        for field in fields(spanish):
            one, other = getattr(spanish, field.name), getattr(english, field.name)
            if isinstance(one, Mapping):
                continue  # what the system's own words are called; English has them already
            if is_dataclass(one):
                compare(one, other)
                continue
            if isinstance(one, str):
                one, other = (one,), (other,)
            for said, also_said in zip(one, other, strict=True):
                assert said
                assert names(said) == names(also_said), field.name

    compare(SPANISH, ENGLISH)


async def test_json_is_one_object_a_line_and_escaped_once() -> None:
    lines: list[str] = []
    journal = Server(json_renderer(lines.append, "azul"))
    journal.received("p:1", "año\x1b\n".encode())
    journal.events.publish(events.ConnectionCrashed(connection("p:1"), RuntimeError("a\nbug")))
    first, second = map(json.loads, lines)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "received",
        "server": "azul",
        "connection": 1,
        "client": "p:1",
        "peer": "p:1",
        "listener": "here:1",
        "text": "año\\x1b",
    }
    assert second["event"] == "crashed"
    assert "RuntimeError" in second["traceback"]
    assert not any("\n" in line for line in lines)


async def test_json_can_be_written_in_utf8_whatever_the_server_is_called() -> None:
    lines: list[str] = []
    journal = Server(json_renderer(lines.append, "azul\udcff"))
    journal.received("p:1", b"hola\n")
    assert json.loads(lines[0].encode())["server"] == "azul\udcff"


async def test_a_reply_is_told_when_its_message_was_whoever_came_between() -> None:
    journal, lines = told()
    journal.received("a:1", b"DESCONEXION")
    for _ in range(1000):
        journal.received("b:2", b"x\n")
        journal.replied("b:2", b"X\n")
    del lines[:]
    journal.leaving("a:1")
    journal.replied("a:1", b"bye")
    journal.leaving("b:2")
    assert lines == [
        "[a:1] Cliente solicitó desconexión. Cerrando conexión...",
        "[a:1] Respuesta enviada: bye",
    ]


async def test_no_more_lines_are_told_in_a_second_than_may_be() -> None:
    journal, lines = told()
    for _ in range(1000):
        journal.received("a:1", b"x\n" * MAX_LINES)
    assert len(lines) == EVENTS_A_SECOND


async def test_a_client_that_says_nothing_is_told_of_after_a_moment(
    autojump_clock: MockClock,
) -> None:
    journal, lines = told()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        for number in range(3):
            journal.connected(f"p:{number}")
        await trio.sleep(NEWCOMER_TIME / 2)
        assert lines == []
        journal.received("p:1", b"hola\n")
        assert lines == ["[p:1] Cliente conectado", "[p:1] Mensaje recibido: hola"]
        journal.closed("p:2", CloseReason.PROBE)
        await trio.sleep(NEWCOMER_TIME)
        assert lines[2:] == ["[p:0] Cliente conectado"]
        nursery.cancel_scope.cancel()


async def test_a_newcomer_that_is_closed_for_another_reason_is_told_of() -> None:
    journal, lines = told()
    journal.connected("p:1")
    journal.closed("p:1", CloseReason.DRAINED)
    assert lines[0] == "[p:1] Cliente conectado"
    assert len(lines) == 2


async def test_what_has_left_is_forgotten() -> None:
    server = Server(lambda *_: None)
    for number in range(2 * EVENTS_A_SECOND):
        client = f"p:{number}"
        server.connected(client)
        server.received(client, b"hola\n")
        server.closed(client, CloseReason.EOF)
    assert not server.journal._told
    assert not server.journal._newcomers


async def test_a_told_message_has_one_told_reply_however_often_is_sent() -> None:
    journal, lines = told()
    journal.received("p:1", b"LISTAR\n")
    for _ in range(1000):
        journal.replied("p:1", b"x\n" * 30)
    assert len(lines) == 1 + MAX_LINES
