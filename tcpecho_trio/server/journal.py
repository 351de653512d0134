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

import trio

from tcpecho_trio.display import shown
from tcpecho_trio.texts import Texts

Put = Callable[[str], None]
"""Takes a finished line; must neither block nor fail."""

Teller = Callable[..., None]
"""Takes an event's name and its fields."""

MAX_LINES = 20
"""Lines told of one chunk: a pipelining client may send thousands at once."""

EVENTS_A_SECOND = 100
"""Connections and messages told in any one second; more scrolls past faster than anybody
reads. What comes on top is counted, and the count is told at the end of the second: to tell it
all would cost more than to answer it."""

RARELY = 10.0
"""Seconds between two lines about one kind of trouble. While descriptors are short, Trio tries
to accept ten times a second; and a peer can ask for a shutdown as fast as it can send."""


UNTOLD = {"more_messages": "untold_messages", "more_connections": "untold_connections"}
"""Events that only count, and what they count."""


def console_teller(put: Put, texts: Texts) -> Teller:
    """Tell each event as the line of that name, for a person."""

    def tell(event: str, **fields: Any) -> None:
        if event == "closed":
            fields["reason"] = getattr(texts, f"closed_{fields['reason']}")
        if event == "proxy_refused":
            fields["fault"] = getattr(texts, f"proxy_{fields['fault']}")
        if event in UNTOLD:
            fields["count"] = texts.counted(UNTOLD[event], fields["count"])
        elif "count" in fields:
            fields["count"] = texts.number(fields["count"])
        if event == "stopped":
            fields["served"] = texts.counted("clients_served", fields["served"])
            fields["cut"] = texts.counted("clients_cut", fields["cut"])
        put(getattr(texts, event).format(**fields))

    return tell


