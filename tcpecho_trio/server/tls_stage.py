"""The stage of the admission that agrees on TLS."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tcpecho_trio.server.accepted import AcceptedConnection, Outcome, Rejection
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.events import ConnectionProbed, TlsHandshakeFailed
from tcpecho_trio.server.tls import HandshakeFailed, Handshakes, Tls, TlsStream
from tcpecho_trio.server.write_timeout import WriteTimeout


@dataclass(frozen=True, slots=True)
class TlsStage:
    """Shakes hands; from then on the connection's stream is encrypted.

    Args:
      tls: the context to shake hands with, which may be loaded anew meanwhile.
      write_period: seconds in which a client has to take some of what is sent to it.
      handshakes: bounds how many there are at a time.
    """

    tls: Tls
    write_period: float
    handshakes: Handshakes

    async def __call__(self, accepted: AcceptedConnection) -> Outcome:
        """Shake hands."""
        stream = TlsStream(accepted.socket, self.tls, self.write_period)
        try:
            if not await stream.shake_hands(self.handshakes):
                return Rejection(CloseReason.PROBE, ConnectionProbed(accepted.info))
        except (HandshakeFailed, WriteTimeout) as error:
            event = TlsHandshakeFailed(accepted.info, str(error))
            told = isinstance(error, HandshakeFailed) and error.told  # a reset would undo it
            return Rejection(CloseReason.TLS_HANDSHAKE, event, linger=told)
        info = accepted.info._replace(tls=stream.described())
        return replace(accepted, stream=stream, info=info)
