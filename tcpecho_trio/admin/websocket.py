"""A WebSocket as a stream, so that a browser's conversation is one like any other.

wsproto knows the protocol. What is here makes a :class:`trio.abc.HalfCloseableStream` of it: text
frames are pieces of a stream of UTF-8, in both directions; the end of our output is a close frame.
A :class:`WebListener` hands such streams to the server, which accepts them as it accepts sockets.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import math
from collections.abc import Mapping

import trio
import wsproto.events
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.frame_protocol import CloseReason as CloseCode
from wsproto.utilities import LocalProtocolError, generate_accept_token

from tcpecho_trio.admin.http import CLOSE_TIME, Headers
from tcpecho_trio.server import write_timeout
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import ConnectionOpened, ConnectionRefused, Event
from tcpecho_trio.server.peer import Peer
from tcpecho_trio.server.registry import Conversation, Registry

INTRODUCED = "tcpecho.introduced"
"""The subprotocol (RFC 6455 §1.9) of clients that want to be told which connection they are."""

RECEIVE_SIZE = 16 * 1024
"""Bytes asked for at a time."""

CODES: Mapping[CloseReason, CloseCode] = {
    CloseReason.DRAINED: CloseCode.GOING_AWAY,
    CloseReason.SHUTDOWN: CloseCode.GOING_AWAY,
    CloseReason.CRASHED: CloseCode.INTERNAL_ERROR,
    CloseReason.FULL: CloseCode.TRY_AGAIN_LATER,
    CloseReason.ADDRESS_LIMIT: CloseCode.TRY_AGAIN_LATER,
}
"""Close codes (RFC 6455 §7.4.1) where it is not that of a normal closure."""


class WebSocketStream(trio.abc.HalfCloseableStream):
    """A server's end of a WebSocket.

    Args:
      below: what frames are read from and written to; closed by its owner.
      bare: the socket at its bottom.
      begun: what has been received of the first frames.
      peer: who is at the other end.
      period: seconds in which the peer has to take some of what is sent to it.
      introduced: whether the client is told which connection it is, in a binary frame of JSON
        before anything else.
    """

    patient = True
    """It minds the write timeout itself, where bytes are counted."""

    def __init__(
        self,
        below: trio.abc.Stream,
        bare: trio.SocketStream,
        begun: bytes,
        peer: Peer,
        period: float,
        *,
        introduced: bool = False,
    ) -> None:
        self.below = bare  # for whoever wants its close to be a reset
        self.peer = peer
        self.connection: Conversation | None = None
        """What the server makes of it, once its client may talk."""
        self.refused: CloseReason | None = None
        """Why its client may not talk."""
        self.closed = trio.Event()
        self._below = below
        self._period = period
        self._to_introduce = introduced
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._frames = Connection(ConnectionType.SERVER, trailing_data=begun)
        self._ended = False

    async def receive_some(self, _max_bytes: int | None = None) -> bytes:
        """The next text; empty when the client has closed. As much as one read brought.

        Raises:
          trio.BrokenResourceError: the connection broke, or that was no WebSocket.
        """
        await trio.lowlevel.checkpoint()
        if self._to_introduce and self.connection is not None:
            self._to_introduce = False
            await self._introduce(self.connection.info)
        while True:
            received = bytearray()
            for event in self._frames.events():
                if isinstance(event, wsproto.events.TextMessage):
                    received += event.data.encode()
                elif isinstance(event, wsproto.events.BytesMessage):
                    await self._close(CloseCode.UNSUPPORTED_DATA, None)
                    raise trio.BrokenResourceError("a binary frame")
                elif isinstance(event, wsproto.events.Ping):
                    await self._send(event.response())
                elif isinstance(event, wsproto.events.CloseConnection):
                    if self._frames.state is ConnectionState.OPEN:  # that was no frame
                        await self._close(CloseCode(event.code), event.reason)
                        raise trio.BrokenResourceError(event.reason)
                    self._ended = True
            if received:
                return bytes(received)
            if self._ended:
                return b""
            data = bytes(await self._below.receive_some(RECEIVE_SIZE))
            if not data:
                raise trio.BrokenResourceError("it ended without a close frame")
            self._frames.receive_data(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send text; a character that is not complete waits for its rest.

        Raises:
          trio.BrokenResourceError: the connection broke, or the peer has closed it.
          WriteTimeout: the peer does not read.
        """
        if self._frames.state is not ConnectionState.OPEN:
            raise trio.BrokenResourceError("the peer has closed")
        text = self._decoder.decode(bytes(data))
        await self._send(wsproto.events.TextMessage(data=text) if text else None)

    async def wait_send_all_might_not_block(self) -> None:
        """See :class:`trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Send a close frame that tells why."""
        reason = self.connection.closing if self.connection is not None else self.refused
        code = CODES.get(reason, CloseCode.NORMAL_CLOSURE) if reason else CloseCode.GOING_AWAY
        await self._close(code, reason.value if reason else None)

    async def aclose(self) -> None:
        """Let whoever serves the HTTP connection go on, and close it."""
        self.closed.set()
        await trio.lowlevel.checkpoint()

    async def _introduce(self, info: ConnectionInfo) -> None:
        told = json.dumps({"connection": info.number, "client": info.client})
        await self._send(wsproto.events.BytesMessage(data=told.encode()))

    async def say_goodbye(self) -> None:
        """Answer a close frame that nobody has answered."""
        if self._frames.state is ConnectionState.REMOTE_CLOSING:
            await self.send_eof()

    async def _close(self, code: CloseCode, reason: str | None) -> None:
        await self._send(wsproto.events.CloseConnection(code, reason))

    async def _send(self, event: wsproto.events.Event | None) -> None:
        data = b""
        if event is not None:
            with contextlib.suppress(LocalProtocolError):  # a close frame has gone before it
                data = self._frames.send(event)
        await write_timeout.send_all(self._below, data, self._period)


class WebListener(trio.abc.Listener[WebSocketStream]):
    """Where conversations over WebSockets come from, for :func:`~tcpecho_trio.server.serve`.

    Subscribe it to the server's events.

    Args:
      registry: the server's.
      period: seconds in which a client has to take some of what is sent to it.
    """

    def __init__(self, registry: Registry, period: float) -> None:
        self._registry = registry
        self._period = period
        self._streams: dict[str, WebSocketStream] = {}
        self._put, self._get = trio.open_memory_channel[WebSocketStream](math.inf)
        self.open = True

    async def accept(self) -> WebSocketStream:
        """The next conversation."""
        return await self._get.receive()

    async def aclose(self) -> None:
        """Accept no more; whoever waits is let go."""
        self.open = False
        with contextlib.suppress(trio.WouldBlock):
            while True:
                self._get.receive_nowait().closed.set()
        await trio.lowlevel.checkpoint()

    async def converse(
        self,
        below: trio.abc.Stream,
        bare: trio.SocketStream,
        begun: bytes,
        peer: Peer,
        *,
        introduced: bool,
    ) -> None:
        """Have the server talk to whoever is there, until that is over.

        Args:
          below: what frames are read from and written to.
          bare: the socket at its bottom.
          begun: what has been received of the first frames.
          peer: who is there; no two at a time have the same name.
          introduced: see :class:`WebSocketStream`.

        Raises:
          trio.BrokenResourceError: it has gone.
          WriteTimeout: it does not read.
        """
        stream = WebSocketStream(below, bare, begun, peer, self._period, introduced=introduced)
        self._streams[peer.name] = stream
        try:
            if self.open:
                self._put.send_nowait(stream)
                await stream.closed.wait()
            with trio.move_on_after(CLOSE_TIME):
                await stream.say_goodbye()
        finally:
            del self._streams[peer.name]

    def __call__(self, event: Event) -> None:
        """Take note of what the server makes of a stream."""
        if isinstance(event, (ConnectionOpened, ConnectionRefused)):
            stream = self._streams.get(event.connection.peer)
            if stream is not None and isinstance(event, ConnectionOpened):
                stream.connection = self._registry.find(event.connection.number)
            elif stream is not None and isinstance(event, ConnectionRefused):
                stream.refused = event.reason


def web_peer(bare: trio.SocketStream) -> Peer:
    """Who is at the other end of an HTTP connection's socket, as a client of the server."""
    peer = Peer.of(bare.socket)
    return peer._replace(name=f"web:{peer.name}")


def accepted_headers(key: str, *, introduced: bool) -> Headers:
    """What answers to the key of a client that wants a WebSocket (RFC 6455 §4.2.2)."""
    headers = [("Sec-WebSocket-Accept", generate_accept_token(key.encode("latin-1")).decode())]
    if introduced:
        headers.append(("Sec-WebSocket-Protocol", INTRODUCED))
    return headers
