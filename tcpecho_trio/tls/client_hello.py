"""The server's name that a client asks for in its ClientHello (SNI, RFC 6066 §3).

Python's own way is a callback, ``sni_callback``. When the name is not ASCII, that writes a
traceback to stderr, and any client can send such a name.
"""

from __future__ import annotations

import struct

HANDSHAKE_RECORD = b"\x16"
"""The first byte of a record that belongs to a handshake (RFC 8446 §5.1)."""

RECORD_HEAD = 5
"""Bytes in front of a record's contents: type, version, length (RFC 8446 §5.1)."""

SERVER_NAME = 0
"""The extension that names the server (RFC 6066 §3)."""

MAX_OPENING = 16384
"""Bytes of a client that are looked at for the name. A ClientHello has some 500, and some 2000
with a post-quantum key; OpenSSL takes up to 131 396."""


def server_name(opening: bytes) -> str | None:
    r"""The name that a client asks for; None if it names none, or if its ClientHello is cut.

    A byte that is not ASCII is escaped (``\xff``).

    Args:
      opening: the first bytes of a client. OpenSSL has accepted its ClientHello, so that the
        layout (RFC 8446 §4.1.2) need not be checked again.
    """
    try:
        return _find(_first_message(opening))
    except (IndexError, struct.error):  # it is cut
        return None


def _first_message(opening: bytes) -> bytes:
    """The handshake message that the first records hold, without their heads."""
    message, place = b"", 0
    while opening[place : place + 1] == HANDSHAKE_RECORD:
        end = place + RECORD_HEAD + int.from_bytes(opening[place + 3 : place + RECORD_HEAD])
        message += opening[place + RECORD_HEAD : end]
        place = end
    return message


def _find(hello: bytes) -> str | None:
    """Go through the fields of a ClientHello up to its server_name extension."""
    end = 4 + int.from_bytes(hello[1:4])
    place = 38  # type and length; version; random
    place += 1 + hello[place]  # session ID
    place += 2 + int.from_bytes(hello[place : place + 2])  # cipher suites
    place += 1 + hello[place]  # compression methods
    place += 2  # length of the extensions
    while place < end:
        kind, size = struct.unpack_from("!HH", hello, place)
        behind = place + 4 + size
        if kind == SERVER_NAME:
            # A list of one name, which has its length, kind and own length in front of it.
            return hello[place + 9 : behind].decode("ascii", "backslashreplace")
        place = behind
    return None
