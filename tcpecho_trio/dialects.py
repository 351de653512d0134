"""Which words are commands, and the fixed texts that go on the wire.

A dialect is data: a frozen dataclass that maps words (raw bytes, exact in case) to
commands. Nothing here recognises or obeys a command: :mod:`tcpecho_trio.protocol`
recognises, the server obeys.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

BLANKS = b" \t\r"
"""What may trail a word and is cut off before comparing: people's fingers leave spaces
and tabs behind, Windows and telnet leave a CR."""

MAX_BLANKS = 16
"""How many trailing blanks still make a command. It bounds what the protocol has to hold
back; a full tab stop on top of a CRLF fits, a padded record does not."""

COMMONEST_FIRST = b" eaosnrildtucmpbgvyqhfzjxkwEAOSNRILDTUCMPBGVYQHFZJXKW"
"""Blank and letters as texts have them, the commonest first (Spanish order; what is not
listed counts as rare). Only speed hangs on it: see :attr:`Dialect.marks`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireErrors:
    """What the server says to clients about errors, in one language. Each begins with ``ERROR: ``.

    Args:
      full: the server has no place for the client, which is closed.
      address_limit: too many clients are there from its address; it is closed, too.
      shutdown_refused: the client may not shut the server down; its connection stays.
    """

    full: str
    address_limit: str
    shutdown_refused: str


WIRE_ERRORS: Mapping[str, WireErrors] = MappingProxyType(
    {
        "es": WireErrors(
            full="ERROR: el servidor está lleno, inténtalo más tarde\n",
            address_limit="ERROR: hay demasiadas conexiones desde tu dirección\n",
            shutdown_refused="ERROR: el apagado remoto no está permitido desde esta dirección",
        ),
        "en": WireErrors(
            full="ERROR: the server is full, try again later\n",
            address_limit="ERROR: there are too many connections from your address\n",
            shutdown_refused="ERROR: remote shutdown is not allowed from this address",
        ),
    }
)

SERVER_FULL = WIRE_ERRORS["es"].full
SHUTDOWN_REFUSED = WIRE_ERRORS["es"].shutdown_refused
SHUTDOWN_REFUSALS = frozenset(errors.shutdown_refused for errors in WIRE_ERRORS.values())
"""How servers of either language refuse a remote shutdown: a reply, unlike other errors."""


class Action(enum.Enum):
    """What the server does when it obeys a command."""

    REPLY = "reply"
    """Answer with the command's fixed text."""
    REPORT = "report"
    """Answer with what was seen of the connection, as one line of JSON."""
    LIST = "list"
    """Answer with the command's text and then one ``ip:port`` a line."""
    DISCONNECT = "disconnect"
    """Say the farewell, close this connection."""
    SHUTDOWN = "shutdown"
    """Say the farewell, drain the whole server (where the peer may ask for that)."""


@dataclass(frozen=True, slots=True)
class Command:
    """An action and its fixed text, which is sent with the terminator the message had."""

    action: Action
    text: str

    @property
    def disconnects(self) -> bool:
        """Whether the conversation is over for the protocol once this is recognised.

        ``SHUTDOWN`` is not: the server may refuse it, and then the connection stays.
        """
        return self.action is Action.DISCONNECT

    @property
    def leaves(self) -> bool:
        """Whether a client that sends this means to leave."""
        return self.action in (Action.DISCONNECT, Action.SHUTDOWN)

    @property
    def reaches_others(self) -> bool:
        """Whether it touches more than the connection that it came on."""
        return self.action in (Action.LIST, Action.SHUTDOWN)


def _rarity(byte: int) -> int:
    """How far down the list of common bytes this one stands."""
    place = COMMONEST_FIRST.find(byte)
    return len(COMMONEST_FIRST) if place < 0 else place


