"""What is sent, and what must come back.

Unless the user brings the text, each message carries its own number: a reply that belongs to
another message, or comes twice, is then seen to be wrong. The number is written in hexadecimal,
and letters fill the rest, so that an upper-case server has something to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

Expectation = Literal["upper", "echo", "any"]
"""What a reply must be: the message in upper case, the message itself, or anything."""

Framing = Literal["line", "raw"]
"""Where a message ends: at a line feed, or where one call sent it."""

DIGITS = 12
"""Digits of a message's number, if it has room: enough for 89 years at 100 000 a second."""

WORDS = b" hola servidor, que tal "
"""What the rest of a message is made of."""

SPREAD = 2654435761
"""Knuth's multiplicative hash (TAOCP 3, 6.4): sizes look random, and the same number has the same
size in every run with the same seed."""

Make = Callable[[int], "tuple[bytes, bytes | None]"]
"""The message with this number, and the reply that it must get; None for any."""


class Numbered:
    """Messages with their number in them.

    Args:
      least, most: bytes of a message, with its line feed.
      framing: whether it ends in one.
      expect: what a reply must be.
      seed: decides the sizes.
    """

    def __init__(
        self, least: int, most: int, framing: Framing, expect: Expectation, seed: int
    ) -> None:
        self._least, self._span = least, most - least + 1
        self._seed = seed
        self._end = b"\n" if framing == "line" else b""
        self._expect = expect
        filler = WORDS * (most // len(WORDS) + 1)
        self._tail = filler[: max(0, most - len(self._end) - DIGITS)]
        self.tail: bytes | None = None
        """What follows the number, where it is always the same."""
        if self._span == 1 and expect == "upper" and least >= DIGITS + len(self._end):
            self.tail = self._tail + self._end

    def __call__(self, number: int) -> tuple[bytes, bytes | None]:
        """The message, and its reply."""
        if self.tail is not None:
            message = b"%012x%b" % (number, self.tail)
            return message, message.upper()
        size = self._least + ((number + self._seed) * SPREAD >> 7) % self._span - len(self._end)
        digits = b"%012x" % (number & 0xFFFFFFFFFFFF)
        if size < DIGITS:  # the lowest ones: those that differ from one message to the next
            message = digits[DIGITS - size :] + self._end
        else:
            message = b"%b%b%b" % (digits, self._tail[: size - DIGITS], self._end)
        if self._expect == "any":
            return message, None
        return message, message.upper() if self._expect == "upper" else message


class Given:
    """Messages that the user brings, in turn.

    Args:
      texts: without line feeds; bytes that are not UTF-8 are allowed.
      framing: whether a line feed ends a message.
      expect: what a reply must be.
    """

    tail = None

    def __init__(self, texts: Sequence[bytes], framing: Framing, expect: Expectation) -> None:
        end = b"\n" if framing == "line" else b""
        self._pairs = [(text + end, expected(text + end, expect)) for text in texts]

    def __call__(self, number: int) -> tuple[bytes, bytes | None]:
        """The message, and its reply."""
        return self._pairs[number % len(self._pairs)]


def expected(message: bytes, expect: Expectation) -> bytes | None:
    """What a message must get for an answer."""
    if expect == "any":
        return None
    if expect == "echo":
        return message
    if message.isascii():
        return message.upper()
    return message.decode("utf-8", "surrogateescape").upper().encode("utf-8", "surrogateescape")
