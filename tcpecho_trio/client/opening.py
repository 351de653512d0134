"""The first thing that a server says: a greeting, a refusal, or the reply to the first message.

- A **greeting** is a dialect's, word for word, whichever dialect the client was told: servers
  and clients are paired wrongly, and a greeting is never a reply.
- A **refusal** is one line that begins with ``ERROR: ``, and then the server closes. A text that
  the client itself has sent, and that came back, is none.

Both have to be waited for: their first bytes may be those of a reply, too. Nothing here reads or
waits: the client does.
"""

from __future__ import annotations

import math

from tcpecho_trio.client.replies import GAP
from tcpecho_trio.dialects import DIALECTS, SHUTDOWN_REFUSALS, Dialect

REFUSAL = b"ERROR: "
"""How a server begins to say why it does not serve a client (:mod:`tcpecho_trio.dialects`)."""

LONGEST_REFUSAL = 1024
"""Bytes of a refusal: it is one sentence."""


class Opening:
    """What the server says first. Once that has been told apart, bytes only pass through.

    Args:
      dialect: the one that the client was told; its greeting may take its time.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._own = dialect.greeting.encode()
        self._greetings = {
            known.greeting.encode(): known
            for known in (*DIALECTS.values(), dialect)
            if known.greeting
        }
        self._first_sent = b""
        self._held = b""
        self.over = False
        """Whether nothing of it can come any more."""
        self.greeted: Dialect | None = None
        """The dialect whose greeting has come."""

    def sent(self, data: bytes) -> None:
        """Remember the first line that was sent: its echo is no refusal."""
        if b"\n" not in self._first_sent and len(self._first_sent) < LONGEST_REFUSAL:
            self._first_sent += data[:LONGEST_REFUSAL]

    def received(self, data: bytes) -> bytes:
        """What is certain to be no opening; empty while that is not certain."""
        self._held += data
        for greeting, dialect in self._greetings.items():
            if self._held.startswith(greeting):
                self.greeted = dialect
                self._held = self._held[len(greeting) :]
                return self.release()
        if any(greeting.startswith(self._held) for greeting in self._greetings):
            return b""
        return b"" if self._may_be_refusal() else self.release()

    def release(self) -> bytes:
        """It was no opening: what has been held back so far."""
        held, self._held, self.over = self._held, b"", True
        return held

    @property
    def wait(self) -> float:
        """Seconds to wait for more, before :meth:`release`."""
        return math.inf if self._own.startswith(self._held) else GAP

    @property
    def refusal(self) -> str:
        """Why the server does not serve us, now that it has closed; empty if it did not say."""
        if not (self._held.startswith(REFUSAL) and self._may_be_refusal()):
            return ""
        return (
            self._held.removeprefix(REFUSAL).decode("utf-8", "surrogateescape").strip().rstrip(".")
        )

    def _may_be_refusal(self) -> bool:
        line, _, rest = self._held.partition(b"\n")
        if rest or len(line) > LONGEST_REFUSAL:
            return False
        if not (line.startswith(REFUSAL) or REFUSAL.startswith(line)):
            return False
        line = line.removesuffix(b"\r")
        if (
            line.decode(errors="replace") in SHUTDOWN_REFUSALS
        ):  # the reply to a command; the connection stays
            return False
        first = self._first_sent.partition(b"\n")[0].decode("utf-8", "surrogateescape")
        echoes = (first, first.upper())
        return not any(e.encode("utf-8", "surrogateescape").startswith(line) for e in echoes)
