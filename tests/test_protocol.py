"""The wire contract by example: one named case each, and every pair of the state table."""

from __future__ import annotations

import pytest

from tcpecho_trio.dialects import ADMIN, ECHO, SALUTATION, STANDARD, Action, Command, Dialect
from tcpecho_trio.protocol import Output, Protocol, Request, State

LEAVE = STANDARD.words[b"DESCONEXION"]
LIST = ADMIN.words[b"LISTAR"]


def in_state(state: State) -> Protocol:
    protocol = Protocol(STANDARD)
    if state is State.LINES:
        protocol.receive_data(b"\n")
    elif state is State.FINISHED:
        protocol.receive_eof()
    assert protocol.state is state
    return protocol


TABLE: dict[tuple[State, str], tuple[tuple[Output, ...], State]] = {
    (State.UNDECIDED, "data"): ((b"HOLA",), State.UNDECIDED),
    (State.UNDECIDED, "line"): ((b"HOLA\n",), State.LINES),
    (State.UNDECIDED, "word"): ((), State.UNDECIDED),
    (State.UNDECIDED, "quiet"): ((), State.UNDECIDED),
    (State.UNDECIDED, "eof"): ((), State.FINISHED),
    (State.LINES, "data"): ((b"HOLA",), State.LINES),
    (State.LINES, "line"): ((b"HOLA\n",), State.LINES),
    (State.LINES, "word"): ((), State.LINES),
    (State.LINES, "quiet"): ((), State.LINES),
    (State.LINES, "eof"): ((), State.FINISHED),
    (State.FINISHED, "data"): ((), State.FINISHED),
    (State.FINISHED, "line"): ((), State.FINISHED),
    (State.FINISHED, "word"): ((), State.FINISHED),
    (State.FINISHED, "quiet"): ((), State.FINISHED),
    (State.FINISHED, "eof"): ((), State.FINISHED),
}
INPUTS = {
    "data": lambda protocol: protocol.receive_data(b"hola"),
    "line": lambda protocol: protocol.receive_data(b"hola\n"),
    "word": lambda protocol: protocol.receive_data(b"DESCONEXION"),
    "quiet": Protocol.receive_quiet,
    "eof": Protocol.receive_eof,
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", INPUTS)
def test_every_pair_of_state_and_input_is_in_the_table(state: State, name: str) -> None:
    protocol = in_state(state)
    outputs, after = TABLE[state, name]
    assert INPUTS[name](protocol) == outputs
    assert protocol.state is after


@pytest.mark.parametrize("ending", ["quiet", "eof"])
def test_an_unframed_word_is_obeyed_when_it_settles(ending: str) -> None:
    protocol = Protocol(STANDARD)
    assert protocol.receive_data(b"hola servidor") == (b"HOLA SERVIDOR",)
    assert not protocol.awaits_quiet
    assert protocol.receive_data(b"DESCO") == ()
    assert protocol.receive_data(b"NEXION\r") == ()
    assert protocol.awaits_quiet
    assert INPUTS[ending](protocol) == (Request(LEAVE, b""),)
    assert protocol.state is State.FINISHED


def test_a_start_of_a_word_is_answered_once_it_settles() -> None:
    protocol = Protocol(STANDARD)
    assert protocol.receive_data(b"DESC") == ()
    assert protocol.receive_quiet() == (b"DESC",)
    assert protocol.receive_data(b"hola") == (b"HOLA",)


def test_a_chunk_that_ends_in_a_line_client_word_waits_for_its_lf() -> None:
    protocol = in_state(State.LINES)
    assert protocol.receive_data(b"hola\nDESCONEXION") == (b"HOLA\n",)
    assert not protocol.awaits_quiet
    assert protocol.receive_quiet() == ()
    assert protocol.receive_data(b"\r\n") == (Request(LEAVE, b"\r\n"),)


def test_the_last_line_without_lf_is_answered_and_not_obeyed() -> None:
    protocol = in_state(State.LINES)
    assert protocol.receive_data(b"DESCONEXION") == ()
    assert protocol.receive_eof() == (b"DESCONEXION",)


def test_replies_and_requests_keep_the_order_of_the_input() -> None:
    protocol = Protocol(ADMIN)
    outputs = protocol.receive_data(
        b"hola\nLISTAR\r\nadios\nLISTAR \nLISTAR \t\r\nLISTAR\r \nAPAGAR\nno more\n"
    )
    assert outputs == (
        b"HOLA\n",
        Request(LIST, b"\r\n"),
        b"ADIOS\n",
        Request(LIST, b"\n"),
        Request(LIST, b"\r\n"),
        Request(LIST, b"\n"),
        Request(ADMIN.words[b"APAGAR"], b"\n"),
    )
    assert protocol.state is State.FINISHED


def test_a_shutdown_leaves_the_conversation_open_because_it_may_be_refused() -> None:
    protocol = Protocol(ADMIN)
    shutdown = Request(ADMIN.words[b"DESCONEXION"], b"\n")
    assert protocol.receive_data(b"DESCONEXION\nhola\n") == (shutdown, b"HOLA\n")
    assert protocol.state is State.LINES


def test_typing_a_character_at_a_time_is_understood() -> None:
    protocol = Protocol(STANDARD)
    replies: list[Output] = []
    for byte in b"DESCONEXION":
        replies += protocol.receive_data(bytes([byte]))
        replies += protocol.receive_quiet()
    assert b"".join(r for r in replies if isinstance(r, bytes)) == b"DESCONEXION"
    assert protocol.receive_data(b"\r\n") == (Request(LEAVE, b"\r\n"),)


def test_enter_after_a_word_that_settled_does_not_repeat_the_command() -> None:
    protocol = Protocol(ADMIN)
    protocol.receive_data(b"LISTAR")
    assert protocol.receive_quiet() == (Request(LIST, b""),)
    assert protocol.receive_data(b"\r\n") == (b"\r\n",)
    assert protocol.receive_data(b"LISTAR\n") == (Request(LIST, b"\n"),)


def test_a_word_that_settled_ends_the_line_that_other_text_had_begun() -> None:
    protocol = Protocol(ADMIN)
    assert protocol.receive_data(b"hola") == (b"HOLA",)
    protocol.receive_data(b"LISTAR")
    assert protocol.receive_quiet() == (Request(LIST, b""),)
    assert protocol.receive_data(b"LISTAR\n") == (Request(LIST, b"\n"),)


def test_half_a_character_survives_a_quiet_period() -> None:
    protocol = Protocol(STANDARD)
    assert protocol.receive_data(b"a\xe2\x82") == (b"A",)
    assert protocol.awaits_quiet
    assert protocol.receive_quiet() == ()
    assert not protocol.awaits_quiet
    assert protocol.receive_data(b"\xac") == ("€".encode(),)


def test_half_a_character_before_a_word_does_not_hide_it() -> None:
    protocol = Protocol(STANDARD)
    protocol.receive_data(b"\xe2\x82")
    assert protocol.receive_quiet() == ()
    assert protocol.receive_data(b"DESCONEXION") == (b"\xe2\x82",)
    assert protocol.receive_quiet() == (Request(LEAVE, b""),)


def test_half_a_character_inside_a_living_line_is_answered_with_the_burst() -> None:
    word = "año".encode()
    protocol = Protocol(Dialect("d", {word: Command(Action.REPLY, "feliz")}))
    assert protocol.receive_data(word[:2]) == ()
    assert protocol.receive_quiet() == (b"A",)  # \xc3 waits, and the line lives on
    assert protocol.receive_data(word[2:]) == ()
    assert protocol.receive_quiet() == ("ÑO".encode(),)
    assert protocol.receive_data(b"\n") == (Request(Command(Action.REPLY, "feliz"), b"\n"),)


def test_end_of_input_inside_a_character_returns_its_bytes() -> None:
    protocol = Protocol(STANDARD)
    assert protocol.receive_data(b"a\xe2\x82") == (b"A",)
    assert protocol.receive_eof() == (b"\xe2\x82",)


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        ("straße\n", "STRASSE\n"),
        ("año €\r\n", "AÑO €\r\n"),
        ("deſconexıon\n", "DESCONEXION\n"),
        ("a\u2028b\x0bc\x0cd\x85e\n", "A\u2028B\x0bC\x0cD\x85E\n"),
        ("hola\r\r\n", "HOLA\r\r\n"),
        ("\n", "\n"),
        ("holaDESCONEXION\n", "HOLADESCONEXION\n"),
        ("DESCONEXIONES\n", "DESCONEXIONES\n"),
        ("DESCONEXION" + " " * 17 + "\n", "DESCONEXION" + " " * 17 + "\n"),
        ("a\rDESCONEXION\n", "A\rDESCONEXION\n"),
    ],
)
def test_text_is_answered_in_upper_case(sent: str, reply: str) -> None:
    assert Protocol(STANDARD).receive_data(sent.encode()) == (reply.encode(),)


