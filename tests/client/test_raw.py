"""The client against servers that know no lines: doubles of the exercise's old ones."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from tcpecho_trio.client import GAP, LEAVE_TIME, Client, open_client
from tcpecho_trio.client.raw import GREETING_TIME, PIECE, TURN_NOTICE, RawClient, check, pieces
from tcpecho_trio.dialects import ADMIN, ECHO, STANDARD, Action, Command, Dialect
from tcpecho_trio.errors import (
    ClientBusy,
    ConnectionLost,
    MessageRefused,
    ServerLeft,
    TooSlow,
)
from tests.support.old_servers import OldServer, occupied


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second of waiting before it is said that we wait."""
    monkeypatch.setattr("tcpecho_trio.client.raw.TURN_NOTICE", 0.05)


async def ask_all(server: OldServer, *messages: str, dialect: Dialect = STANDARD) -> list[str]:
    """The replies to the messages, and the farewell."""
    async with open_client("127.0.0.1", server.port, framing="raw", dialect=dialect) as client:
        return [await client.ask(message) for message in messages] + [await client.leave()]


async def test_a_reply_without_a_newline_ends_with_a_pause() -> None:
    with OldServer() as server:
        assert await ask_all(server, "hola servidor", "adiós") == ["HOLA SERVIDOR", "ADIÓS", ""]
    assert server.chunks == [b"hola servidor", "adiós".encode(), b"DESCONEXION"]
    assert server.endings == ["left"]


@pytest.mark.parametrize("farewell", ["Conexión cerrada", "DESCONECTADO", "Goodbye.", ""])
async def test_the_farewell_is_heard_whatever_it_is(farewell: str) -> None:
    with OldServer(leaving={"DESCONEXION": farewell}) as server:
        assert await ask_all(server, "hola") == ["HOLA", farewell]
    with OldServer(leaving={"DESCONEXION": farewell}) as server:
        async with open_client("127.0.0.1", server.port, framing="raw") as client:
            assert await client.ask("DESCONEXION") == farewell


@pytest.mark.parametrize("dialect", [STANDARD, ADMIN], ids=lambda dialect: str(dialect.name))
async def test_a_greeting_at_once_is_not_a_reply(dialect: Dialect) -> None:
    leaving = dict.fromkeys(ADMIN.leaving_words, "")  # whichever dialect the client was told
    with OldServer(greeting=ADMIN.greeting, leaving=leaving) as server:
        assert await ask_all(server, "hola", dialect=dialect) == ["HOLA", ""]


async def test_a_greeting_of_its_own_is_kept_to_be_looked_at() -> None:
    with OldServer(greeting="¡Bienvenido!") as server:
        async with open_client("127.0.0.1", server.port, framing="raw") as client:
            assert await client.ask("hola") == "HOLA"
            assert isinstance(client, RawClient)
            assert client.greeting == "¡Bienvenido!"


@pytest.mark.parametrize("glued", [True, False])
async def test_a_late_greeting_is_not_a_reply(soon: None, glued: bool) -> None:
    may_greet = threading.Event()
    with OldServer(
        greeting=ADMIN.greeting, glued=glued, may_greet=may_greet, leaving={"APAGAR": "adiós"}
    ) as server:
        async with open_client(
            "127.0.0.1", server.port, framing="raw", dialect=ADMIN, on_waiting=may_greet.set
        ) as client:
            assert await client.ask("hola") == "HOLA"  # it was greeted only after it had asked
            assert await client.leave() == "adiós"


async def test_a_list_is_one_reply() -> None:
    listing = "Clientes conectados:\n127.0.0.1:5\n127.0.0.1:6"
    with OldServer(
        reply=lambda text: listing if text == "LISTAR" else text.upper(), leaving={"APAGAR": ""}
    ) as server:
        assert await ask_all(server, "LISTAR", "hola", dialect=ADMIN) == [listing, "HOLA", ""]


