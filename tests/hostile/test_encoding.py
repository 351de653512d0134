"""Bytes that are not UTF-8, and characters cut in two."""

from __future__ import annotations

import pytest

from tests.support.victim import Victim, read_exactly


def test_a_euro_in_three_reads(server: Victim) -> None:
    with server.connect() as client:
        client.send(b"a")
        assert read_exactly(client, 1) == b"A"
        for byte in "€".encode()[:-1]:
            client.send(bytes([byte]))
        client.send("€b".encode()[2:])
        assert read_exactly(client, 4) == "€B".encode()


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc0\x8a", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xf8\x88"]
)
def test_what_is_not_utf_8_comes_back_unchanged(server: Victim, bad: bytes) -> None:
    assert server.ask(b"a" + bad + b"b\n" + bad) == b"A" + bad + b"B\n" + bad


@pytest.mark.parametrize("start", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"])
def test_the_end_of_input_inside_a_sequence(server: Victim, start: bytes) -> None:
    assert server.ask(b"a\n" + start) == b"A\n" + start


def test_text_that_triples(server: Victim) -> None:
    text = "\u0390" * 32768
    assert server.ask(text.encode()) == text.upper().encode()
    assert len(text.upper().encode()) == 3 * len(text.encode())
