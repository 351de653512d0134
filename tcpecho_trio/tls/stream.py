"""A TLS stream that can be half-closed, for both sides.

``trio.SSLStream`` closes the connection with its close_notify, and without one the peer takes the
end of the connection for an attack (RFC 8446 §6.1). Here each direction ends on its own, as TLS
allows since 1.3, and OpenSSL in TLS 1.2 too.

OpenSSL never touches the socket. It reads records from one ``ssl.MemoryBIO``, ``incoming``, and
writes records to another, ``outgoing``. This stream carries the bytes between them and the
connection below::

    receive_some()  ←  ssl_object.read()   ←  incoming  ←  below.receive_some()
    send_all()      →  ssl_object.write()  →  outgoing  →  below.send_all()

After the handshake other code may take the three over, as long as no call of the stream is under
way. Bytes may wait where no selector sees them: received or decrypted, if
:attr:`TlsStream.buffers` says so, and in ``outgoing``, to be sent with whatever is sent next.

A MemoryBIO keeps the memory that it once needed. So bytes go through them in pieces: after a bulk
transfer in pieces of 64 KiB an idle connection would keep 164 KiB, and so it keeps 57.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from tcpecho_trio.tls.client_hello import MAX_OPENING

PIECE = 16384
"""Bytes moved at a time: what a TLS record holds at most (RFC 8446 §5.1)."""

OPENING_PIECE = 2048
"""Bytes of a ClientHello that are received at first: mostly all of it. A client may have to wait
with them until others have shaken hands."""

MAX_UNSENT = 4096
"""Bytes that OpenSSL may want to send while we only receive: about 150 answers to KeyUpdates
(RFC 8446 §4.6.3). BoringSSL allows 32 in a row (kMaxKeyUpdates); no honest peer sends so many."""

Send = Callable[[bytes], Awaitable[None]]
"""Sends all bytes to the connection below."""

Receive = Callable[[int], Awaitable[bytes | bytearray]]
"""Receives at most so many bytes from the connection below; none at its end."""

Attempt = Callable[[bytes], int]
"""Sends what the connection below takes now, and says how much that was; or raises ``OSError``."""


class TlsStream(trio.abc.HalfCloseableStream):
    """A connection over TLS.

    One task at a time may send, and one may receive.

    Args:
      below: the connection; closed with this.
      context: what to shake hands with.
      server_side: whether we are the server.
      name: the server's name, which a client asks for and checks.
      send: sends to the connection below, with a write timeout for example; None for its own
        ``send_all``. It is given a record or two at a time.
      receive: receives from the connection below during the handshake; None for its own
        ``receive_some``.
      attempt: sends to the connection below what that takes now. With these two a handshake does
        not pass the scheduler where it has nothing to wait for.

    Attributes:
      below: the connection.
      ssl_object: OpenSSL's side of it.
      incoming: what OpenSSL reads from.
      outgoing: what OpenSSL writes to.
      opening: on the server's side, what the client said before we first answered: its
        ClientHello, but at most MAX_OPENING bytes and the rest of a piece.
      taken_in: how many bytes this stream itself has received from below. It grows also while a
        record is not yet whole, and there is nothing to be received here.
    """

    def __init__(
        self,
        below: trio.abc.HalfCloseableStream,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        name: str | None = None,
        send: Send | None = None,
        receive: Receive | None = None,
        attempt: Attempt | None = None,
    ) -> None:
        self.below = below
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server_side, server_hostname=name
        )
        self.opening = bytearray()
        self._send = send or below.send_all
        self._receive = receive or below.receive_some
        self._attempt = attempt
        self._sending = False
        self._decrypted = bytearray()  # at our own end, and not yet received by anybody
        self.taken_in = 0

    async def do_handshake(self) -> None:
        """Agree on keys. A peer that is refused is told so with an alert (RFC 8446 §6.2).

        Raises:
          trio.BrokenResourceError: no agreement; its cause says why.
        """
        try:
            if self.ssl_object.server_side and not self.opening:
                await self.receive_opening()
            answered = False
            while True:
                try:
                    self.ssl_object.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    answered = answered or bool(self.outgoing.pending)
                    await self._flush_at_once()
                    received = await self._take_in(self._receive)
                    if not answered and len(self.opening) < MAX_OPENING:
                        self.opening += received
            await self._flush_at_once()
        except ssl.SSLError as error:
            failure = error  # raised below, because the alert goes out first, and may fail itself
        else:
            return
        with contextlib.suppress(trio.BrokenResourceError):
            await self._flush_at_once()
        if is_end(failure):  # of which OpenSSL tells nothing but its line number
            raise trio.BrokenResourceError("EOF in the handshake")
        raise trio.BrokenResourceError(str(failure)) from failure

    async def receive_opening(self) -> None:
        """Receive the beginning of the client's ClientHello, or its end; a server's first step.

        OpenSSL takes 33 KiB for a handshake, whether the client has spoken or not.

        Raises:
          trio.BrokenResourceError: the connection broke.
        """
        self.opening += await self._take_in(self._receive, OPENING_PIECE)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; an end without close_notify is an end, as it is without TLS.

        Cancelling it loses nothing. It does not send, so it never waits for a peer that does not
        read: what OpenSSL has to answer (a KeyUpdate) goes out with what is sent next.

        Raises:
          trio.BrokenResourceError: the connection broke, or what came is no TLS, or asks too much.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        waited = False
        while True:
            try:
                data = self._read(max_bytes or PIECE)
                break
            except ssl.SSLWantReadError:
                if self.outgoing.pending:
                    await self._check_what_is_asked()
                await self._take_in(self.below.receive_some)
                waited = True
            except ssl.SSLError as error:
                if not is_end(error):
                    raise trio.BrokenResourceError(str(error)) from error
                data = b""
                break
        if not waited:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Cancelled, it has sent an unknown part, and the connection is finished.

        Raises:
          trio.BrokenResourceError: the connection broke.
          trio.BusyResourceError: another task is sending.
        """
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        self._sending = True
        try:
            left = memoryview(data)
            while left:
                left = left[self.ssl_object.write(left[:PIECE]) :]
                await self._flush()
            if not len(data):
                await self._flush()
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(str(error)) from error
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """See :class:`trio.abc.SendStream`."""
        await self.below.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more follows: close_notify (RFC 8446 §6.1), and TCP's half-close."""
        # While it says so, OpenSSL takes data that it finds for an attack: none may be left.
        with contextlib.suppress(ssl.SSLError):
            while data := self.ssl_object.read(PIECE):
                self._decrypted += data
        with contextlib.suppress(ssl.SSLError):  # it says that the peer has not answered yet
            self.ssl_object.unwrap()
        await self._flush()
        await self.below.send_eof()

    async def aclose(self) -> None:
        """Close the connection below; without a word of TLS, if none has been said."""
        await self.below.aclose()

    @property
    def buffers(self) -> bool:
        """Whether bytes that have come wait here, where no selector sees them."""
        return bool(self._decrypted or self.incoming.pending or self.ssl_object.pending())

    def encrypt(self, data: bytes | memoryview) -> None:
        """Put data into ``outgoing``, as records."""
        written = self.ssl_object.write(data)
        if written < len(data):
            left = memoryview(data)
            while left := left[written:]:
                written = self.ssl_object.write(left)

    def put_back(self, data: bytes) -> None:
        """Let the next :meth:`receive_some` return what has been decrypted."""
        self._decrypted[:0] = data

    def described(self) -> dict[str, object]:
        """What was agreed on, ready for JSON; ``peer`` is the subject of the peer's certificate."""
        cipher = self.ssl_object.cipher()
        certificate: dict[str, Any] = dict(self.ssl_object.getpeercert() or {})
        subject = {name: value for part in certificate.get("subject", ()) for name, value in part}
        return {
            "version": self.ssl_object.version(),
            "cipher": cipher[0] if cipher else None,
            "alpn": self.ssl_object.selected_alpn_protocol(),
            "peer": subject or None,
        }

    def _read(self, size: int) -> bytes | bytearray:
        if not self._decrypted:
            return self.ssl_object.read(size)
        data = self._decrypted[:size]
        del self._decrypted[:size]
        return data

    async def _check_what_is_asked(self) -> None:
        """Look at what OpenSSL wants to send although we have only received.

        Raises:
          trio.BrokenResourceError: the peer asks for new keys too often; or, in TLS 1.2, at all:
            a client that waits for that (a renegotiation) would wait for ever. nginx closes the
            connection, too.
        """
        if self.outgoing.pending > MAX_UNSENT:
            raise trio.BrokenResourceError("too many KeyUpdates")
        if self.ssl_object.server_side and self.ssl_object.version() != "TLSv1.3":
            with contextlib.suppress(trio.BrokenResourceError):
                await self._flush()  # an alert, no_renegotiation
            raise trio.BrokenResourceError("no renegotiation")

    async def _take_in(self, receive: Receive, most: int = PIECE) -> bytes | bytearray:
        """Let OpenSSL have what comes next, and return it. Cancelling it loses nothing."""
        received = await receive(most)
        self.taken_in += len(received)
        if received:
            self.incoming.write(received)
        else:
            self.incoming.write_eof()
        return received

    def end_at_once(self) -> bool:
        """Say close_notify to a peer that has ended, if that can be done without a wait."""
        if self._attempt is None:
            return False
        with contextlib.suppress(ssl.SSLError):
            self.ssl_object.unwrap()
        records = self.outgoing.read()
        try:
            sent = self._attempt(records)
        except OSError:  # nobody is there to hear it
            return True
        self.outgoing.write(records[sent:])
        return sent == len(records)

    async def _flush_at_once(self) -> None:
        """Send what OpenSSL has to say; a checkpoint only where the connection does not take it.

        Raises:
          trio.BrokenResourceError: the connection broke.
        """
        records = self.outgoing.read()
        if self._attempt is not None:
            try:
                records = records[self._attempt(records) :] if records else b""
            except OSError as error:
                raise trio.BrokenResourceError(f"socket connection broken: {error}") from error
        if records:
            await self._send(records)

    async def _flush(self) -> None:
        """Send what OpenSSL has to say."""
        await self._send(self.outgoing.read())


def is_end(cause: ssl.SSLError) -> bool:
    """Whether this is how OpenSSL says that the peer has ended, with close_notify or without."""
    if isinstance(cause, (ssl.SSLZeroReturnError, ssl.SSLEOFError)):
        return True
    return cause.reason == "UNEXPECTED_EOF_WHILE_READING"
