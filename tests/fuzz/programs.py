"""What programs for :func:`tests.fuzz.check.check` are made of."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fuzz.check import CUT, EOF, LITERAL, PLAYED, QUIET, REPEAT

WORDS = sorted({word for dialect in PLAYED for word in dialect.words})

SEPARATORS = [bytes([byte]) for byte in (CUT, QUIET, EOF, REPEAT)]

AROUND = [
    *(word + end for word in WORDS for end in (b"\n", b"\r\n", b" \n", b"\x1d", b"\x1e")),
    *(b" " * 16, b" " * 17, b"\t\r\n", b"\r\n", b"\n\n"),
    *(piece.encode() for piece in ("ñ", "ß", "€", "😀", "ı", "ſ", "\u2028", "\ufeff")),
    *(b"\xc3\x1d", b"\xe2\x82\x1c\xac", b"\xf0\x9f\x98", b"\xff", b"\xed\xa0\x80", b"\xc0\x8a"),
    *(b" HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"),
    *SEPARATORS,
]
"""Pieces that stand near commands, and other protocols' first bytes."""


def literal(data: bytes) -> bytes:
    """Data as a program says it: none of it is taken for an action."""
    special = (CUT, QUIET, EOF, REPEAT, LITERAL)
    return b"".join(bytes([LITERAL, byte] if byte in special else [byte]) for byte in data)


words = st.sampled_from(WORDS)
# Not st.binary: its b"" beside integers is a comparison that python -bb does not forgive
# Hypothesis's cache (they have the same hash).
pieces = st.one_of(
    words,
    words.flatmap(lambda word: st.integers(1, len(word)).map(lambda cut: word[:cut])),
    words.flatmap(lambda word: st.integers(0, len(word) - 1).map(lambda cut: word[cut:])),
    st.sampled_from(AROUND),
    st.sampled_from(SEPARATORS),
    st.integers(0, 255).map(lambda byte: literal(bytes([byte]))),
)
programs = st.builds(
    lambda dialect, pieces: b"%d%b" % (dialect, b"".join(pieces)),
    st.integers(0, len(PLAYED) - 1),
    st.lists(pieces, max_size=30),
)