async def test_a_server_that_is_busy_is_waited_for_and_that_is_said(soon: None) -> None:
    with OldServer() as server, ExitStack() as somebody:
        somebody.enter_context(occupied(server))
        told: list[str] = []

        def on_waiting() -> None:
            told.append("waiting")
            somebody.close()  # only now does the other one leave

        async with open_client(
            "127.0.0.1", server.port, framing="raw", on_waiting=on_waiting
        ) as client:
            assert await client.ask("segundo") == "SEGUNDO"
            assert await client.ask("otra vez") == "OTRA VEZ"
    assert told == ["waiting"]
    assert server.endings == ["left", "left"]


async def test_with_a_time_limit_a_busy_server_is_given_up() -> None:
    with OldServer() as server, occupied(server):
        async with open_client("127.0.0.1", server.port, framing="raw") as client:
            client.timeout = 0.05  # of a reply only: on a busy machine to connect takes longer
            with pytest.raises(TooSlow, match=r"does not reply within 0\.05 s"):
                await client.ask("hola")


@pytest.mark.parametrize("letter", ["a", "ñ", "€", "😀"])
async def test_a_long_message_goes_in_pieces_that_each_wait_for_their_answer(letter: str) -> None:
    message = "x" + letter * 3000
    with OldServer() as server:
        assert await ask_all(server, message, "hola") == [message.upper(), "HOLA", ""]
    assert len(server.chunks[0]) in range(PIECE - 3, PIECE + 1)
    assert b"".join(server.chunks) == f"{message}holaDESCONEXION".encode()


async def test_a_blank_message_is_refused_here(soon: None) -> None:
    with OldServer(reply=lambda text: text.upper() if text.strip() else "") as server:
        async with open_client("127.0.0.1", server.port, framing="raw") as client:
            for blank in ("", "   ", "\t\r"):
                with pytest.raises(MessageRefused, match="blank"):
                    await client.ask(blank)
            assert await client.ask(" hola ") == " HOLA "
    assert server.chunks == [b" hola ", b"DESCONEXION"]


@pytest.mark.parametrize("how", ["nothing said", "an error", "left already"])
async def test_however_the_block_ends_the_server_hears_the_word_and_no_reset(how: str) -> None:
    bidding = {"DESCONEXION": "Conexión cerrada"}
    with OldServer(leaving=bidding) as server, suppress(ZeroDivisionError):
        async with open_client("127.0.0.1", server.port, framing="raw") as client:
            if how == "left already":
                await client.ask("DESCONEXION")
                await client.leave()
            elif how == "an error":
                assert await client.ask("hola") == "HOLA"
                raise ZeroDivisionError
    assert server.endings == ["left"]
    assert server.chunks[-1] == b"DESCONEXION"


async def test_a_cancelled_block_leaves_politely_too() -> None:
    with OldServer() as server, trio.CancelScope() as scope:
        async with open_client("127.0.0.1", server.port, framing="raw") as client:
            assert await client.ask("hola") == "HOLA"
            scope.cancel()
            await trio.sleep_forever()
    assert server.endings == ["left"]


async def test_a_server_that_leaves_first_says_so() -> None:
    with OldServer(leaving={"ADIOS": "", "DESCONEXION": ""}) as server:
        async with open_client("127.0.0.1", server.port, framing="raw") as client:
            with pytest.raises(ServerLeft):
                await client.ask("ADIOS")
            with pytest.raises(ServerLeft):
                await client.ask("hola")


async def test_trailing_blanks_are_no_part_of_the_leaving_word() -> None:
    with OldServer(leaving={"DESCONEXION": "adiós"}) as server:
        async with open_client("127.0.0.1", server.port, framing="raw") as client:
            assert await client.ask("DESCONEXION \r") == "adiós"
    assert server.chunks == [b"DESCONEXION"]


# What cannot be seen on real sockets without waiting for the clock.


async def raw_pair(dialect: Dialect = STANDARD) -> tuple[RawClient, trio.StapledStream]:  # type: ignore[type-arg]
    ours, theirs = memory_stream_pair()
    await trio.lowlevel.checkpoint()
    return RawClient(ours, dialect, "double:1"), theirs


