"""Text from outside, made safe for a terminal or a log.

Whatever a peer sends is echoed to that peer faithfully; anywhere else it is shown through
:func:`shown`, because a terminal obeys what it is shown: escape sequences (ECMA-48) move
the cursor or set the clipboard, C1 controls do the same in one byte, bidirectional controls
reorder what is read (UAX #9, CVE-2021-42574), a newline forges a log line, and stacks of
combining marks bury the lines around them.
"""

from __future__ import annotations

import unicodedata

MAX_SHOWN = 200
"""Characters shown of one text: two and a half terminal lines tell what it is."""

MAX_MARKS = 4
"""Combining marks shown in a row: Vietnamese and polytonic Greek need three, Zalgo wants
hundreds."""


def shown(text: str | bytes, limit: int = MAX_SHOWN) -> str:
    r"""The text in at most `limit` visible characters, and ``…`` where it was cut.

    Whatever is not printable becomes its Python escape (``\x1b``, ``\u202e``), bytes that
    are not UTF-8 become ``\xff``. A backslash stays itself: this is for reading, not for
    decoding.
    """
    if isinstance(text, bytes):
        # At most 4 bytes a character: nothing after these can be among the first `limit`.
        cut = len(text) > 4 * limit + 4
        text = text[: 4 * limit + 4].decode("utf-8", "surrogateescape")
    else:
        cut = False
    if len(text) <= limit and not cut and text.isascii() and text.isprintable():
        return text
    pieces: list[str] = []
    room, marks = limit, 0
    for place, character in enumerate(text):
        marks = marks + 1 if unicodedata.category(character)[0] == "M" else 0
        piece = character
        if not character.isprintable() or marks > MAX_MARKS:
            piece = _escaped(character)
        room -= len(piece)
        if room < 0 or (room == 0 and place + 1 < len(text)):
            return "".join(pieces) + "…"
        pieces.append(piece)
    return "".join(pieces) + ("…" if cut else "")


def _escaped(character: str) -> str:
    """The Python escape of one character; an undecodable byte as the byte it was."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
