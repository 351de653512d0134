"""TLS below the conversation: contexts, handshakes, and a stream that can half-close.

The protocol and the policy above know nothing of it. What TLS lacks is added here: a handshake
that takes too long is given up, and ``send_eof()`` is a close_notify and then TCP's own
half-close, so that a lingering close works as it does without TLS.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
from dataclasses import dataclass

import trio

from tcpecho_trio.server import write_timeout

HANDSHAKE_TIME = 10.0
"""Seconds for the whole handshake: two round trips, and a person's wait for a smart card is not
meant. nginx gives 60, haproxy recommends 10."""

PROTOCOLS = ("tcpecho",)
"""What is offered for ALPN (RFC 7301); a client that asks for something else is served too."""


HANDSHAKE_RECORD = b"\x16"
"""How a record of a handshake begins (RFC 8446 §5.1)."""

NO_ROOM = bytes([21, 3, 3, 0, 2, 2, 80])
"""A fatal alert, internal_error: what a client is told whom we do not even shake hands with
(RFC 8446 §5.1, §6.2). It is sent in the clear, as anything is before the ServerHello."""

SERVER_NAME = 0
"""The extension of a ClientHello that names the server (RFC 6066 §3)."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a server's keys are, as PEM; the key without a passphrase.

    Args:
      certificate: its certificate, followed by those that lead to the root.
      key: the private key of it.
      client_ca: whose client certificates are accepted; then every client has to show one.
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
      OSError: a file cannot be read; :class:`ssl.SSLError` is one of them.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.context = self._load()

    def reload(self) -> None:
        """Read the files again: from now on newcomers see the new certificate.

        Whoever is connected notices nothing. When it fails, everything stays as it was.

        Raises:
          OSError: a file cannot be read, or holds no certificate.
        """
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._files.certificate, self._files.key, _no_passphrase)
        # An end without close_notify is an end; the other direction goes on, as without TLS.
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
        context.set_alpn_protocols(PROTOCOLS)
        if self._files.client_ca is not None:
            context.load_verify_locations(self._files.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _no_passphrase() -> str:
    """Instead of asking on the terminal: nobody may be there, and clients would have to wait."""
    raise OSError("the key has a passphrase")


def server_name(opening: bytes) -> str | None:
    """The name that a client asks for (SNI, RFC 6066 §3); None if it names none.

    Python's own ``sni_callback`` writes a traceback to stderr when the name is not ASCII, and any
    client can send that.

    Args:
      opening: what came from it in a handshake that OpenSSL has accepted, so that the layout
        of its ClientHello (RFC 8446 §4.1.2) need not be doubted.
    """
    hello, place = b"", 0
    while opening[place : place + 1] == HANDSHAKE_RECORD:
        behind = place + 5 + int.from_bytes(opening[place + 3 : place + 5])
        hello += opening[place + 5 : behind]
        place = behind
    end = 4 + int.from_bytes(hello[1:4])
    place = 38  # type and length; version; random
    place += 1 + hello[place]  # the session's id
    place += 2 + int.from_bytes(hello[place : place + 2])  # ciphers
    place += 1 + hello[place]  # compressions
    place += 2
    while place < end:
        kind, size = struct.unpack_from("!HH", hello, place)
        behind = place + 4 + size
        if kind == SERVER_NAME:  # a list of one, whose length, kind and own length come first
            return hello[place + 9 : behind].decode("ascii", "backslashreplace")
        place = behind
    return None


class _Dry(Exception):
    """Nothing more may be taken from below."""


class HandshakeFailed(Exception):
    """The peer could not agree with us on TLS; the text says why.

    Attributes:
      told: whether the peer has been told so, with an alert.
    """

    def __init__(self, reason: str, *, told: bool) -> None:
        self.told = told
        super().__init__(reason)


class _HalfClosing(trio.abc.Stream):
    """What lies below TLS: closing it only half-closes it, and sending has its deadline."""

    def __init__(self, below: trio.SocketStream, period: float) -> None:
        self.below = below
        self._period = period
        self.opening = bytearray()
        self.shaking_hands = True
        self.dry = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await write_timeout.send_all(self.below, bytes(data), self._period)

    async def wait_send_all_might_not_block(self) -> None:
        await self.below.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self.dry:
            raise _Dry
        data = await self.below.receive_some(max_bytes)
        if self.shaking_hands:
            self.opening += data
        return data

    async def aclose(self) -> None:
        await self.below.send_eof()


class TlsStream(trio.abc.HalfCloseableStream):
    """A stream over TLS.

    Args:
      below: the connection; not closed by this.
      tls: the context to shake hands with.
      period: as for :func:`~tcpecho_trio.server.write_timeout.send_all`, on the connection below.
    """

    patient = True
    """It minds the write timeout itself, where bytes are counted."""

    def __init__(self, below: trio.SocketStream, tls: Tls, period: float) -> None:
        self.below = below
        self._transport = _HalfClosing(below, period)
        self._stream = trio.SSLStream(self._transport, tls.context, server_side=True)
        self._ended = False
        self._name: str | None = None

    async def shake_hands(self) -> bool:
        """Agree on keys; False if the peer left without a word (a health probe).

        Raises:
          HandshakeFailed: no agreement, or not in time.
        """
        with trio.move_on_after(HANDSHAKE_TIME) as waiting:
            try:
                await self._stream.do_handshake()
            except trio.BrokenResourceError as error:
                if not self._transport.opening:
                    return False
                await self._send_alert()  # noqa: ASYNC120  if cancelled, that says more
                cause = error.__cause__
                reason = getattr(cause, "reason", None) or getattr(cause, "strerror", None)
                raise HandshakeFailed(str(reason or cause or error), told=True) from error
        if waiting.cancelled_caught:
            raise HandshakeFailed(f"no handshake within {HANDSHAKE_TIME:g} s", told=False)
        self._name = server_name(bytes(self._transport.opening))
        self._transport.shaking_hands = False
        self._transport.opening.clear()
        return True

    async def _send_alert(self) -> None:
        """Tell the peer what was wrong (RFC 8446 §6.2): Trio leaves that where OpenSSL put it."""
        with contextlib.suppress(trio.BrokenResourceError):
            await self._transport.send_all(self._stream._outgoing.read())

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; an end without close_notify is an end, as elsewhere on this server."""
        if self._ended:  # after our own end: what comes is not looked at any more
            return await self.below.receive_some(max_bytes)
        try:
            return await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, (ssl.SSLEOFError, ssl.SSLSyscallError)):
                return b""
            raise

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, as long as the peer makes progress."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See :class:`trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more follows, in TLS and in TCP (RFC 8446 §6.1)."""
        self._ended = True
        # What has come already is decrypted for nobody: OpenSSL would find it behind its own
        # close_notify and fail, and then Trio does not send that.
        self._transport.dry = True
        with contextlib.suppress(_Dry, trio.BrokenResourceError):
            while await self._stream.receive_some():
                pass
        await self._stream.aclose()

    async def aclose(self) -> None:
        """Close the connection below; without a word, if none has been said."""
        await self.below.aclose()

    def described(self) -> dict[str, object]:
        """What was agreed on, ready for JSON."""
        seen = self._stream
        cipher = seen.cipher()
        certificate = seen.getpeercert() or {}
        subject = {name: value for part in certificate.get("subject", ()) for name, value in part}
        return {
            "version": seen.version(),
            "cipher": cipher[0] if cipher else None,
            "sni": self._name,
            "alpn": seen.selected_alpn_protocol(),
            "client": subject or None,
        }
