"""A person at a terminal, played by a script: what the screen shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock, memory_stream_pair

from tcpecho_trio.client import GAP, LEAVE_TIME, Client
from tcpecho_trio.client.prompt import Conversation
from tcpecho_trio.client.terminal import PlainTerminal
from tcpecho_trio.dialects import ADMIN, ECHO, SHUTDOWN_REFUSED, STANDARD, Dialect
from tcpecho_trio.errors import ServerFull, TcpEchoError
from tcpecho_trio.texts import ENGLISH

PROMPT = "Type a message: "
LEAVING = "Asking the server to disconnect...\n"

Stream: TypeAlias = trio.StapledStream[MemorySendStream, MemoryReceiveStream]
Server = Callable[[Stream], Awaitable[None]]


async def converse(
    server: Server, typed: list[str | None], dialect: Dialect = STANDARD
) -> tuple[str, TcpEchoError | None]:
    """What the screen shows at the end; typed text is echoed as a terminal does."""
    ours, theirs = memory_stream_pair()
    screen = ""
    lost: TcpEchoError | None = None

    def write(text: str) -> None:
        nonlocal screen
        screen += text

    async def read_line() -> str | None:
        await trio.lowlevel.checkpoint()
        if not typed:
            await trio.sleep_forever()
        line = typed.pop(0)
        if line is not None:
            write(f"{line}\n")
        return line

    client = Client(ours, dialect, "double:1")
    conversation = Conversation(client, PlainTerminal(read_line, write), texts=ENGLISH)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server, theirs)
        try:
            await conversation.run()
        except TcpEchoError as error:
            lost = error
        nursery.cancel_scope.cancel()
    return screen, lost


async def silent(_: object) -> None:
    """A server that neither answers nor closes."""
    await trio.sleep_forever()


def replying(*replies: bytes) -> Server:
    """A server that gives these replies, one a message, and then closes."""

    async def server(stream: Stream) -> None:
        for reply in replies:
            await stream.receive_some()
            await stream.send_all(reply)
        await stream.send_eof()
        await trio.sleep_forever()

    return server


async def test_one_message_one_reply_and_the_farewell(autojump_clock: MockClock) -> None:
    server = replying(b"HOLA\n", "Conexión cerrada\n".encode())
    screen, lost = await converse(server, ["hola", "DESCONEXION"])
    assert lost is None
    assert screen == (
        f"{PROMPT}hola\nReply from the server: HOLA\n"
        f"{PROMPT}DESCONEXION\n{LEAVING}Reply from the server: Conexión cerrada\n"
    )


async def test_end_of_input_leaves_with_the_gentlest_word(autojump_clock: MockClock) -> None:
    async def server(stream: Stream) -> None:
        assert await stream.receive_some() == b"APAGAR\n"
        await stream.send_all(b"bye\n")
        await stream.send_eof()

    screen, lost = await converse(server, [None], ADMIN)
    assert lost is None
    assert screen == f"{PROMPT}\n{LEAVING}Reply from the server: bye\n"


async def test_without_a_leaving_word_the_end_of_input_just_ends(
    autojump_clock: MockClock,
) -> None:
    screen, lost = await converse(silent, [None], ECHO)
    assert (screen, lost) == (f"{PROMPT}\n", None)


async def test_a_server_that_goes_away_ends_the_prompt_at_once(autojump_clock: MockClock) -> None:
    async def server(stream: Stream) -> None:
        await trio.sleep(10)
        await stream.send_eof()

    start = trio.current_time()
    screen, lost = await converse(server, [])
    assert trio.current_time() - start == pytest.approx(10)
    assert screen == f"{PROMPT}\n"
    assert lost is not None
    assert lost.message == "client_server_gone"


async def test_a_late_message_appears_above_the_prompt(autojump_clock: MockClock) -> None:
    async def server(stream: Stream) -> None:
        await stream.send_all(b"\x1b[2Jnews\n")
        await trio.sleep(1)
        await stream.send_eof()

    screen, _ = await converse(server, [])
    assert screen == f"{PROMPT}\nReply from the server: \\x1b[2Jnews\n{PROMPT}\n"


async def test_a_refused_shutdown_goes_on_talking(autojump_clock: MockClock) -> None:
    server = replying(f"{SHUTDOWN_REFUSED}\n".encode(), b"HOLA\n", b"bye\n")
    screen, lost = await converse(server, ["DESCONEXION", "hola", "APAGAR"], ADMIN)
    assert lost is None
    assert screen.count(PROMPT) == 3
    assert screen.endswith("Reply from the server: bye\n")


async def test_a_list_is_shown_before_the_next_prompt(autojump_clock: MockClock) -> None:
    server = replying(b"Clientes conectados:\na:1\nb:2\n", b"bye\n")
    screen, _ = await converse(server, ["LISTAR", "APAGAR"], ADMIN)
    listing = "Reply from the server: Clientes conectados:\na:1\nb:2\n"
    assert screen.startswith(f"{PROMPT}LISTAR\n{listing}{PROMPT}")


async def test_leaving_does_not_wait_for_a_silent_server(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    screen, lost = await converse(silent, ["DESCONEXION"])
    assert (lost, screen) == (None, f"{PROMPT}DESCONEXION\n{LEAVING}")
    assert trio.current_time() - start == pytest.approx(LEAVE_TIME)


async def test_a_connection_that_breaks_while_sending_says_so(autojump_clock: MockClock) -> None:
    async def server(stream: Stream) -> None:
        await stream.receive_stream.aclose()
        await trio.sleep_forever()

    _, lost = await converse(server, ["hola"])
    assert lost is not None
    assert lost.message == "connection_broke"


@pytest.mark.parametrize("typed", ["hola", None])
async def test_a_full_server_is_the_error_whatever_one_does_meanwhile(
    autojump_clock: MockClock, typed: str | None
) -> None:
    async def server(stream: Stream) -> None:
        await stream.receive_stream.aclose()  # what the client sends breaks the connection
        await stream.send_all(b"ERROR: full\n")
        await trio.sleep(GAP / 2)
        await stream.send_eof()

    screen, lost = await converse(server, [typed])
    assert isinstance(lost, ServerFull)
    assert "Reply" not in screen


@pytest.mark.parametrize("waiting", ["for a line", "for a reply"])
async def test_an_interrupt_leaves_cleanly(autojump_clock: MockClock, waiting: str) -> None:
    ours, theirs = memory_stream_pair()
    screen: list[str] = []
    typed = ["hola"] if waiting == "for a reply" else []

    async def read_line() -> str | None:
        if typed:
            return typed.pop()
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    client = Client(ours, STANDARD, "double:1")
    terminal = PlainTerminal(read_line, screen.append)
    conversation = Conversation(client, terminal, texts=ENGLISH)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(conversation.run)
        if waiting == "for a reply":
            assert await theirs.receive_some() == b"hola\n"
        else:
            await trio.testing.wait_all_tasks_blocked()
        conversation.interrupt()  # the server need not answer first
        assert await theirs.receive_some() == b"DESCONEXION\n"
        await theirs.send_eof()
    assert LEAVING in screen
