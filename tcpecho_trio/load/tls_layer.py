"""TLS between a conversation and its connection, without any input or output."""

from __future__ import annotations

import contextlib
import ssl
from typing import Protocol

PIECE = 65536
"""Bytes asked of OpenSSL at a time: several records, if they are there."""


class Receiver(Protocol):
    """What is above TLS."""

    def receive(self, data: bytes, now: int) -> bytes:
        """Look at what has come; return what to send."""


class TlsLayer:
    """The client's side of a TLS connection, in memory.

    Args:
      context: what to shake hands with.
      name: the server's name, which is asked for and checked.
      above: who talks over TLS.

    Attributes:
      ended: whether the server has said that it will send no more.
    """

    def __init__(self, context: ssl.SSLContext, name: str, above: Receiver) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._above = above
        self.ended = False

    def shake_hands(self, data: bytes) -> tuple[bool, bytes]:
        """Go on with the handshake; whether it is over, and what to send.

        Raises:
          ssl.SSLError: no agreement. :meth:`unsent` says so to the server.
        """
        if data:
            self._incoming.write(data)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.read()
        return True, self._outgoing.read()

    def receive(self, data: bytes, now: int) -> bytes:
        """Decrypt what has come and hand it on; return what to send, encrypted.

        Raises:
          ssl.SSLError: it is no TLS.
        """
        self._incoming.write(data)
        while True:
            try:
                plain = self._ssl.read(PIECE)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                plain = b""
            if not plain:
                self.ended = True
                break
            if message := self._above.receive(plain, now):
                self._ssl.write(message)
        return self._outgoing.read()

    def encrypt(self, message: bytes) -> bytes:
        """What to send for this message."""
        if message:
            self._ssl.write(message)
        return self._outgoing.read()

    def unsent(self) -> bytes:
        """What OpenSSL still wants to say: an alert."""
        return self._outgoing.read()

    def end(self) -> bytes:
        """What says that nothing more follows: close_notify."""
        with contextlib.suppress(ssl.SSLError, ValueError):  # no answer yet, or no handshake
            self._ssl.unwrap()
        return self._outgoing.read()