def json_teller(put: Put) -> Teller:
    """Tell each event as one JSON object a line, with a UTC timestamp (RFC 3339)."""
    import structlog  # a tenth of the start-up, for those who want JSON

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
      messages: whether connections and messages are told, as far as one can read them.
    """

    def __init__(self, tell: Teller, texts: Texts, *, messages: bool = True) -> None:
        self._tell = tell
        self.texts = texts
        self.messages = messages
        # Events that may still be told in this second. Once it is 0, run() begins the next.
        self._allowance = EVENTS_A_SECOND if messages else 0
        self._second = -math.inf  # when it began, on the clock of the run
        self._exhausted = trio.Event()
        self._told: set[str] = set()  # whose last message was told; then its reply is, too
        self._untold_messages = 0
        self._untold_connections = 0
        self._troubles: dict[str, tuple[float, int]] = {}  # when last told, how often since

    async def run(self) -> None:
        """Tell at the end of each second how much was not told in it. Until cancelled."""
        while True:
            await self._exhausted.wait()
            await trio.sleep_until(self._second + 1)
            self._tell_untold()
            self._allowance = EVENTS_A_SECOND
            self._exhausted = trio.Event()

    def listening(self, address: str) -> None:
        """Clients can connect now; `address` as the user named it, with the real port."""
        self._tell("listening", address=address)

    def connected(self, peer: str) -> None:
        """A client was accepted."""
        if self._may_tell():
            self._tell("connected", peer=peer)
        else:
            self._untold_connections += 1

    def received(self, peer: str, data: bytes) -> bool:
        """A chunk came in; whether that was told. Costs the pump little when it is not."""
        if self._allowance <= 0 or not self._may_tell():
            self._told.discard(peer)
            self._untold_messages += data.count(b"\n") or 1
            return False
        self._told.add(peer)
        lines = _lines(data)
        told = lines[: min(MAX_LINES, self._allowance + 1)]
        for line in told:
            self._tell("received", peer=peer, text=shown(line))
        self._allowance -= len(told) - 1
        self._untold_messages += len(lines) - len(told)
        if self._allowance == 0 or len(lines) > len(told):
            self._exhausted.set()
        return True

    def replied(self, peer: str, data: bytes) -> None:
        """A reply went out; told if the message before it was."""
        if peer in self._told:
            for line in _lines(data)[:MAX_LINES]:
                self._tell("replied", peer=peer, text=shown(line))

    def leaving(self, peer: str) -> None:
        """A client sent a word that ends its connection; told if the word was."""
        if peer in self._told:
            self._tell("leaving", peer=peer)

    def closed(self, peer: str, reason: str) -> None:
        """A connection is over; `reason` is an CloseReason's value."""
        self._told.discard(peer)
        if self._may_tell():
            self._tell("closed", peer=peer, reason=reason)

    def shutdown_refused(self, peer: str) -> None:
        """A client asked for a shutdown that it has no right to."""
        self._tell_rarely("shutdown_refused", peer=peer)

    def refused(self, peer: str) -> None:
        """A client came when the server was full."""
        self._tell_rarely("refused", peer=peer)

    def accept_failed(self, error: str) -> None:
        """A connection could not be accepted."""
        self._tell_rarely("accept_failed", error=shown(error))

    def foreign(self, peer: str, protocol: str) -> None:
        """A client spoke another protocol, and was cut."""
        self._tell_rarely("foreign", peer=peer, protocol=protocol)

    def proxy_refused(self, peer: str, fault: str, seen: str) -> None:
        """A connection began with no PROXY header that is believed; `fault` is its name."""
        self._tell_rarely("proxy_refused", peer=peer, fault=fault, seen=seen)

    def tls_refused(self, peer: str, reason: str) -> None:
        """A TLS handshake failed."""
        self._tell_rarely("tls_refused", peer=peer, reason=shown(reason))

    def tls_reloaded(self) -> None:
        """Newcomers see the certificate that was read just now."""
        self._tell("tls_reloaded")

    def tls_kept(self, error: str) -> None:
        """The certificate could not be read again; the old one stays."""
        self._tell("tls_kept", error=shown(error))

    def faulty(self, peer: str, faults: str) -> None:
        """A connection will suffer what was asked for."""
        if self._may_tell():
            self._tell("faulty", peer=peer, faults=faults)

    def crashed(self, peer: str, error: BaseException) -> None:
        """A handler failed in a way that is our bug."""
        lines = "".join(traceback.format_exception(error))
        self._tell("crashed", peer=peer, traceback="\n".join(map(shown, lines.splitlines())))

    def unraisable(self, error: str) -> None:
        """An error came up where nobody could catch it (sys.unraisablehook)."""
        self._tell_rarely("unraisable", error=shown(error))

    def draining(self, reason: str, clients: int) -> None:
        """The server has begun to end."""
        self._tell("draining", reason=reason, clients=clients)

    def cutting(self) -> None:
        """Whoever is still connected is cut off."""
        self._tell("cutting")

    def stopped(self, served: int, cut: int) -> None:
        """The server has ended: how many clients it let finish, and how many it cut."""
        self._tell_untold()
        self._tell("stopped", served=served, cut=cut)

    def _may_tell(self) -> bool:
        """Whether one more event may be told in this second; if so, it counts."""
        if self._allowance <= 0:
            return False
        now = trio.current_time()
        if now >= self._second + 1:
            self._second, self._allowance = now, EVENTS_A_SECOND
        self._allowance -= 1
        if self._allowance == 0:
            self._exhausted.set()
        return True

    def _tell_untold(self) -> None:
        """Say how much was passed over."""
        if self._untold_messages and self.messages:
            self._tell("more_messages", count=self._untold_messages)
        if self._untold_connections and self.messages:
            self._tell("more_connections", count=self._untold_connections)
        self._untold_messages = self._untold_connections = 0

    def _tell_rarely(self, event: str, **fields: Any) -> None:
        """Tell of a trouble now and then, with how often there was cause to."""
        last, count = self._troubles.get(event, (-math.inf, 0))
        now, count = trio.current_time(), count + 1
        if now >= last + RARELY:
            self._tell(event, count=count, **fields)
            last, count = now, 0
        self._troubles[event] = last, count


def _lines(data: bytes) -> list[bytes]:
    """The lines of a chunk without their ends; an empty last one is no line."""
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines
