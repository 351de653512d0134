"""The client as a library: against the real server, and against doubles that misbehave."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.client import LEAVE_TIME, Client, open_client
from tcpecho_trio.dialects import ADMIN, ECHO, SALUTATION, STANDARD, Dialect
from tcpecho_trio.errors import CannotConnect, ConnectionLost
from tcpecho_trio.server import Settings
from tests.protocol_inputs import cuts
from tests.running import running_server

pytestmark = pytest.mark.usefixtures("path")  # on the pump, and without it


async def test_ask_returns_the_reply() -> None:
    async with running_server() as server, open_client("127.0.0.1", server.port) as client:
        assert await client.ask("hola") == "HOLA"
        assert await client.ask("") == ""
        assert await client.ask("año \udcff") == "AÑO \udcff"
        assert await client.ask("x" * 200_000) == "X" * 200_000
        assert await client.leave() == "Conexión cerrada"


async def test_the_greeting_is_not_a_reply_and_a_list_is_one() -> None:
    async with (
        running_server(Settings(dialect=ADMIN)) as server,
        open_client("127.0.0.1", server.port, dialect=ADMIN) as client,
        open_client("127.0.0.1", server.port, dialect=ADMIN) as other,
    ):
        assert await other.ask("hola") == "HOLA"
        listing = await client.ask("LISTAR")
        assert listing.startswith("Clientes conectados:\n127.0.0.1:")
        assert listing.count("\n") == 2
        assert await client.leave() == "Desconectado del servidor."
        assert await other.leave("DESCONEXION") == "SERVIDOR CERRÁNDOSE..."


async def test_the_salutation_is_answered() -> None:
    async with (
        running_server(Settings(dialect=SALUTATION)) as server,
        open_client("127.0.0.1", server.port, dialect=SALUTATION) as client,
    ):
        assert await client.ask("hola servidor") == "HOLA CLIENTE"


async def test_a_dialect_without_a_leaving_word_is_left_by_half_closing() -> None:
    async with (
        running_server(Settings(dialect=ECHO)) as server,
        open_client("127.0.0.1", server.port, dialect=ECHO) as client,
    ):
        assert await client.ask("hola") == "hola"
        assert await client.leave() == ""


async def test_asking_a_server_that_has_left_says_so() -> None:
    async with running_server() as server, open_client("127.0.0.1", server.port) as client:
        assert await client.ask("hola") == "HOLA"
        server.lifecycle.drain("test")
        assert await client.hear() is None
        with pytest.raises(ConnectionLost):
            await client.ask("hola")


async def test_nobody_listening_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    with pytest.raises(CannotConnect, match=r"Is the server running\?") as caught:
        async with open_client("127.0.0.1", port):
            pass
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(CannotConnect, match="cannot be found"):
        async with open_client("nobody.invalid"):
            pass


Server = Callable[[trio.StapledStream], Awaitable[None]]  # type: ignore[type-arg]


async def silent(_: object) -> None:
    """A server that neither answers nor closes."""
    await trio.sleep_forever()


@asynccontextmanager
async def against(server: Server, dialect: Dialect = STANDARD) -> AsyncGenerator[Client, None]:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server, theirs)
        yield Client(ours, dialect, ("double", 1))
        await ours.aclose()
        nursery.cancel_scope.cancel()


@given(data=st.data(), greet=st.booleans())
def test_replies_are_lines_however_they_are_cut(data: st.DataObject, greet: bool) -> None:
    wire = (ADMIN.greeting if greet else "") + "UNO\r\nDÓS\n\nTRES"
    pieces = data.draw(cuts(wire.encode()))

    async def server(stream: trio.StapledStream) -> None:  # type: ignore[type-arg]
        for piece in pieces:
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        await stream.send_eof()

    async def main() -> None:
        async with against(server, ADMIN) as client:
            heard = [await client.hear() for _ in range(5)]
        assert heard == ["UNO", "DÓS", "", "TRES", None]

    trio.run(main)


async def test_a_connection_that_ends_inside_the_greeting_loses_nothing() -> None:
    async def server(stream: trio.StapledStream) -> None:  # type: ignore[type-arg]
        await stream.send_all("Conexión".encode())
        await stream.send_eof()

    async with against(server, ADMIN) as client:
        assert await client.hear() == "Conexión"
        assert await client.hear() is None


async def test_a_cancelled_hear_loses_nothing(autojump_clock: MockClock) -> None:
    async def server(stream: trio.StapledStream) -> None:  # type: ignore[type-arg]
        await stream.send_all(b"HO")
        await trio.sleep(2)
        await stream.send_all(b"LA\n")

    async with against(server) as client:
        with trio.move_on_after(1) as early:
            await client.hear()
        assert early.cancelled_caught
        assert await client.hear() == "HOLA"


async def test_leaving_a_server_that_never_closes_takes_no_longer_than_it_may(
    autojump_clock: MockClock,
) -> None:
    async with against(silent) as client:
        start = trio.current_time()
        assert await client.leave() == ""
        assert trio.current_time() - start == pytest.approx(LEAVE_TIME)


async def test_a_message_is_one_line() -> None:
    async with against(silent) as client:
        with pytest.raises(ValueError, match="line feed"):
            await client.ask("dos\nlíneas")


async def test_a_broken_connection_is_an_error_of_ours() -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, ("double", 1))
    await theirs.aclose()
    with pytest.raises(ConnectionLost, match="double:1") as caught:
        await client.say("hola")
    assert isinstance(caught.value.__cause__, trio.BrokenResourceError)


async def test_a_reset_is_an_error_of_ours() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with (
        listener,
        open_client("127.0.0.1", listener.socket.getsockname()[1]) as client,
        await listener.accept() as peer,
    ):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await peer.aclose()
        with pytest.raises(ConnectionLost, match="reset"):
            await client.hear()
        with pytest.raises(ConnectionLost):
            await client.end_input()