async def test_a_reply_in_segments_is_one_reply(autojump_clock: MockClock) -> None:
    client, server = await raw_pair(ADMIN)

    async def answer() -> None:
        await server.receive_some()
        for segment in (b"HO", b"L", b"A"):
            await server.send_all(segment)
            await trio.sleep(GAP * 0.9)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await client.ask("hola") == "HOLA"


async def test_a_server_that_never_closes_is_left_after_two_seconds(
    autojump_clock: MockClock,
) -> None:
    client, _ = await raw_pair()
    start = trio.current_time()
    assert await client.leave() == ""
    assert trio.current_time() - start == pytest.approx(LEAVE_TIME)


async def test_a_dialect_without_a_word_is_left_by_half_closing(autojump_clock: MockClock) -> None:
    client, server = await raw_pair(ECHO)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.leave)
        assert await server.receive_some() == b""
        await server.send_eof()


@pytest.mark.parametrize("size", [4, 3000])
async def test_after_a_cancelled_ask_the_next_one_gets_its_own_reply(
    size: int, autojump_clock: MockClock
) -> None:
    client, server = await raw_pair(ADMIN)

    async def answer() -> None:
        while data := await server.receive_some(PIECE):
            await trio.sleep(1)
            await server.send_all(data.upper())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        for patience in (0.5, 1.5, 2.5):
            with trio.move_on_after(patience):
                await client.ask("a" * size)
        assert await client.ask("bien") == "BIEN"
        nursery.cancel_scope.cancel()


async def test_the_leaving_word_waits_for_a_reply_that_is_due(autojump_clock: MockClock) -> None:
    client, server = await raw_pair(ADMIN)
    answered = False

    async def answer() -> None:
        nonlocal answered
        for message, reply in ((b"hola", b"HOLA"), (b"adios", b"ADIOS")):
            assert await server.receive_some() == message
            with trio.move_on_after(1):  # nothing else is said meanwhile
                raise AssertionError(await server.receive_some())
            await server.send_all(reply)
        answered = True
        assert await server.receive_some() == b"APAGAR"
        await server.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await client.ask("hola") == "HOLA"
        with trio.move_on_after(0.5):
            await client.ask("adios")
        assert not answered
        await client.close_politely()
        assert answered


async def test_whoever_leaves_in_the_middle_of_a_long_message_does_not_send_its_rest(
    autojump_clock: MockClock,
) -> None:
    client, server = await raw_pair(ADMIN)

    async def answer() -> None:
        assert await server.receive_some() == b"hola"
        await server.send_all(b"HOLA")
        piece = await server.receive_some()
        assert piece == b"a" * PIECE
        await trio.sleep(1)
        await server.send_all(piece.upper())
        assert await server.receive_some() == b"APAGAR"
        await server.send_all(b"Desconectado")
        await server.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await client.ask("hola") == "HOLA"
        with trio.move_on_after(0.5):
            await client.ask("a" * 3 * PIECE)
        assert await client.leave() == "Desconectado"


async def test_what_came_late_is_not_taken_for_the_next_reply(autojump_clock: MockClock) -> None:
    client, server = await raw_pair(ADMIN)

    async def answer() -> None:
        await server.receive_some()
        await server.send_all(b"HO")
        await trio.sleep(1)
        await server.send_all(b"LA")
        assert await server.receive_some() == "adiós".encode()
        await server.send_all("ADIÓS".encode())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await client.ask("hola") == "HO"
        await trio.sleep(2)
        assert await client.ask("adiós") == "ADIÓS"


async def test_what_somebody_had_begun_to_hear_is_not_taken_for_the_next_reply(
    autojump_clock: MockClock,
) -> None:
    client, server = await raw_pair()

    async def answer() -> None:
        while data := await server.receive_some():
            await server.send_all(data.upper())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await client.ask("hola") == "HOLA"
        await server.send_all(b"por cierto")
        with trio.move_on_after(GAP / 2):
            await client.receive_line()
        assert await client.ask("adios") == "ADIOS"
        nursery.cancel_scope.cancel()


async def test_a_message_waits_for_the_answer_to_the_one_before(autojump_clock: MockClock) -> None:
    client, _ = await raw_pair()
    await client.send_message("hola")
    with pytest.raises(ClientBusy):
        await client.send_message("otra")
    await client.send_message("DESCONEXION")  # but one may always leave


async def test_what_was_cancelled_before_anything_went_out_is_not_waited_for(
    autojump_clock: MockClock,
) -> None:
    client, server = await raw_pair()
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.send_message("nunca")
    assert scope.cancelled_caught
    await client.send_message("hola")  # else: busy
    assert await server.receive_some() == b"hola"


async def test_a_greeting_that_is_not_known_is_waited_for_before_the_first_message_only(
    autojump_clock: MockClock,
) -> None:
    client, server = await raw_pair()

    async def answer() -> None:
        await trio.sleep(GREETING_TIME / 2)  # the mock clock's
        await server.send_all("¡Hola!".encode())
        while data := await server.receive_some():
            await server.send_all(data.upper())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await client.ask("hola") == "HOLA"
        assert client.greeting == "¡Hola!"
        begun = trio.current_time()
        assert await client.ask("adios") == "ADIOS"
        assert trio.current_time() - begun < GAP + GREETING_TIME / 2
        nursery.cancel_scope.cancel()


async def test_what_is_no_text_goes_out_as_it_is(autojump_clock: MockClock) -> None:
    client, server = await raw_pair()
    await client.send_message("a\udcff")
    assert await server.receive_some() == b"a\xff"


def test_what_cannot_be_cut_is_refused_beforehand() -> None:
    ours, _ = memory_stream_pair()
    client = RawClient(ours, STANDARD, "double:1")
    with pytest.raises(MessageRefused, match="piece"):
        client.check("a" + " " * 2 * PIECE + "b")
    client.check("a" + "b" * 2 * PIECE + "\udcff")
    with pytest.raises(MessageRefused, match="line feed"):
        client.check("dos\nlíneas")


@pytest.mark.parametrize("greeting", ["¡Hola!".encode(), b"\xa1Hola!"])
async def test_after_a_greeting_alone_the_leaving_word_waits_for_a_reply_that_is_due(
    autojump_clock: MockClock, greeting: bytes
) -> None:
    client, server = await raw_pair()

    async def answer() -> None:
        await server.send_all(greeting)
        assert await server.receive_some() == b"hola"
        await trio.sleep(1)  # the mock clock's
        await server.send_all(b"HOLA")
        assert await server.receive_some() == b"DESCONEXION"
        await server.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with trio.move_on_after(0.5):
            await client.ask("hola")
        assert client.greeting == greeting.decode("utf-8", "replace")
        assert await client.leave() == ""


async def test_a_server_whose_greeting_is_known_is_not_waited_for(
    autojump_clock: MockClock,
) -> None:
    client, server = await raw_pair(ADMIN)

    async def answer() -> None:
        while data := await server.receive_some():
            await server.send_all(data.upper())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        begun = trio.current_time()
        assert await client.ask("hola") == "HOLA"
        assert trio.current_time() - begun < GAP + GREETING_TIME / 2
        nursery.cancel_scope.cancel()


async def test_a_server_that_has_left_is_sent_nothing_more(autojump_clock: MockClock) -> None:
    client, server = await raw_pair()
    await server.send_eof()
    for _ in range(2):
        with pytest.raises(ServerLeft, match="closed"):
            await client.ask("hola")
    with trio.move_on_after(1) as waiting:
        await server.receive_some()
    assert waiting.cancelled_caught


async def test_after_the_leaving_word_the_server_is_heard_to_its_end(
    autojump_clock: MockClock,
) -> None:
    client, server = await raw_pair()
    begun = trio.current_time()

    async def answer() -> None:
        assert await server.receive_some() == b"DESCONEXION"
        await trio.sleep(1)  # the mock clock's
        await server.send_all(b"adios")
        await server.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        await client.send_message("DESCONEXION")
        await client.close_politely()
        assert trio.current_time() - begun == pytest.approx(1)


async def test_no_piece_of_a_message_is_a_word(autojump_clock: MockClock) -> None:
    client, server = await raw_pair()
    await client.send_message("x" * PIECE + "desconexion")
    assert 0 < len(await server.receive_some()) < PIECE


async def test_a_conversation_hears_in_one_task_and_says_in_another(
    autojump_clock: MockClock,
) -> None:
    client, server = await raw_pair()
    heard: list[str | None] = []

    async def listen() -> None:
        while True:
            heard.append(await client.receive_line())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for piece in ("¡Ho", "la!"):  # a greeting
            await server.send_all(piece.encode())
            await trio.testing.wait_all_tasks_blocked()
        await client.send_message("a" * 1500)
        for size in (PIECE, 1500 - PIECE):
            data = await server.receive_some()
            assert len(data) == size
            await server.send_all(data.upper())
        await trio.sleep(1)
        assert heard == ["A" * 1500]
        assert client.greeting == "¡Hola!"
        nursery.cancel_scope.cancel()


async def test_waiting_is_told_to_the_listening_task_too(autojump_clock: MockClock) -> None:
    ours, _ = memory_stream_pair()
    waiting = trio.Event()
    client: Client = RawClient(ours, STANDARD, "double:1", on_waiting=waiting.set)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.receive_line)
        await trio.sleep(10 * TURN_NOTICE)
        assert not waiting.is_set()  # nothing has been said: nothing is due
        start = trio.current_time()
        await client.send_message("hola")
        await waiting.wait()
        assert trio.current_time() - start == pytest.approx(1)
        nursery.cancel_scope.cancel()


async def test_waiting_is_told_once_however_often_it_begins_again(
    autojump_clock: MockClock,
) -> None:
    ours, _ = memory_stream_pair()
    told: list[float] = []
    client = RawClient(
        ours, STANDARD, "double:1", on_waiting=lambda: told.append(trio.current_time())
    )
    await client.send_message("hola")
    for _ in range(3):
        with trio.move_on_after(10):
            await client.receive_line()
    assert len(told) == 1


texts = st.text(st.sampled_from("añ€😀 \tDESCONEXION"), min_size=1).map(lambda text: text * 50)
WORDS = frozenset({b"DESCONEXION"})


@given(text=texts | st.just("x" * PIECE + "desconexion") | st.just("x" * PIECE + "  "))
def test_pieces_are_the_message_cut_between_characters(text: str) -> None:
    data = text.encode()
    try:
        cut = pieces(data, WORDS)
    except MessageRefused:
        assert " " * (PIECE // 2) in text.replace("\t", " ")
        return
    assert b"".join(cut) == data
    for piece in cut:
        assert 0 < len(piece) <= PIECE
        alone = piece.decode().strip().upper()  # no character is cut
        if len(cut) > 1:
            assert alone not in ("", "DESCONEXION")


BLANKS = " " * (2 * PIECE - 2)
"""So many that what follows one character has no cut behind which no blank piece would stand."""


def test_a_message_that_no_cut_keeps_from_making_a_word_is_refused_beforehand() -> None:
    leaving = Dialect("short", {b"X": Command(Action.DISCONNECT, "bye")})
    check(f"y{BLANKS}yy", leaving)
    with pytest.raises(MessageRefused):
        check(f"x{BLANKS}yy", leaving)  # each first piece would be the word, as servers strip it


def test_a_piece_may_be_one_character_but_no_part_of_one() -> None:
    assert [piece.strip() for piece in pieces(f"ab{BLANKS}c".encode())] == [b"a", b"b", b"c"]
    with pytest.raises(MessageRefused, match=f"{PIECE} bytes"):
        pieces(f"é{BLANKS}c".encode())


def test_bytes_that_are_no_text_are_cut_all_the_same() -> None:
    for data in (b"\xff" * 5000, b"\x80" * 5000):
        assert b"".join(pieces(data)) == data


async def test_a_broken_connection_is_an_error_of_ours() -> None:
    ours, theirs = memory_stream_pair()
    client = RawClient(ours, STANDARD, "double:1")
    await theirs.aclose()
    with pytest.raises(ConnectionLost, match="double:1"):
        await client.leave()
    await client.close_politely()  # the server has gone
