"""A client and a server that do not fit each other: said where it happens, with what to do."""

from __future__ import annotations

import json
import socket
import threading

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.client import Client, Framing, open_client
from tcpecho_trio.client.opening import Opening
from tcpecho_trio.client.prompt import MOMENT
from tcpecho_trio.client.raw import RawClient
from tcpecho_trio.client.replies import GAP
from tcpecho_trio.dialects import ADMIN, ECHO, SALUTATION, STANDARD, Dialect
from tests.client.test_prompt import PROMPT, Stream, converse
from tests.support.old_servers import OldServer, double
from tests.support.processes import OldClient, run, serving
from tests.support.screens import CTRL_C, CTRL_D, ENTER, client_screen

REPLY = "Respuesta del servidor:"
HINT_RAW = "(El servidor no termina sus líneas. Para hablar con él: --framing raw)"
ENGLISH_HINT_RAW = "(The server does not end its lines. To talk to it: --framing raw)\n"


def stripping(peer: socket.socket) -> None:
    """An old server that answers without a line feed, and goes on at the end of the input."""
    while data := peer.recv(1024):
        peer.sendall(data.strip().upper())
    release.wait(60)


release = threading.Event()


# A server that knows no lines, and a client that waits for one.


@pytest.mark.parametrize("terminal", ["editor", "plain"])
def test_at_the_prompt_a_line_without_an_end_is_shown_with_a_hint(
    terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal == "plain":
        monkeypatch.setenv("TERM", "dumb")
    with (
        OldServer(reply=lambda text: text.strip().upper()) as server,
        client_screen(server.port) as screen,
    ):
        screen.see_somewhere("Ingresa un mensaje:")
        screen.press("hola", ENTER)
        screen.see_somewhere(HINT_RAW)
        assert f"{REPLY} HOLA" in screen.lines
        screen.press("adios", ENTER)  # the conversation goes on
        screen.see_somewhere(f"{REPLY} ADIOS")
        screen.press(CTRL_C)
        screen.see_somewhere("Solicitando desconexión")
        screen.press(CTRL_C)
        screen.end()


async def test_the_hint_comes_a_moment_after_the_last_byte(autojump_clock: MockClock) -> None:
    async def server(stream: Stream) -> None:
        await stream.receive_some()
        for letter in (b"H", b"O"):
            await stream.send_all(letter)
            await trio.sleep(0.9 * MOMENT)
        await stream.send_all(b"LA")
        begun = trio.current_time()
        await stream.receive_some()  # the next message: the prompt has come back
        assert trio.current_time() - begun == pytest.approx(MOMENT)
        await stream.send_all(b"ADIOS\n")
        await stream.send_eof()

    screen, _ = await converse(server, ["hola", "adios"])
    assert screen.startswith(
        f"{PROMPT}hola\nReply from the server: HOLA\n{ENGLISH_HINT_RAW}"
        f"{PROMPT}adios\nReply from the server: ADIOS\n"
    )


async def test_what_nobody_asked_for_is_shown_without_the_hint(autojump_clock: MockClock) -> None:
    async def server(stream: Stream) -> None:
        await stream.send_all("¡Bienvenido!".encode())
        await trio.sleep(10)
        await stream.send_eof()

    screen, _ = await converse(server, [])
    assert "Reply from the server: ¡Bienvenido!\n" in screen
    assert "raw" not in screen


@pytest.mark.parametrize("options", [(), ("--json",)], ids=str)
def test_in_a_script_the_error_says_what_came_and_hints(options: tuple[str, ...]) -> None:
    release.clear()
    with double(stripping) as port:
        where = ("--host", "127.0.0.1", "--port", str(port))
        done = run("client", *where, "-m", "hola", "--timeout", "1.5", *options)
        release.set()
    assert done.returncode == 4
    (line,) = done.stderr.decode().splitlines()
    assert line.endswith("Llegó: «HOLA». ¿No sabe de líneas? --framing raw.")
    if options:
        assert json.loads(done.stdout)["error"] == "TooSlow"
    else:
        assert done.stdout == b"HOLA"


# Lines, and a client without them.


def test_raw_against_a_server_that_waits_for_a_line_says_so() -> None:
    def lines_only(peer: socket.socket) -> None:
        file = peer.makefile("rb")
        for line in file:
            peer.sendall(line.upper())

    with double(lines_only) as port:
        where = ("--host", "127.0.0.1", "--port", str(port), "--framing", "raw")
        done = run("client", *where, "-m", "hola", "--timeout", "0.5")
    assert done.returncode == 4
    assert done.stderr.decode().rstrip().endswith("; o quita --framing raw.")


def test_raw_against_our_own_server_works() -> None:
    with serving("--host", "127.0.0.1") as server:
        where = ("--host", "127.0.0.1", "--port", str(server.port), "--framing", "raw")
        done = run("client", *where, "-m", "hola", "-m", "adios")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"HOLA\nADIOS\n", b"")


# A greeting of another dialect.


@pytest.mark.parametrize("framing", ["line", "raw"])
async def test_a_greeting_is_one_whatever_the_dialect(framing: Framing) -> None:
    with serving("--host", "127.0.0.1", "--dialect", "admin") as server:
        async with open_client("127.0.0.1", server.port, framing=framing) as client:
            assert await client.ask("hola") == "HOLA"
            assert client.greeting == ADMIN.greeting
            assert client.greeted_by is ADMIN


