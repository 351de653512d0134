"""What happened, told to a person or as JSON.

The journal is a list of events, each with its fields; how an event is told is the teller's
business: :func:`console_teller` looks up the line of that name in the texts,
:func:`json_teller` writes one object a line. Everything a peer said passes
:func:`~tcpecho_trio.display.shown` on its way in here, once and for all tellers.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from typing import Any

import structlog
import trio

from tcpecho_trio.display import shown
from tcpecho_trio.texts import Texts

Put = Callable[[str], None]
"""Takes a finished line; must neither block nor fail."""

Teller = Callable[..., None]
"""Takes an event's name and its fields."""

MAX_LINES = 20
"""Lines told of one chunk: a pipelining client may send thousands at once."""

MESSAGES_A_SECOND = 40
"""Messages told in any one second: about what a terminal shows without scrolling. What comes
faster is counted, and the count is told; nobody could have read it anyway, and telling it
would cost more than answering it."""

ACCEPT_FAILURES_EVERY = 10.0
"""Seconds between two lines about connections that cannot be accepted: while descriptors are
short, Trio tries ten times a second."""


def console_teller(put: Put, texts: Texts) -> Teller:
    """Tell each event as the line of that name, for a person."""

    def tell(event: str, **fields: Any) -> None:
        if event == "closed":
            fields["reason"] = getattr(texts, f"ended_{fields['reason']}")
        if "count" in fields:
            fields["count"] = f"{fields['count']:,}".replace(",", texts.thousands)
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
      messages: whether messages and replies are told.
    """

    def __init__(self, tell: Teller, texts: Texts, *, messages: bool = True) -> None:
        self._tell = tell
        self.texts = texts
        self.messages = messages
        # Messages that may still be told in this second; negative once one was not.
        self._allowance = MESSAGES_A_SECOND
        self._second = -math.inf  # when it began, on the clock of the run
        self._untold = 0
        self._exhausted = trio.Event()
        self._accept_failures = 0
        self._accept_failed = -math.inf

    async def run(self) -> None:
        """Tell at the end of each second how many messages were not told in it."""
        while True:
            await self._exhausted.wait()
            await trio.sleep_until(self._second + 1)
            self._tell_untold()

    def listening(self, address: str) -> None:
        """Clients can connect now; `address` as the user named it, with the real port."""
        self._tell("listening", address=address)

    def connected(self, peer: str) -> None:
        """A client was accepted."""
        self._tell("connected", peer=peer)

    def received(self, peer: str, data: bytes) -> None:
        """A chunk came in."""
        if self.messages:
            if self._allowance > 0 or trio.current_time() >= self._second + 1:
                self._tell_received(peer, data)
            else:
                self._allowance = -1
                self._untold += data.count(b"\n") or 1

    def replied(self, peer: str, data: bytes) -> None:
        """A reply went out; told if the message it belongs to was."""
        if self.messages and self._allowance >= 0:
            for line in _lines(data)[:MAX_LINES]:
                self._tell("replied", peer=peer, text=shown(line))

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

    def accept_failed(self, error: str) -> None:
        """A connection could not be accepted; told now and then, with how often."""
        self._accept_failures += 1
        if trio.current_time() >= self._accept_failed + ACCEPT_FAILURES_EVERY:
            self._accept_failed = trio.current_time()
            self._tell("accept_failed", error=shown(error), count=self._accept_failures)
            self._accept_failures = 0

    def draining(self, reason: str, clients: int) -> None:
        """The server has begun to end."""
        self._tell("draining", reason=reason, clients=clients)

    def cutting(self) -> None:
        """Whoever is still connected is cut off."""
        self._tell("cutting")

    def stopped(self) -> None:
        """The server has ended."""
        self._tell_untold()
        self._tell("stopped")

    def _tell_received(self, peer: str, data: bytes) -> None:
        if trio.current_time() >= self._second + 1:
            self._tell_untold()
            self._second = trio.current_time()
        lines = _lines(data)
        told = lines[: min(MAX_LINES, self._allowance)]
        for line in told:
            self._tell("received", peer=peer, text=shown(line))
        self._allowance -= len(told)
        self._untold += len(lines) - len(told)
        if self._allowance <= 0 or self._untold:
            self._exhausted.set()

    def _tell_untold(self) -> None:
        """Say how many messages were passed over, and begin to tell again."""
        if self._untold:
            self._tell("more_messages", count=self._untold)
        self._untold, self._allowance = 0, MESSAGES_A_SECOND
        if self._exhausted.is_set():
            self._exhausted = trio.Event()


def _lines(data: bytes) -> list[bytes]:
    """The lines of a chunk without their ends; an empty last one is no line."""
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines
