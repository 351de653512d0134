"""When a chunk takes the fast path: nothing shows it but the time, and most chunks have to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tcpecho_trio.dialects import ADMIN, ECHO, SALUTATION, STANDARD, Dialect
from tcpecho_trio.protocol import Protocol


@pytest.mark.parametrize("dialect", [STANDARD, SALUTATION, ADMIN])
@pytest.mark.parametrize("before", [b"hola\n", b"hola\r\n", b"DESCO\n", b"DES", b"a\nDESCO"])
def test_whole_lines_of_a_line_client_take_it_after_any_line(
    dialect: Dialect, before: bytes
) -> None:
    protocol = Protocol(dialect)
    protocol.receive_data(before)
    protocol.receive_data(b"rest\n")  # now it is between two lines, whatever was before
    assert protocol.receive_plain(b"adios\n") == b"ADIOS\n"
    assert protocol.receive_plain("añ\xf3s\nuno\r\n".encode()) == "AÑ\xd3S\nUNO\r\n".encode()


def test_nothing_else_takes_it() -> None:
    protocol = Protocol(STANDARD)
    assert protocol.receive_plain(b"hola\n") is None  # nobody knows yet that it is a line client
    protocol.receive_data(b"hola\n")
    for chunk in (b"", b"adios", b"DESCONEXION\n", b"adios\nDESCONEXION\n"):
        assert protocol.receive_plain(chunk) is None
    protocol.receive_data(b"DESCO")
    assert protocol.receive_plain(b"NEXION\n") is None


def test_a_dialect_that_changes_nothing_takes_it_between_two_lines_only() -> None:
    echo = Protocol(ECHO)
    assert echo.receive_plain(b"hola\n") is None
    echo.receive_data(b"hola\n")
    assert echo.receive_plain(b"adi\xf3s\n") == b"adi\xf3s\n"
    echo.receive_data(b"ad")
    assert echo.receive_plain(b"ios\n") is None  # it goes on with a message that has begun
    echo.receive_data(b"ios\n")
    assert echo.receive_plain(b"hola\n") == b"hola\n"


def test_messages_are_counted_on_either_path() -> None:
    protocol = Protocol(STANDARD)
    for chunk, begun in ((b"uno\n", 1), (b"uno\ndos\n", 2), (b"x", 1), (b"y\n", 0), (b"z\n", 1)):
        protocol.receive_data(chunk)
        assert protocol.begun == begun, chunk


@pytest.mark.parametrize("half", [b"\xed\xa0", b"\xed\xa5", b"\xed\xbf"])
def test_half_a_surrogate_is_no_letter_and_is_not_waited_with(half: bytes) -> None:
    protocol = Protocol(STANDARD)
    protocol.receive_data(b"hola\n")
    assert protocol.receive_data(b"x" + half) == (b"X" + half,)
    assert not protocol.holds
    assert protocol.receive_data(b"\x80\n") == (b"\x80\n",)


def test_of_an_unframed_client_each_chunk_is_a_message_unless_it_goes_on_with_one() -> None:
    protocol = Protocol(STANDARD)
    for chunk, begun in ((b"hola", 1), (b"DESCO", 1), (b"NADA", 0), (b"adios", 1)):
        protocol.receive_data(chunk)
        assert protocol.begun == begun, chunk


@pytest.mark.parametrize("size", [4095, 4096, 4097, 65536])
def test_long_text_is_upper_cased_like_short_text_on_either_path(size: int) -> None:
    line = (b"hola, que tal. " * 5000)[: size - 1] + b"\n"
    protocol = Protocol(STANDARD)
    assert protocol.receive_data(line) == (line.upper(),)
    assert protocol.receive_plain(line) == line.upper()


def test_what_is_held_is_without_an_answer() -> None:
    protocol = Protocol(STANDARD)
    assert not protocol.holds
    protocol.receive_data(b"DESCO")
    assert protocol.holds
    protocol.receive_data(b"NADA\n")
    assert not protocol.holds


def test_before_any_message_and_after_the_last_none_begins() -> None:
    protocol = Protocol(STANDARD)
    assert protocol.begun == 0
    protocol.receive_data(b"hola\n")
    protocol.receive_data(b"")
    assert protocol.begun == 0
    protocol.receive_data(b"uno\nDESCONEXION\ndos\n")
    assert protocol.begun == 2  # what stands behind the word is no message any more
    protocol.receive_data(b"tres\n")
    assert protocol.begun == 0
    protocol = Protocol(STANDARD)
    protocol.receive_data(b"DESCONEXION\ndos\n")
    assert protocol.begun == 1


def test_where_nothing_is_upper_cased_messages_are_counted_too() -> None:
    protocol = Protocol(replace(ECHO, words={}))
    for chunk, begun in ((b"uno\n", 1), (b"uno\ndos\nx", 3), (b"y\n", 0), (b"z\n", 1)):
        assert protocol.receive_data(chunk) == (chunk,)
        assert protocol.begun == begun, chunk
