"""The client as a library: against the real server, and against doubles that misbehave."""

from __future__ import annotations

import inspect
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from tcpecho_trio.client import GAP, LEAVE_TIME, Client, Framing, open_client
from tcpecho_trio.client.replies import Part
from tcpecho_trio.dialects import ADMIN, ECHO, SALUTATION, STANDARD, Dialect
from tcpecho_trio.errors import (
    CannotConnect,
    ClientBusy,
    ClientClosed,
    ConnectionLost,
    TcpEchoError,
    TooSlow,
)
from tcpecho_trio.server import Settings
from tcpecho_trio.server.closing import LINGER_TIME
from tcpecho_trio.texts import ENGLISH, LANGUAGES
from tcpecho_trio.texts.for_programs import FOR_PROGRAMS
from tests.support.protocol_inputs import cuts
from tests.support.running import running_server

on_both_paths = pytest.mark.usefixtures("path")  # on the pump, and without it


@on_both_paths
async def test_ask_returns_the_reply() -> None:
    async with running_server() as server, open_client("127.0.0.1", server.port) as client:
        assert await client.ask("hola") == "HOLA"
        assert await client.ask("") == ""
        assert await client.ask("año \udcff") == "AÑO \udcff"
        assert await client.ask("x" * 200_000) == "X" * 200_000
        assert await client.leave() == "Conexión cerrada"


@on_both_paths
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


@on_both_paths
async def test_the_salutation_is_answered() -> None:
    async with (
        running_server(Settings(dialect=SALUTATION)) as server,
        open_client("127.0.0.1", server.port, dialect=SALUTATION) as client,
    ):
        assert await client.ask("hola servidor") == "HOLA CLIENTE"


@on_both_paths
async def test_a_dialect_without_a_leaving_word_is_left_by_half_closing() -> None:
    async with (
        running_server(Settings(dialect=ECHO)) as server,
        open_client("127.0.0.1", server.port, dialect=ECHO) as client,
    ):
        assert await client.ask("hola") == "hola"
        assert await client.leave() == ""


@on_both_paths
async def test_asking_a_server_that_has_left_says_so() -> None:
    async with running_server() as server, open_client("127.0.0.1", server.port) as client:
        assert await client.ask("hola") == "HOLA"
        server.lifecycle.drain()
        assert await client.receive_line() is None
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
        yield Client(ours, dialect, "double:1")
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
            heard = [await client.receive_line() for _ in range(5)]
        assert heard == ["UNO", "DÓS", "", "TRES", None]

    trio.run(main)


async def test_a_connection_that_ends_inside_the_greeting_loses_nothing() -> None:
    async def server(stream: trio.StapledStream) -> None:  # type: ignore[type-arg]
        await stream.send_all("Conexión".encode())
        await stream.send_eof()

    async with against(server, ADMIN) as client:
        assert await client.receive_line() == "Conexión"
        assert await client.receive_line() is None


async def test_a_cancelled_hear_loses_nothing(autojump_clock: MockClock) -> None:
    async def server(stream: trio.StapledStream) -> None:  # type: ignore[type-arg]
        await stream.send_all(b"HO")
        await trio.sleep(2)
        await stream.send_all(b"LA\n")

    async with against(server) as client:
        with trio.move_on_after(1) as early:
            await client.receive_line()
        assert early.cancelled_caught
        assert await client.receive_line() == "HOLA"


async def test_a_list_is_there_before_a_person_notices_that_it_was_waited_for(
    autojump_clock: MockClock,
) -> None:
    async def server(stream: trio.StapledStream) -> None:  # type: ignore[type-arg]
        await stream.send_all(ADMIN.greeting.encode())
        await stream.receive_some()
        await stream.send_all(b"Clientes conectados:\na:1\n")
        await trio.sleep(0.05)  # the mock clock's; a segment that is late
        await stream.send_all(b"b:2\n")

    async with against(server, ADMIN) as client:
        begun = trio.current_time()
        assert await client.ask("LISTAR") == "Clientes conectados:\na:1\nb:2"
        assert trio.current_time() - begun < 0.05 + 0.2


