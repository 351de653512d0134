"""What peers send, made safe for terminals and logs."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.display import MAX_MARKS, shown


@given(text=st.one_of(st.text(), st.binary(), st.text(min_size=150, max_size=500)))
def test_nothing_that_a_terminal_would_obey_is_ever_shown(text: str | bytes) -> None:
    line = shown(text)
    assert line.isprintable()
    assert len(line) <= 200
    for start in range(len(line) - MAX_MARKS):
        run = line[start : start + MAX_MARKS + 1]
        assert not all(unicodedata.category(c).startswith("M") for c in run)


@given(text=st.text(alphabet=st.characters(categories=["L", "N", "P"]), max_size=200))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == shown(text.encode()) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        (b"\xff\xc3", r"\xff\xc3"),
        ("\u202eabc", r"\u202eabc"),
        ("a\r\n2026 forged", r"a\x0d\x0a2026 forged"),
        ("\U000e0041", r"\U000e0041"),
        ("e\u0301" + "\u0301" * 5, "e" + "\u0301" * 4 + r"\u0301\u0301"),
        ("ñ" * 200, "ñ" * 200),
        ("ñ" * 201, "ñ" * 199 + "…"),
        (b"a" * 10_000, "a" * 199 + "…"),
    ],
)
def test_what_it_looks_like(text: str | bytes, line: str) -> None:
    assert shown(text) == line


def test_a_text_cut_at_the_limit_of_its_bytes_is_marked() -> None:
    assert shown("😀".encode() * 300, limit=300) == "😀" * 300
    assert shown(("😀" * 100 + "a" * 10_000).encode(), limit=150).endswith("a…")