@pytest.mark.parametrize(
    "junk", [b"\xff\n", b"\xc0\x8a\n", b"\xed\xa0\x80\n", b"\xf4\x90\x80\x80\n"]
)
def test_bytes_that_are_not_utf8_come_back_unchanged(junk: bytes) -> None:
    assert Protocol(STANDARD).receive_data(junk) == (junk,)


def test_the_salutation_answers_its_greeting_and_nothing_near_it() -> None:
    protocol = Protocol(SALUTATION)
    salute = SALUTATION.words[b"hola servidor"]
    assert protocol.receive_data(b"hola servidor\nHola servidor\n") == (
        Request(salute, b"\n"),
        b"HOLA SERVIDOR\n",
    )


def test_the_echo_dialect_changes_nothing_and_holds_nothing() -> None:
    protocol = Protocol(ECHO)
    for chunk in (b"DESCONEXION", b"\xe2\x82", b"ho\nla", "ñ\n".encode()):
        assert protocol.receive_data(chunk) == (chunk,)
        assert not protocol.awaits_quiet
    assert protocol.receive_eof() == ()


def test_a_dialect_may_have_words_and_leave_text_unchanged() -> None:
    protocol = Protocol(Dialect("d", {b"adios": LEAVE}, upper=False))
    assert protocol.receive_data("ñ\xff\n".encode() + b"a") == ("ñ\xff\n".encode(),)
    assert protocol.receive_data(b"diox\xc3") == (b"adiox\xc3",)
    assert protocol.receive_data(b"\nadios\n") == (b"\n", Request(LEAVE, b"\n"))