async def test_leaving_a_server_that_never_closes_takes_no_longer_than_it_may(
    autojump_clock: MockClock,
) -> None:
    async with against(silent) as client:
        start = trio.current_time()
        assert await client.leave() == ""
        assert trio.current_time() - start == pytest.approx(LEAVE_TIME)


async def test_a_dialect_without_a_word_is_left_by_half_closing(
    autojump_clock: MockClock,
) -> None:
    async def server(stream: trio.StapledStream) -> None:  # type: ignore[type-arg]
        assert await stream.receive_some() == b""
        await stream.send_all(b"ADIOS\n")
        await stream.send_eof()

    async with against(server, ECHO) as client:
        assert await client.leave() == "ADIOS"


def test_a_client_waits_for_the_end_as_long_as_the_server_lingers() -> None:
    assert LEAVE_TIME == LINGER_TIME


async def test_a_message_is_one_line() -> None:
    async with against(silent) as client:
        with pytest.raises(ValueError, match="line feed"):
            await client.ask("dos\nlíneas")


async def test_a_broken_connection_is_an_error_of_ours() -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1")
    await theirs.aclose()
    with pytest.raises(ConnectionLost, match="double:1") as caught:
        await client.send_message("hola")
    assert isinstance(caught.value.__cause__, trio.BrokenResourceError)


async def test_a_message_that_cannot_be_sent_is_an_error_though_the_server_said_nothing(
    autojump_clock: MockClock,
) -> None:
    class Deaf:
        """A connection that has broken in one direction."""

        async def send_all(self, _: bytes) -> None:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError

        async def receive_some(self, _: int) -> bytes:
            await trio.sleep_forever()
            raise AssertionError("unreachable")

    client = Client(Deaf(), STANDARD, "double:1")  # type: ignore[arg-type]
    with pytest.raises(ConnectionLost, match="double:1"):
        await client.ask("hola")


async def test_a_certificate_that_is_asked_for_after_the_handshake_is_told_with_the_server() -> (
    None
):
    class Refusing:
        """What TLS 1.3 tells a client that has sent no certificate, and only now."""

        async def receive_some(self, _: int) -> bytes:
            await trio.lowlevel.checkpoint()
            alert = ssl.SSLError(1, "alert")
            alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
            raise trio.BrokenResourceError from alert

    client = Client(Refusing(), STANDARD, "double:1")  # type: ignore[arg-type]
    with pytest.raises(ConnectionLost, match=r"double:1.*certificate_required"):
        await client.receive_line()


async def test_a_reset_is_an_error_of_ours() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with (
        listener,
        open_client("127.0.0.1", listener.socket.getsockname()[1]) as client,
        await listener.accept() as peer,
    ):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await peer.aclose()
        with pytest.raises(ConnectionLost, match="reset") as caught:
            await client.receive_line()
        assert isinstance(caught.value.details["reason"], OSError)  # which has words in Spanish
        with pytest.raises(ConnectionLost):
            await client.end_input()


async def upper_case(stream: trio.StapledStream) -> None:  # type: ignore[type-arg]
    """A server that takes a second for every message."""
    rest = b""
    while data := await stream.receive_some():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            await trio.sleep(1)  # the mock clock's
            if line == b"LISTAR":
                await stream.send_all(b"Clientes conectados:\na:1\n")
                await trio.sleep(GAP / 2)  # the mock clock's
                await stream.send_all(b"b:2\n")
            else:
                await stream.send_all(line.upper() + b"\n")


async def test_a_cancelled_ask_does_not_leave_its_reply_to_the_next(
    autojump_clock: MockClock,
) -> None:
    async with against(upper_case) as client:
        for late in ("uno", "dos"):
            with trio.move_on_after(0.5) as impatient:
                await client.ask(late)
            assert impatient.cancelled_caught
        assert await client.ask("tres") == "TRES"


