"""What is sent, and what must come back."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.load.messages import Given, Numbered, expected

Framing = Literal["line", "raw"]
FRAMINGS: list[Framing] = ["line", "raw"]
SIZES = st.tuples(st.integers(1, 100), st.integers(0, 300)).map(lambda s: (s[0], s[0] + s[1]))


@given(SIZES, st.sampled_from(FRAMINGS), st.integers(0, 10**12), st.integers(0, 10**6))
def test_a_message_has_the_size_that_was_asked_for(
    size: tuple[int, int], framing: Framing, number: int, seed: int
) -> None:
    message, reply = Numbered(*size, framing, "upper", seed)(number)
    assert size[0] <= len(message) <= size[1]
    assert message.endswith(b"\n") == (framing == "line")
    assert message.count(b"\n") == (framing == "line")
    assert reply == message.upper()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [(64, 64), (20, 20), (13, 13), (64, 4096)])
def test_no_two_messages_are_equal(framing: Framing, size: tuple[int, int]) -> None:
    make = Numbered(*size, framing, "upper", 7)
    assert len({make(number)[0] for number in range(20_000)}) == 20_000


def test_a_short_message_keeps_the_digits_that_change() -> None:
    make = Numbered(4, 4, "line", "echo", 0)
    assert [make(number)[0] for number in (1, 2, 0xABC)] == [b"001\n", b"002\n", b"abc\n"]


def test_the_same_seed_gives_the_same_sizes_and_another_one_others() -> None:
    def sizes(seed: int) -> list[int]:
        make = Numbered(64, 4096, "line", "upper", seed)
        return [len(make(number)[0]) for number in range(50)]

    assert sizes(1) == sizes(1) != sizes(2)
    assert max(sizes(1)) > 3000
    assert min(sizes(1)) < 1000


@pytest.mark.parametrize(
    ("text", "upper"),
    [("año ß\n", "AÑO SS\n"), ("ya\udcff\n", "YA\udcff\n"), ("hola", "HOLA")],
)
def test_what_is_not_ascii_is_upper_cased_as_the_server_does(text: str, upper: str) -> None:
    said = text.encode("utf-8", "surrogateescape")
    assert expected(said, "upper") == upper.encode("utf-8", "surrogateescape")
    assert expected(said, "echo") == said
    assert expected(said, "any") is None


def test_given_texts_are_sent_in_turn() -> None:
    make = Given([b"uno", b"dos"], "line", "upper")
    assert [make(number) for number in range(3)] == [
        (b"uno\n", b"UNO\n"),
        (b"dos\n", b"DOS\n"),
        (b"uno\n", b"UNO\n"),
    ]
    assert Given([b"uno"], "raw", "any")(5) == (b"uno", None)