@dataclass(frozen=True)
class Dialect:
    """A vocabulary: the words that are commands, the greeting, and what becomes of text.

    Args:
      name: what ``--dialect`` calls it.
      words: each word (non-empty UTF-8, no LF, no trailing blank) and its command.
      greeting: sent when a client connects, without a terminator; empty for none.
      upper: whether text is answered in upper case (else unchanged).

    Raises:
      ValueError: a word that could never be recognised.
    """

    name: str
    words: Mapping[bytes, Command]
    greeting: str = ""
    upper: bool = True

    # Derived once per dialect, so that a connection costs no compilation and no copies.
    guarded: bool = field(init=False, repr=False, compare=False)
    """Whether a word has power over others. Then a client that turns out to speak HTTP or TLS
    is cut, because another party may have chosen what it sends: a web page makes a browser post
    any text to any port (a cross-protocol attack; Redis cuts at ``POST`` for this)."""
    reports: bool = field(init=False, repr=False, compare=False)
    """Whether a word asks for a report: then what passes has to be counted."""
    longest: int = field(init=False, repr=False, compare=False)
    """Bytes of the longest message that can be a command: its word and its blanks."""
    marks: tuple[tuple[int, bytes], ...] = field(init=False, repr=False, compare=False)
    """Each word with its rarest byte. Looking for one byte (``memchr``) is about 25 times
    cheaper than looking for a word, and mostly settles that the word is not there."""
    prefixes: frozenset[bytes] = field(init=False, repr=False, compare=False)
    """Every proper prefix of a word, the empty one included."""
    command: re.Pattern[bytes] = field(init=False, repr=False, compare=False)
    """Matches a whole message (without its LF): group 1 the word, group 2 its blanks."""
    command_line: re.Pattern[bytes] = field(init=False, repr=False, compare=False)
    """Finds a whole line, LF included, that is a command; the same groups."""

    def __post_init__(self) -> None:
        for word in self.words:
            word.decode()  # UnicodeDecodeError is a ValueError
            if not word or b"\n" in word or word[-1:] in (b" ", b"\t", b"\r"):
                raise ValueError(f"{word!r} can never be recognised as a command")
        words = b"|".join(re.escape(word) for word in self.words)
        message = b"(%b)([%b]{0,%d})" % (words or b"(?!)", BLANKS, MAX_BLANKS)
        derived = {
            "words": MappingProxyType(dict(self.words)),
            "guarded": any(command.reaches_others for command in self.words.values()),
            "reports": any(c.action is Action.REPORT for c in self.words.values()),
            "longest": max(map(len, self.words), default=0) + MAX_BLANKS,
            "marks": tuple((max(word, key=_rarity), word) for word in self.words),
            "prefixes": frozenset(word[:n] for word in self.words for n in range(len(word))),
            "command": re.compile(message),
            "command_line": re.compile(b"^%b\n" % message, re.MULTILINE),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # the documented way in a frozen dataclass

    def mentions_word(self, data: bytes) -> bool:
        """Whether any word stands anywhere in data: if not, no line in it is a command."""
        return any(mark in data and word in data for mark, word in self.marks)

    @property
    def leaving_words(self) -> tuple[str, ...]:
        """The words by which a client leaves, the gentlest first."""
        leaving = [(c.action is Action.SHUTDOWN, w) for w, c in self.words.items() if c.leaves]
        return tuple(word.decode() for _, word in sorted(leaving))

    def command_in(self, message: bytes) -> Command | None:
        """The command that a message (without its LF) is, or None when it is text."""
        found = self.command.fullmatch(message)
        return self.words[found[1]] if found else None

    def may_become_command(self, start: bytes) -> bool:
        """Whether a message that starts like this can still turn out to be a command."""
        return start in self.prefixes or self.command.fullmatch(start) is not None


_DISCONNECT = {b"DESCONEXION": Command(Action.DISCONNECT, "Conexión cerrada")}

STANDARD = Dialect("standard", _DISCONNECT)

SALUTATION = Dialect(
    "salutation",
    {**_DISCONNECT, b"hola servidor": Command(Action.REPLY, "HOLA CLIENTE")},
)

ADMIN = Dialect(
    "admin",
    {
        b"LISTAR": Command(Action.LIST, "Clientes conectados:"),
        b"APAGAR": Command(Action.DISCONNECT, "Desconectado del servidor."),
        b"DESCONEXION": Command(Action.SHUTDOWN, "SERVIDOR CERRÁNDOSE..."),
    },
    greeting="Conexión exitosa. Usa 'LISTAR' para ver clientes.",
)

ECHO = Dialect("echo", {}, upper=False)
"""RFC 862: bytes come back as they went."""

_REPORT = Command(Action.REPORT, "")

INSPECT = Dialect("inspect", {**_DISCONNECT, b"INFORME": _REPORT, b"REPORT": _REPORT})

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {dialect.name: dialect for dialect in (STANDARD, SALUTATION, ADMIN, ECHO, INSPECT)}
)