def test_an_empty_chunk_is_no_input() -> None:
    assert Protocol(STANDARD).receive_data(b"") == ()
    assert in_state(State.LINES).receive_data(b"") == ()


@pytest.mark.parametrize("word", [b"", b"a\nb", b"a ", b"a\t", b"a\r", b"\xff"])
def test_a_word_that_could_never_be_recognised_is_refused(word: bytes) -> None:
    with pytest.raises(ValueError, match=r"recognised|utf-8"):
        Dialect("d", {word: LEAVE})


def test_an_unframed_word_is_obeyed_as_often_as_it_is_said() -> None:
    protocol = Protocol(ADMIN)
    for _ in range(3):
        assert protocol.receive_data(b"LISTAR") == ()
        assert protocol.receive_quiet() == (Request(LIST, b""),)


def test_the_longest_line_that_is_a_word_may_come_without_its_end() -> None:
    protocol = Protocol(STANDARD)
    longest = b"DESCONEXION".ljust(STANDARD.longest)
    assert protocol.receive_data(b"hola\n" + longest) == (b"HOLA\n",)
    assert protocol.receive_data(b"\n") == (Request(LEAVE, b"\n"),)
    protocol = Protocol(STANDARD)
    assert protocol.receive_data(b"hola\n" + longest + b" ") == (b"HOLA\n" + longest + b" ",)


def test_only_the_first_line_shows_that_a_client_speaks_http() -> None:
    protocol = Protocol(ADMIN)
    assert protocol.receive_data(b"\n") == (b"\n",)
    assert protocol.receive_data(b"GET / HTTP/1.1\r\n") == (b"GET / HTTP/1.1\r\n",)


@pytest.mark.parametrize("first", [b"\n", b"\r\n", b"hola\n"])
def test_only_the_first_line_is_looked_at_for_another_protocol(first: bytes) -> None:
    protocol = Protocol(ADMIN)
    request = b"GET / HTTP/1.1\r\n"
    assert protocol.receive_data(first) == (first.upper(),)
    assert protocol.receive_data(request) == (request.upper(),)