async def test_nor_does_a_cancelled_list_leave_its_lines(autojump_clock: MockClock) -> None:
    for moment in (0.5, 1 + GAP / 4, 1 + GAP):  # before it, in its middle, at its end
        async with against(upper_case, replace(ADMIN, greeting="")) as client:
            with trio.move_on_after(moment) as impatient:
                await client.ask("LISTAR")
            assert impatient.cancelled_caught
            assert await client.ask("hola") == "HOLA"


async def test_tasks_that_ask_at_once_take_turns(autojump_clock: MockClock) -> None:
    async with against(upper_case) as client, trio.open_nursery() as nursery:

        async def ask(text: str) -> None:
            assert await client.ask(text) == text.upper()

        for number in range(20):
            nursery.start_soon(ask, f"mensaje {number}")


async def test_a_reply_that_takes_too_long_is_an_error_of_ours(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    client = Client(ours, STANDARD, "double:1", timeout=0.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upper_case, theirs)
        with pytest.raises(TooSlow, match=r"double:1 does not reply within 0\.5 s") as caught:
            await client.ask("hola")
        assert isinstance(caught.value.__cause__, trio.TooSlowError)
        client.timeout = 3  # a second for the reply that is late, and one for its own
        assert await client.ask("adios") == "ADIOS"
        nursery.cancel_scope.cancel()


async def test_after_a_send_that_was_cut_short_nothing_can_be_said() -> None:
    ours, _ = lockstep_stream_pair()  # it sends only as fast as somebody receives
    client = Client(ours, STANDARD, "double:1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.ask, "hola")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    for use in (client.ask("hola"), client.send_message("hola"), client.send(b"hola\n")):
        with pytest.raises(ClientClosed, match="half a message"):
            await use


@on_both_paths
async def test_an_ask_that_was_cancelled_before_it_began_has_done_nothing() -> None:
    async with running_server() as server, open_client("127.0.0.1", server.port) as client:
        with trio.move_on_after(0):
            await client.ask("nunca")
        assert await client.ask("hola") == "HOLA"


@on_both_paths
@pytest.mark.parametrize("framing", ["line", "raw"])
async def test_a_message_that_was_cancelled_before_it_went_out_has_no_reply(
    framing: Framing,
) -> None:
    async with (
        running_server() as server,
        open_client("127.0.0.1", server.port, framing=framing, timeout=20) as client,
    ):
        with trio.move_on_after(0):
            await client.send_message("nunca")
        assert await client.ask("hola") == "HOLA"


async def test_a_reply_may_come_before_sending_has_returned() -> None:
    ours, theirs = memory_stream_pair()
    deliver = ours.send_stream.send_all_hook
    assert deliver is not None

    async def deliver_and_linger() -> None:
        await deliver()
        await trio.testing.wait_all_tasks_blocked()  # with a socket others have their turn, too

    ours.send_stream.send_all_hook = deliver_and_linger
    client = Client(ours, replace(ADMIN, greeting=""), "double:1")
    received: list[Part | None] = []

    async def receive() -> None:
        received.append(await client.receive_part())

    async def answer() -> None:
        await theirs.receive_some()
        await theirs.send_all(b"Clientes conectados:\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        nursery.start_soon(answer)
        await client.send_message("LISTAR")
    assert received == [Part("Clientes conectados:", complete=False)]  # it is known for a list


async def test_two_tasks_that_listen_or_send_at_once_are_told() -> None:
    ours, _ = lockstep_stream_pair()
    client = Client(ours, STANDARD, "double:1")
    first: tuple[Callable[[], Awaitable[object]], ...] = (
        client.receive_line,
        partial(client.send_message, "a"),
    )
    for use in first:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(ClientBusy) as caught:
                await use()
            assert isinstance(caught.value.__cause__, trio.BusyResourceError)
            nursery.cancel_scope.cancel()


@on_both_paths
async def test_a_client_whose_block_has_ended_says_so() -> None:
    async with running_server() as server:
        async with open_client("127.0.0.1", server.port) as client:
            pass
        for use in (client.ask("hola"), client.receive_line(), client.end_input()):
            with pytest.raises(ClientClosed) as caught:
                await use
            assert isinstance(caught.value.__cause__, trio.ClosedResourceError)


async def test_a_server_that_is_starting_is_waited_for() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, and not listening yet: refused
        port = reserved.getsockname()[1]
        with pytest.raises(CannotConnect):
            async with open_client("127.0.0.1", port, connect_retry=0.01):
                pass
        async with trio.open_nursery() as nursery:

            async def listen_when_refused() -> None:
                await refused.wait()
                reserved.listen()

            refused = trio.Event()
            connecting = trio.open_tcp_stream

            async def connect(*where: Any) -> trio.SocketStream:
                try:
                    return await connecting(*where)
                finally:
                    refused.set()

            nursery.start_soon(listen_when_refused)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("trio.open_tcp_stream", connect)
                async with open_client("127.0.0.1", port, connect_retry=30):
                    pass


@pytest.mark.parametrize("trouble", [socket.gaierror(-3, "try again"), None])
async def test_connecting_is_tried_for_as_long_as_it_was_said(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, trouble: OSError | None
) -> None:
    attempts: list[float] = []

    async def connect(*_: object) -> trio.SocketStream:
        attempts.append(trio.current_time())
        if trouble is not None:
            raise trouble
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    monkeypatch.setattr("trio.open_tcp_stream", connect)
    start = trio.current_time()
    told: list[TcpEchoError] = []
    with pytest.raises(CannotConnect if trouble else TooSlow):
        async with open_client(connect_retry=10, timeout=3, on_retry=told.append):
            pass
    assert [type(error) for error in told] == [CannotConnect if trouble else TooSlow]  # once
    assert trio.current_time() - start == pytest.approx(10, abs=3)
    assert len(attempts) == (14 if trouble else 4)


async def test_who_has_not_asked_for_it_is_not_kept_waiting_for_a_further_attempt(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[tuple[object, ...]] = []

    async def connect(*where: object) -> trio.SocketStream:
        attempts.append(where)
        raise ConnectionRefusedError(111, "nobody listens")

    monkeypatch.setattr("trio.open_tcp_stream", connect)
    with pytest.raises(CannotConnect):
        async with open_client():
            pass
    assert attempts == [("localhost", 5000)]


async def test_a_name_that_can_never_be_one_is_not_tried_again() -> None:
    with pytest.raises(CannotConnect, match="cannot be found"):
        async with open_client("a..b", connect_retry=1000):
            pass


def test_no_error_advises_a_program_to_use_an_option() -> None:
    details = dict.fromkeys(FIELDS, 1)
    errors = SAYING_WHAT_TO_DO + tuple(FOR_PROGRAMS)
    for message in errors:
        told = str(TcpEchoError(message, **details))
        assert not re.search(r"--\w|python -m", told), told
    for message, line in FOR_PROGRAMS.items():
        # A line of its own only where the console's has options.
        console = getattr(ENGLISH, message)
        assert re.search(r"--\w|\{program\}", console)
        assert re.search(r"[.:?] \S", line) or line.endswith("?"), line


FIELDS = ("address", "host", "port", "path", "names", "reason", "seconds", "limit", "text", "count")
SAYING_WHAT_TO_DO = (
    *("client_server_gone", "client_input_lost", "client_replies_lost", "connection_broke"),
    *("connect_too_slow", "no_line_reply", "no_raw_reply", "unfinished_line_reply"),
    *("unfinished_raw_reply", "reply_too_long", "lines_left_out", "server_full"),
    *("connection_refused", "unknown_host"),
    *("client_busy", "client_closed", "client_cut_short"),
    *("message_with_line_feed", "message_blank", "message_without_pieces"),
)


def test_every_error_of_ours_has_a_line_in_both_languages_that_says_what_to_do() -> None:
    details = dict.fromkeys(FIELDS, 1)
    for message in SAYING_WHAT_TO_DO:
        for texts in LANGUAGES.values():
            line = TcpEchoError(message, **details).localized(texts)
            assert "\n" not in line
            assert re.search(r"[.:?] \S", line), line  # what happened, and then what to do


def test_the_exercises_server_is_the_default() -> None:
    defaults = inspect.signature(open_client).parameters
    assert (defaults["host"].default, defaults["port"].default) == ("localhost", 5000)
