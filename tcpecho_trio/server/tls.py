"""TLS on the server's side: its certificate, which may be replaced, and the handshake's limits.

The protocol and the policy above know nothing of it. The stream itself is the same on both sides:
:mod:`tcpecho_trio.tls.stream`.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable
from dataclasses import dataclass

import trio

from tcpecho_trio.server import write_timeout
from tcpecho_trio.server.sockets import read, write
from tcpecho_trio.server.traffic import broken
from tcpecho_trio.tls import stream
from tcpecho_trio.tls.client_hello import server_name
from tcpecho_trio.tls.context import prepare

HANDSHAKE_TIME = 10.0
"""Seconds for the whole handshake: two round trips, but no time for a person who looks for a smart
card. nginx gives 60, haproxy recommends 10."""

MOST_HANDSHAKES = 500
"""Handshakes under way at a time. OpenSSL takes 55 to 75 KiB for each, by its version: all of them
take 27 to 37 MiB. Each also takes about a millisecond of the processor: more at a time would only
make all slower."""

HURRIED_TIME = 1.0
"""Seconds for a handshake while others wait for its place: some round trips to the other end of
the world, if nothing is lost."""

NO_ROOM = bytes([21, 3, 3, 0, 2, 2, 80])
"""A fatal alert, internal_error (RFC 8446 §5.1, §6.2): what a client is told with which we do not
even shake hands. It is sent in the clear, as anything is before the ServerHello."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a server's keys are, as PEM.

    Args:
      certificate: its certificate, followed by those that lead to the root.
      key: its private key, without a passphrase.
      client_ca: the authority whose client certificates are accepted; then every client has to
        show one.
    """

    certificate: str
    key: str
    client_ca: str | None = None

    def __str__(self) -> str:
        """The files, for a message about them."""
        return ", ".join(filter(None, (self.certificate, self.key, self.client_ca)))


class Tls:
    """The context that handshakes are made with; it can be loaded anew at any time.

    Raises:
      OSError: a file cannot be read; :class:`ssl.SSLError` is an OSError too.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.context = self._load()

    def reload(self) -> None:
        """Read the files again: from now on new clients see the new certificate.

        Connected clients notice nothing. When reading fails, everything stays as it was.

        Raises:
          OSError: a file cannot be read, or holds no certificate.
        """
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._files.certificate, self._files.key, _no_passphrase)
        prepare(context)
        if self._files.client_ca is not None:
            context.load_verify_locations(self._files.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _no_passphrase() -> str:
    """Refuse, instead of asking on the terminal: clients would wait for an answer there."""
    raise OSError("the key has a passphrase")


class HandshakeFailed(Exception):
    """The peer could not agree with us on TLS; the text says why.

    Attributes:
      told: whether the peer has been told so, with an alert.
    """

    def __init__(self, reason: str, *, told: bool) -> None:
        self.told = told
        super().__init__(reason)


class Handshakes:
    """Bounds how many handshakes are under way at a time, and so the memory that they take.

    Clients beyond that wait in the order of arrival; they have said hello, and cost little more
    than a silent connection. While a client waits, no handshake may take longer than
    :data:`HURRIED_TIME`: clients that only begin handshakes cannot keep the others out.

    Args:
      most: how many.
    """

    def __init__(self, most: int = MOST_HANDSHAKES) -> None:
        self._most = most
        self._places = 0  # taken, or just passed on
        self._began: dict[trio.CancelScope, float] = {}
        self._queue = trio.lowlevel.ParkingLot()

    async def enter(self, scope: trio.CancelScope) -> None:
        """Wait for a place. A checkpoint only where there is none.

        Args:
          scope: bounds the handshake; its deadline may be moved up.
        """
        if self._places >= self._most:
            if not self._queue:  # else everybody has been told already
                for other, began in self._began.items():
                    other.deadline = min(other.deadline, began + HURRIED_TIME)
            await self._queue.park()  # a handshake that ends passes its place on
        else:
            self._places += 1
        self._began[scope] = trio.current_time()
        if self._queue:
            scope.deadline = min(scope.deadline, self._began[scope] + HURRIED_TIME)

    def leave(self, scope: trio.CancelScope) -> None:
        """A handshake is over, however it ended."""
        del self._began[scope]
        if not self._queue.unpark():
            self._places -= 1


class TlsStream(stream.TlsStream):
    """A client's connection over TLS.

    Args:
      below: the connection; closed with this.
      tls: the context to shake hands with.
      period: as for :func:`~tcpecho_trio.server.write_timeout.send_all`, on the connection below.
    """

    patient = True
    """It minds the write timeout itself, where bytes are counted."""

    def __init__(self, below: trio.SocketStream, tls: Tls, period: float) -> None:
        def send(data: bytes) -> Awaitable[None]:
            return write_timeout.send_all(below, data, period)

        def attempt(data: bytes) -> int:
            try:
                return write(below.socket.fileno(), data)
            except BlockingIOError:
                return 0

        async def receive(most: int) -> bytes:
            while True:
                try:
                    return read(below.socket.fileno(), most)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(below.socket)
                except OSError as error:
                    raise broken(error) from error

        bare = isinstance(below, trio.SocketStream)
        super().__init__(
            below,
            tls.context,
            server_side=True,
            send=send,
            receive=receive if bare else None,
            attempt=attempt if bare else None,
        )
        self._name: str | None = None

    async def shake_hands(self, handshakes: Handshakes) -> bool:
        """Agree on keys within the time; False if the client left without a word (a probe).

        Args:
          handshakes: bounds how many are under way.

        Raises:
          HandshakeFailed: no agreement, or not in time.
          WriteTimeout: the client does not read what we say.
        """
        began = trio.current_time()
        with trio.CancelScope(deadline=began + HANDSHAKE_TIME) as waiting:
            try:
                await self.receive_opening()
                await handshakes.enter(waiting)
                try:
                    await self.do_handshake()
                finally:
                    handshakes.leave(waiting)
            except trio.BrokenResourceError as error:
                if not self.opening:
                    return False
                cause = error.__cause__
                reason = getattr(cause, "reason", None) or getattr(cause, "strerror", None)
                raise HandshakeFailed(str(reason or cause or error), told=True) from error
        if waiting.cancelled_caught:
            seconds = waiting.deadline - began
            raise HandshakeFailed(f"no handshake within {seconds:g} s", told=False)
        self._name = server_name(bytes(self.opening))
        self.opening.clear()
        return True

    def described(self) -> dict[str, object]:
        """What was agreed on, ready for JSON."""
        agreed = super().described()
        return {
            "version": agreed["version"],
            "cipher": agreed["cipher"],
            "sni": self._name,
            "alpn": agreed["alpn"],
            "client": agreed["peer"],
        }
