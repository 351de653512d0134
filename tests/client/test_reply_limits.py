"""Replies that take too long, that do not end, and messages that are very long."""

from __future__ import annotations

import itertools
import json
import resource
import socket
import subprocess
import time
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.cli.client_command import MESSAGE_TIMEOUT
from tcpecho_trio.client import Client, open_client
from tcpecho_trio.client.connection import RECEIVE_SIZE
from tcpecho_trio.client.raw import RawClient
from tcpecho_trio.client.replies import GAP, REPLY_LIMIT
from tcpecho_trio.client.stream import relay
from tcpecho_trio.dialects import ADMIN, STANDARD
from tcpecho_trio.errors import ReplyTooLong, TooSlow
from tcpecho_trio.nurseries import open_nursery
from tests.support.old_servers import double
from tests.support.processes import PROGRAM, ROOT, run, serving


def drip(peer: socket.socket) -> None:
    """A byte of the reply each 0.3 s, for ever."""
    peer.recv(100)
    for _ in itertools.count():
        peer.sendall(b"x")
        time.sleep(0.3)  # the pace of this server


def never_end(peer: socket.socket) -> None:
    """A reply without an end, as fast as it is read."""
    peer.recv(100)
    while True:
        peer.sendall(b"x" * 1_000_000)


def ask(port: int, *options: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return run("client", "--host", "127.0.0.1", "--port", str(port), *options, stdin=stdin)


def complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    (line,) = done.stderr.decode().splitlines()
    return line


@pytest.mark.parametrize("options", [(), ("--json",)], ids=str)
def test_a_reply_that_drips_has_the_deadline_of_a_reply(options: tuple[str, ...]) -> None:
    with double(drip) as port:
        done = ask(port, "-m", "hola", "--timeout", "1", *options)
    assert done.returncode == 4
    assert "no terminó su respuesta en 1 s. Llegó: «xx" in complaint(done)


def test_in_a_pipe_a_reply_that_drips_is_late_too() -> None:
    with double(drip) as port:
        done = ask(port, "--timeout", "1", stdin=b"hola\n")
    assert done.returncode == 4


async def relay_against(
    replies: list[tuple[float, bytes]], sent: list[tuple[float, bytes]], limit: float
) -> None:
    """Messages and what a double says, each after so many seconds since the one before."""
    ours, theirs = memory_stream_pair()

    async def server() -> None:
        for pause, data in replies:
            await trio.sleep(pause)  # the mock clock's
            await theirs.send_all(data)
        await theirs.send_eof()

    async def source() -> bytes:
        if not sent:
            return b""
        pause, data = sent.pop(0)
        await trio.sleep(pause)  # the mock clock's
        return data

    async def sink(data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async with open_nursery(TooSlow) as nursery:
        nursery.start_soon(server)
        await relay(Client(ours, STANDARD, "double:1"), source, sink, reply_timeout=limit)


async def test_each_reply_has_its_own_deadline(autojump_clock: MockClock) -> None:
    await relay_against([(0.9, b"HOLA\n")] * 9, [(0, b"hola\n" * 9)], 1)


async def test_a_message_that_is_still_being_sent_is_answered_in_its_own_time(
    autojump_clock: MockClock,
) -> None:
    pieces = [(0.9, b"x")] * 9 + [(0.9, b"\n")]
    await relay_against([(t, d.upper()) for t, d in pieces], list(pieces), 1)


@pytest.mark.parametrize("sent", [[(0.0, b"hola\n"), (99.0, b"")], [(0.0, b"hola")]])
async def test_in_a_stream_a_reply_that_drips_is_late_once_its_message_has_been_sent(
    autojump_clock: MockClock, sent: list[tuple[float, bytes]]
) -> None:
    with pytest.raises(TooSlow):
        await relay_against([(0.9, b"H"), (0.9, b"O"), (0.9, b"LA\n")], sent, 1)


async def test_a_long_line_without_an_end_may_take_its_time_while_it_is_being_sent(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpecho_trio.client.outstanding_replies.COUNTED", 1)
    sent = [(0.5, b"x" * 10)] * 20 + [(0.5, b"\n")]
    # The replies are always a piece behind: something is owed all the time.
    replies = [(0.5, data.upper()) for _, data in sent]
    await relay_against([(1.1, replies[0][1]), *replies[1:]], list(sent), 1)


async def test_time_that_the_sink_takes_is_not_the_servers(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    received = b""

    async def source() -> bytes:
        await trio.lowlevel.checkpoint()
        return messages.pop()

    messages = [b"", b"hola\n"]

    async def slow_sink(data: bytes) -> None:
        nonlocal received
        received += data
        await trio.sleep(5)

    async def server() -> None:
        for piece in (b"HO", b"LA\n"):
            await trio.sleep(0.4)
            await theirs.send_all(piece)
        await theirs.send_eof()

    async with open_nursery(TooSlow) as nursery:
        nursery.start_soon(server)
        await relay(Client(ours, STANDARD, "double:1"), source, slow_sink, reply_timeout=1)
    assert received == b"HOLA\n"


async def test_a_list_at_the_end_of_the_input_has_come_before_the_half_close(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_stream_pair()
    messages = [b"", b"LISTAR\n"]
    half_closed = 0.0

    async def source() -> bytes:
        await trio.lowlevel.checkpoint()
        return messages.pop()

    async def sink(data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def server() -> None:
        nonlocal half_closed
        await theirs.receive_some()
        for line in (b"Clientes conectados:\n", b"a:1\n", b"b:2\n"):
            await trio.sleep(GAP / 2)
            await theirs.send_all(line)
        assert await theirs.receive_some() == b""
        half_closed = trio.current_time()
        await theirs.send_eof()

    begun = trio.current_time()
    async with open_nursery(TooSlow) as nursery:
        nursery.start_soon(server)
        dialect = replace(ADMIN, greeting="")
        await relay(Client(ours, dialect, "double:1"), source, sink)
    assert half_closed - begun == pytest.approx(2.5 * GAP)


async def test_when_all_is_answered_the_server_has_one_deadline_for_its_end(
    autojump_clock: MockClock,
) -> None:
    start = trio.current_time()
    with pytest.raises(TooSlow):
        await relay_against([(0.5, b"HOLA\n"), *[(0.5, b"more\n")] * 9], [(0, b"hola\n")], 1)
    assert trio.current_time() - start == pytest.approx(1.5)


def test_a_message_has_ten_seconds_by_default_and_the_help_says_so() -> None:
    told = " ".join(run("client", "--help").stdout.decode().split())
    assert "Segundos para conectar, y otra vez para cada respuesta. [con -m: 10;" in told
    assert MESSAGE_TIMEOUT == 10
    hurried = "import sys; from tcpecho_trio.cli import client_command, main\n"
    hurried += "client_command.MESSAGE_TIMEOUT = 0.5; sys.exit(main())"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel connects, nobody talks
        options = ["client", "--host", "127.0.0.1", "--port", str(silent.getsockname()[1])]
        done = subprocess.run(
            [*PROGRAM[:2], "-c", hurried, *options, "-m", "hola"],
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 4
    assert "no responde en 0.5 s" in complaint(done)


@pytest.mark.parametrize("options", [("--json",), ("--framing", "raw")], ids=str)
def test_an_endless_reply_fills_no_memory(options: tuple[str, ...]) -> None:
    limit = 300 * 1_048_576  # of address space: an idle client has some 100 MiB

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    with double(never_end) as port:
        done = subprocess.run(
            [*PROGRAM, "client", "--port", str(port), "-m", "hola", "--timeout", "50", *options],
            capture_output=True,
            cwd=ROOT,
            check=False,
            preexec_fn=bounded,
        )
    assert (done.returncode, complaint(done)) == (
        1,
        "Error: la respuesta no termina: han llegado más de 16 MiB. ¿Es este el servidor?",
    )


@pytest.mark.parametrize("kind", [Client, RawClient])
async def test_no_more_is_received_than_a_reply_may_have(
    kind: type[Client], autojump_clock: MockClock
) -> None:
    ours, theirs = memory_stream_pair()
    client = kind(ours, STANDARD, "double:1")
    sent = 0

    async def server() -> None:
        nonlocal sent
        await theirs.receive_some()
        while sent < 2 * REPLY_LIMIT:
            await theirs.send_all(bytes(RECEIVE_SIZE))
            sent += RECEIVE_SIZE
            await trio.testing.wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        for _ in range(2):
            with pytest.raises(ReplyTooLong):
                await client.ask("hola")
            assert sent <= REPLY_LIMIT + 2 * RECEIVE_SIZE
        nursery.cancel_scope.cancel()


async def test_a_list_without_an_end_has_the_limit_of_a_reply(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, ADMIN, "double:1")
    await theirs.send_all(ADMIN.greeting.encode())
    await theirs.send_all((b"x" * 1_000_000 + b"\n") * 20)
    with pytest.raises(ReplyTooLong):
        await client.ask("LISTAR")


async def test_a_long_message_has_room_for_a_reply_three_times_as_long() -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1")
    message = "x" * 8_000_000
    reply = "X" * 24_000_000
    await theirs.send_all(f"{reply}\n".encode())
    assert await client.ask(message) == reply


def test_a_long_line_is_one_message_and_one_record() -> None:
    with serving("--host", "127.0.0.1", "--quiet") as server:
        done = ask(server.port, "--json", stdin=b"a" * 70_000 + b"\nhola\n")
        assert (done.returncode, done.stderr) == (0, b"")
        long, short = map(json.loads, done.stdout.splitlines())
        assert (len(long["sent"]), long["received"]) == (70_000, "A" * 70_000)
        assert short["received"] == "HOLA"


def test_a_line_that_is_too_long_to_be_one_message_is_an_error() -> None:
    with serving("--host", "127.0.0.1", "--quiet") as server:
        done = ask(server.port, "--json", stdin=b"hola\n" + b"a" * 17_000_000 + b"\n")
    assert done.returncode == 2
    assert complaint(done).startswith("Error: la línea 2 de la entrada pasa de 16 MiB")
    assert len(done.stdout.splitlines()) == 1


async def test_a_reply_that_comes_late_is_told_as_far_as_it_came(
    autojump_clock: MockClock,
) -> None:
    for kind, came in ((Client, b"HOLA"), (RawClient, b"")):
        ours, theirs = memory_stream_pair()
        client = kind(ours, STANDARD, "double:1", timeout=1)
        await theirs.send_all(came)
        with pytest.raises(TooSlow) as caught:
            await client.ask("hola")
        assert ("HOLA" in str(caught.value)) == bool(came)


async def test_of_a_late_list_the_lines_that_came_are_told(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, replace(ADMIN, greeting=""), "double:1", timeout=1)
    await theirs.send_all(b"Clientes conectados:\na:1\nb:")
    with pytest.raises(TooSlow) as caught:
        await client.ask("LISTAR")
    assert caught.value.details["text"] == "Clientes conectados:\na:1\nb:"


async def test_in_a_stream_what_came_of_a_late_reply_is_told_also_if_it_is_no_text(
    autojump_clock: MockClock,
) -> None:
    with pytest.raises(TooSlow) as caught:
        await relay_against([(0.5, b"HO\xffLA"), (9, b"\n")], [(0, b"hola\n")], 1)
    assert r"HO\xffLA" in str(caught.value)


async def test_a_dialect_may_be_named() -> None:
    with serving("--host", "127.0.0.1", "--dialect", "admin") as server:
        async with open_client("127.0.0.1", server.port, dialect="admin") as client:
            assert client.dialect is ADMIN
    with pytest.raises(ValueError, match=r"'klingon'.*standard, salutation, admin, echo, inspect"):
        async with open_client(dialect="klingon"):
            pass
