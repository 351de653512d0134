"""What happened, told to a person or as JSON.

The journal is a list of events, each with its fields; how an event is told is the teller's
business: :func:`console_teller` looks up the line of that name in the texts,
:func:`json_teller` writes one object a line. Everything a peer said passes
:func:`~tcpecho_trio.display.shown` on its way in here, once and for all tellers.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import structlog

from tcpecho_trio.display import shown
from tcpecho_trio.texts import Texts

Put = Callable[[str], None]
"""Takes a finished line; must neither block nor fail."""

Teller = Callable[..., None]
"""Takes an event's name and its fields."""

MAX_LINES = 20
"""Messages told of one chunk: a pipelining client may send thousands at once."""


def console_teller(put: Put, texts: Texts) -> Teller:
    """Tell each event as the line of that name, for a person."""

    def tell(event: str, **fields: Any) -> None:
        fields = {
            name: getattr(texts, f"ended_{value}")
            if name == "reason" and event == "closed"
            else value
            for name, value in fields.items()
        }
        put(getattr(texts, event).format(**fields))

    return tell


def json_teller(put: Put) -> Teller:
    """Tell each event as one JSON object a line, with a UTC timestamp (RFC 3339)."""

    class Lines:
        """What structlog calls a logger: something to hand a finished line to."""

        def msg(self, line: str) -> None:
            put(line)

    log = structlog.wrap_logger(
        Lines(),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.BoundLogger,
    )

    def tell(event: str, **fields: Any) -> None:
        log.msg(event, **fields)

    return tell


class Journal:
    """The events of one server.

    Args:
      tell: how events are told.
      texts: the language of those fields that are words for a person.
      messages: whether each message and reply is told.
    """

    def __init__(self, tell: Teller, texts: Texts, *, messages: bool = True) -> None:
        self._tell = tell
        self.texts = texts
        self.messages = messages

    def listening(self, address: str) -> None:
        """Clients can connect now; `address` as the user named it, with the real port."""
        self._tell("listening", address=address)

    def connected(self, peer: str) -> None:
        """A client was accepted."""
        self._tell("connected", peer=peer)

    def received(self, peer: str, data: bytes) -> None:
        """A chunk came in."""
        if self.messages:
            self._tell_text("received", peer, data)

    def replied(self, peer: str, data: bytes) -> None:
        """A reply went out."""
        if self.messages:
            self._tell_text("replied", peer, data)

    def leaving(self, peer: str) -> None:
        """A client sent a word that ends its connection."""
        self._tell("leaving", peer=peer)

    def shutdown_refused(self, peer: str) -> None:
        """A client asked for a shutdown that it has no right to."""
        self._tell("shutdown_refused", peer=peer)

    def closed(self, peer: str, reason: str) -> None:
        """A connection is over; `reason` is an Ending's value."""
        self._tell("closed", peer=peer, reason=reason)

    def crashed(self, peer: str, error: BaseException) -> None:
        """A handler failed in a way that is our bug."""
        lines = "".join(traceback.format_exception(error))
        self._tell("crashed", peer=peer, traceback="\n".join(map(shown, lines.splitlines())))

    def draining(self, reason: str, clients: int) -> None:
        """The server has begun to end."""
        self._tell("draining", reason=reason, clients=clients)

    def cutting(self) -> None:
        """Whoever is still connected is cut off."""
        self._tell("cutting")

    def stopped(self) -> None:
        """The server has ended."""
        self._tell("stopped")

    def _tell_text(self, event: str, peer: str, data: bytes) -> None:
        """One event for each line of the text; an empty last line is no line."""
        lines = data.split(b"\n", MAX_LINES)
        if not lines[-1]:
            lines.pop()
        if len(lines) > MAX_LINES:
            more = lines.pop()
            rest = more.count(b"\n") + (not more.endswith(b"\n"))
        else:
            rest = 0
        for line in lines:
            self._tell(event, peer=peer, text=shown(line.removesuffix(b"\r")))
        if rest:
            self._tell("more_messages", count=rest)


def standard_output_encoding() -> str:
    """The encoding that whoever reads our standard output expects."""
    return sys.stdout.encoding if sys.stdout is not None else "utf-8"