def test_a_pipe_does_not_mix_a_greeting_with_the_replies() -> None:
    with serving("--host", "127.0.0.1", "--dialect", "admin") as server:
        where = ("--host", "127.0.0.1", "--port", str(server.port))
        for options, stdin in ((("-m", "hola"), b""), ((), b"hola\n"), (("--json",), b"hola\n")):
            done = run("client", *where, *options, stdin=stdin)
            reply = json.loads(done.stdout)["received"] if "--json" in options else "HOLA"
            assert (done.returncode, reply) == (0, "HOLA")
            if "--json" not in options:
                assert done.stdout == b"HOLA\n"


def test_at_the_prompt_the_other_dialect_is_named() -> None:
    with (
        serving("--host", "127.0.0.1", "--dialect", "admin") as server,
        client_screen(server.port) as screen,
    ):
        hint = "(El servidor habla otro dialecto: --dialect admin)"
        screen.see_prompt()
        screen.see_somewhere(hint)
        assert screen.lines[1:3] == [ADMIN.greeting, hint]
        screen.press("hola", ENTER)
        screen.see_prompt(after=f"{REPLY} HOLA")
        screen.press("APAGAR", ENTER)  # in this dialect it is text, and yet ends the connection
        assert screen.end() == 1


def assert_it_greets(port: int) -> None:
    with OldClient(port) as old:
        assert old.hear() == ADMIN.greeting


@pytest.mark.parametrize("terminal", ["editor", "plain"])
def test_whoever_leaves_by_a_key_does_not_end_a_server_of_another_dialect(
    terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal == "plain":
        monkeypatch.setenv("TERM", "dumb")
    with serving("--host", "127.0.0.1", "--dialect", "admin") as server:
        with client_screen(server.port) as screen:
            screen.see_somewhere("(El servidor habla otro dialecto: --dialect admin)")
            screen.see_text("Ingresa un mensaje:")  # before that, keys may go to nobody
            screen.press(CTRL_D)
            screen.see_somewhere("Respuesta del servidor: Desconectado del servidor.")
            assert screen.end() == 0
        assert_it_greets(server.port)


@pytest.mark.parametrize("framing", ["line", "raw"])
async def test_leaving_does_not_end_a_server_of_another_dialect(framing: Framing) -> None:
    with serving("--host", "127.0.0.1", "--dialect", "admin") as server:
        async with open_client("127.0.0.1", server.port, framing=framing) as client:
            assert await client.ask("hola") == "HOLA"
            assert client.leaving_word == "APAGAR"
            assert await client.leave() == "Desconectado del servidor."
        done = run(
            "client",
            *("--host", "127.0.0.1", "--port", str(server.port)),
            *("--framing", framing, "-m", "hola"),
        )
        assert (done.returncode, done.stdout) == (0, b"HOLA\n")
        assert_it_greets(server.port)


def test_a_greeting_in_pieces_is_told_apart_from_a_reply_that_begins_alike() -> None:
    greeting = ADMIN.greeting.encode()
    opening = Opening(STANDARD)
    assert opening.received(greeting[:10]) == b""
    assert opening.received(greeting[10:] + b"HOLA\n") == b"HOLA\n"
    assert (opening.over, opening.greeted) == (True, ADMIN)
    opening = Opening(STANDARD)
    assert opening.received(b"C") == b""
    assert opening.wait == GAP
    assert opening.received(b"ASA\n") == b"CASA\n"
    assert (opening.over, opening.greeted) == (True, None)
    opening = Opening(ADMIN)
    assert opening.received(b"C") == b""
    assert opening.wait == float("inf")  # this one is expected: it may take its time


@pytest.mark.parametrize("kind", [Client, RawClient])
async def test_a_reply_that_begins_like_a_greeting_is_held_no_longer_than_a_gap(
    kind: type[Client], autojump_clock: MockClock
) -> None:
    ours, theirs = memory_stream_pair()
    client = kind(ours, STANDARD, "double:1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.ask, "c")
        await theirs.receive_some()
        await theirs.send_all(b"C")
        if kind is Client:
            await trio.sleep(2 * GAP)
            await theirs.send_all(b"\n")


# Words that are almost commands.


@pytest.mark.parametrize(
    ("dialect", "typed", "hint"),
    [
        (STANDARD, "desconexion", "DESCONEXION"),
        (STANDARD, " DESCONEXION", "DESCONEXION"),
        (ADMIN, "listar", "LISTAR"),
        (SALUTATION, "Hola Servidor", "hola servidor"),
        (STANDARD, "listar", None),
        (STANDARD, "hola", None),
        (ECHO, "desconexion", None),
    ],
)
async def test_a_word_in_other_letters_is_answered_with_a_hint(
    dialect: Dialect, typed: str, hint: str | None, autojump_clock: MockClock
) -> None:
    async def server(stream: Stream) -> None:
        await stream.receive_some()
        await stream.send_all(f"{dialect.greeting}{typed.upper()}\n".encode())
        await trio.sleep(1)
        await stream.send_eof()

    screen, _ = await converse(server, [typed], dialect)
    told = f"(If that was a command, it is written like this: {hint})\n"
    reply = f"Reply from the server: {typed.upper()}\n"
    assert (reply + told in screen) == (hint is not None)
    assert reply in screen


def test_the_hint_is_seen_at_the_prompt() -> None:
    with serving("--host", "127.0.0.1") as server, client_screen(server.port) as screen:
        screen.see_prompt()
        screen.press("desconexion", ENTER)
        screen.see_prompt(after="(Si querías dar una orden, se escribe así: DESCONEXION)")
        screen.press("DESCONEXION", ENTER)
        assert screen.end() == 0
