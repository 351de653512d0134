"""A server that has no room is an error of its own, in whichever way the client is used."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.client import GAP, Client, ClientTls, Framing, open_client
from tcpecho_trio.client.raw import RawClient
from tcpecho_trio.dialects import ADMIN, ECHO, STANDARD, WIRE_ERRORS, Dialect
from tcpecho_trio.errors import CannotConnect, ConnectionLost, ServerFull
from tests.support.old_servers import double, wait_for_end
from tests.support.processes import at_terminal, exit_code, run, serving
from tests.support.running import running_server
from tests.support.screens import client_screen

REFUSAL = "el servidor está lleno, inténtalo más tarde"


@contextmanager
def full_server(*options: str) -> Iterator[int]:
    """A server with room for one client, and that one is there."""
    with (
        serving("--host", "127.0.0.1", "--max-connections", "1", *options) as server,
        socket.create_connection(("127.0.0.1", server.port)) as first,
    ):
        if not any(option.startswith("--tls") for option in options):
            first.sendall(b"hola\n")
            assert first.recv(100) == b"HOLA\n"  # it has been accepted
        yield server.port


@pytest.fixture(scope="module")
def full() -> Iterator[int]:
    """The port of a full server."""
    with full_server() as port:
        yield port


def ask(port: int, *options: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return run("client", "--host", "127.0.0.1", "--port", str(port), *options, stdin=stdin)


@pytest.mark.parametrize("framing", ["line", "raw"])
@pytest.mark.parametrize(
    ("options", "stdin"),
    [
        (("-m", "hola"), b""),
        (("-m", "error: x"), b""),  # its echo would begin with the same word
        ((), b"hola\nadios\n"),
        (("--json", "-m", "hola", "-m", "adios"), b""),
        (("--json",), b"hola\nadios\n"),
    ],
    ids=["-m", "-m error: x", "pipe", "json -m", "json pipe"],
)
def test_a_full_server_is_code_3_and_one_line_and_no_reply(
    full: int, options: tuple[str, ...], stdin: bytes, framing: str
) -> None:
    done = ask(full, *options, "--framing", framing, stdin=stdin)
    assert done.returncode == 3
    assert done.stderr.decode() == f"Error: 127.0.0.1:{full} no nos atiende: {REFUSAL}.\n"
    if "--json" in options:
        (line,) = done.stdout.splitlines()
        told = json.loads(line)
        assert (told["sent"], told["received"], told["error"]) == ("hola", None, "ServerFull")
    else:
        assert done.stdout == b""


def test_a_full_server_that_is_sent_more_than_it_reads_is_the_same_error(full: int) -> None:
    done = ask(full, stdin=b"hola\n" * 4_000_000)
    assert (done.returncode, done.stdout) == (3, b"")
    assert REFUSAL in done.stderr.decode()


@pytest.mark.parametrize("framing", ["line", "raw"])
@pytest.mark.parametrize("editor", [True, False])
def test_at_the_prompt_a_full_server_is_one_clear_line(
    full: int, framing: str, editor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if editor:
        with client_screen(full, "--framing", framing) as screen:
            assert screen.end() == 3
            assert "Respuesta" not in "\n".join(screen.lines)
            assert "".join(screen.lines[-2:]).endswith(f"no nos atiende: {REFUSAL}.")
        return
    monkeypatch.setenv("TERM", "dumb")
    where = ("--host", "127.0.0.1", "--port", str(full), "--framing", framing)
    with at_terminal("client", *where) as terminal:
        terminal.expect_exact(f"Error: 127.0.0.1:{full} no nos atiende: {REFUSAL}.\r\n")
        assert "Respuesta" not in str(terminal.before)
        assert exit_code(terminal) == 3


@pytest.mark.parametrize("framing", ["line", "raw"])
async def test_in_the_library_a_full_server_is_an_error_that_stays(
    full: int, framing: Framing
) -> None:
    async with open_client("127.0.0.1", full, framing=framing) as client:
        for _ in range(2):
            with pytest.raises(ServerFull, match="lleno") as caught:
                await client.ask("hola")
            assert isinstance(caught.value, CannotConnect)


async def test_over_tls_too(tmp_path: Path) -> None:
    assert run("lab-certs", str(tmp_path)).returncode == 0
    files = ("--tls-cert", f"{tmp_path}/server.pem", "--tls-key", f"{tmp_path}/server.key")
    with full_server(*files) as port:
        with pytest.raises(ServerFull):
            async with open_client(
                "127.0.0.1", port, tls=ClientTls(ca=str(tmp_path / "ca.pem")), timeout=20
            ):
                pass
        done = ask(port, "--tls-ca", str(tmp_path / "ca.pem"), "-m", "hola")
        assert (done.returncode, done.stdout) == (3, b"")
        assert "quizá está lleno" in done.stderr.decode()


@pytest.mark.parametrize(
    "line",
    [
        *(errors.full.encode() for errors in WIRE_ERRORS.values()),
        *(errors.address_limit.encode() for errors in WIRE_ERRORS.values()),
        b"ERROR: no",
    ],
)
def test_whatever_the_reason_and_the_language(line: bytes) -> None:
    def refuse(peer: socket.socket) -> None:
        # In one segment with the end: after a pause, which a busy machine may make between the two,
        # it would be a reply.
        peer.sendall(line, getattr(socket, "MSG_MORE", 0))
        peer.shutdown(socket.SHUT_WR)
        wait_for_end(peer)

    with double(refuse) as port:
        done = ask(port, "-m", "hola")
        assert (done.returncode, done.stdout) == (3, b"")
        assert line.decode().strip().removeprefix("ERROR: ") in done.stderr.decode()


# What only looks like it.


@pytest.mark.parametrize("framing", ["line", "raw"])
@pytest.mark.parametrize("message", ["error: x", "ERROR: X", "e", "error:", "c"])
async def test_text_that_comes_back_is_a_reply(message: str, framing: Framing) -> None:
    async with (
        running_server() as server,
        open_client("127.0.0.1", server.port, framing=framing) as client,
    ):
        assert await client.ask(message) == message.upper()


def test_text_that_comes_back_is_a_reply_when_the_server_closes_at_once() -> None:
    with serving("--host", "127.0.0.1") as server:
        for text in (b"error: x\n", b"error: x", b"error: x\nhola\n"):
            done = ask(server.port, stdin=text)
            assert (done.returncode, done.stdout, done.stderr) == (0, text.upper(), b"")


async def replies_to(
    message: str,
    said: bytes,
    dialect: Dialect = STANDARD,
    *,
    raw: bool = False,
    closes_after: float = 10 * GAP,
) -> str:
    """Ask a double that says this, and then closes."""
    ours, theirs = memory_stream_pair()
    client: Client = (RawClient if raw else Client)(ours, dialect, "double:1")

    async def answer() -> None:
        await theirs.receive_some()
        await theirs.send_all(said)
        await trio.sleep(closes_after)  # the mock clock's
        await theirs.send_eof()

    replies: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        replies.append(await client.ask(message))
    return replies[0]


async def test_a_server_that_does_not_close_has_replied(autojump_clock: MockClock) -> None:
    assert await replies_to("hola", b"ERROR: what?\n") == "ERROR: what?"
    assert await replies_to("hola", b"ERROR: what?", raw=True) == "ERROR: what?"


async def test_a_refused_shutdown_and_an_echo_are_replies_even_when_the_server_closes(
    autojump_clock: MockClock,
) -> None:
    for errors in WIRE_ERRORS.values():
        refusal = errors.shutdown_refused
        reply = await replies_to("DESCONEXION", f"{refusal}\n".encode(), ADMIN, closes_after=0)
        assert reply == refusal
    assert await replies_to("ERROR: x", b"ERROR: x\n", ECHO, closes_after=0) == "ERROR: x"


async def test_a_server_that_has_replied_before_is_not_full(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1")
    await theirs.send_all(b"HOLA\n")
    assert await client.ask("hola") == "HOLA"
    await theirs.send_all(b"ERROR: x\n")
    await theirs.send_eof()
    assert await client.ask("que tal") == "ERROR: x"


async def test_a_server_that_says_why_and_resets_is_full_too(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1")
    await theirs.send_all(b"ERROR: full\n")
    await theirs.aclose()  # what is sent now breaks the connection
    with pytest.raises(ServerFull, match="full"):
        await client.ask("hola")


async def test_a_server_that_says_why_and_breaks_the_connection_is_full_too() -> None:
    def refuse(peer: socket.socket) -> None:
        peer.recv(100)
        peer.sendall(b"ERROR: full\n")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset

    with double(refuse) as port:
        async with open_client("127.0.0.1", port) as client:
            with pytest.raises(ServerFull, match="full") as caught:
                await client.ask("hola")
            assert isinstance(caught.value.__cause__, ConnectionLost)


async def test_a_refused_client_is_told_so_again_whatever_it_says(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_stream_pair()
    refusal = WIRE_ERRORS["es"].full.encode()
    await theirs.send_all(refusal)
    await theirs.send_eof()
    client = Client(ours, STANDARD, "double:1")
    for _ in range(2):
        with pytest.raises(ServerFull):
            await client.receive()
        await client.send(refusal)  # whose echo would be no refusal
