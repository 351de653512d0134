"""TLS from the client's side: what to trust, who to be, and a stream that can half-close."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass

import trio

RECEIVE_SIZE = 65536
"""Bytes moved at a time: four TLS records."""

PROTOCOLS = ("tcpecho",)
"""What is offered for ALPN (RFC 7301): a proxy in between may route by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """How to speak TLS with a server.

    Args:
      ca: PEM file of whom to trust; None for those that the system trusts.
      certificate: our own certificate (PEM), for a server that wants to know who comes.
      key: its private key.
      name: the server's name to ask for and to check; None for the host that is connected to.
      insecure: check nothing: whoever answers may be anybody.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    name: str | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """The context to shake hands with.

        Raises:
          OSError: a file cannot be read; :class:`ssl.SSLError` is one of them.
        """
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            # A key with a passphrase is an error, not a question in the middle of a pipe.
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(PROTOCOLS)
        return context

    def files(self) -> str:
        """The files that were named, for a message about them."""
        return ", ".join(filter(None, (self.ca, self.certificate, self.key)))


class TlsStream(trio.abc.HalfCloseableStream):
    """A connection over TLS that can be half-closed.

    ``trio.SSLStream`` cannot: with its close_notify it closes, and without one a server takes the
    end of the connection for an attack (RFC 8446 §6.1). Here the two directions end on their own,
    as they do in TLS since 1.3, and in OpenSSL before that.

    One task at a time may send, and one may receive.

    Args:
      below: the connection; closed with this.
      context: what to shake hands with.
      name: the server's name.
    """

    def __init__(self, below: trio.SocketStream, context: ssl.SSLContext, name: str) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._sending = False
        self._plain = bytearray()  # received, and decrypted before our own end

    async def shake_hands(self) -> None:
        """Agree on keys.

        Raises:
          trio.BrokenResourceError: no agreement; its cause says why.
        """
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await self._flush()
                    await self._take_in()
            await self._flush()
        except ssl.SSLError as error:
            failure = error  # raised below: an alert has to go out first, and may fail itself
        else:
            return
        with contextlib.suppress(trio.BrokenResourceError):
            await self._flush()
        raise trio.BrokenResourceError(str(failure)) from failure

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; an end without close_notify is an end, as it is without TLS.

        Cancelling it loses nothing.
        """
        # What OpenSSL has to answer to what it reads (a KeyUpdate, RFC 8446 §4.6.3) may wait for
        # the next thing to be sent: so receiving never waits for a server that does not read.
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                data = self._read(max_bytes or RECEIVE_SIZE)
            except ssl.SSLWantReadError:
                await self._take_in()
            except ssl.SSLError as error:
                if _is_end(error):
                    data = b""
                    break
                raise trio.BrokenResourceError(str(error)) from error
            else:
                break
        await trio.lowlevel.cancel_shielded_checkpoint()
        return data

    def _read(self, size: int) -> bytes | bytearray:
        if not self._plain:
            return self._tls.read(size)
        data = self._plain[:size]
        del self._plain[:size]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        self._sending = True
        try:
            view = memoryview(data)
            for start in range(0, len(view), RECEIVE_SIZE):
                self._tls.write(view[start : start + RECEIVE_SIZE])
                await self._flush()
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(str(error)) from error
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """See :class:`trio.abc.SendStream`."""
        await self._below.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more follows: close_notify, and TCP's own half-close."""
        # OpenSSL takes data that it finds while it says so for an attack: so none may be left.
        with contextlib.suppress(ssl.SSLError):
            while data := self._tls.read(RECEIVE_SIZE):
                self._plain += data
        with contextlib.suppress(ssl.SSLError):  # that there is no answer yet
            self._tls.unwrap()
        await self._flush()
        await self._below.send_eof()

    async def aclose(self) -> None:
        """Close the connection below."""
        await self._below.aclose()

    async def _take_in(self) -> None:
        """Let OpenSSL have what the server says next. Cancelling it loses nothing."""
        if received := await self._below.receive_some(RECEIVE_SIZE):
            self._incoming.write(received)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        """Send what OpenSSL has to say."""
        await self._below.send_all(self._outgoing.read())


def _is_end(cause: ssl.SSLError) -> bool:
    """Whether this is how OpenSSL says that the server has ended, politely or not."""
    if isinstance(cause, (ssl.SSLZeroReturnError, ssl.SSLEOFError)):
        return True
    return cause.reason == "UNEXPECTED_EOF_WHILE_READING"
