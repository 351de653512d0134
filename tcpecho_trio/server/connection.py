"""One client from accept to close: the protocol's outputs, and the policy around them.

The only place that decides what is said to a client and how its connection ends. The way of
a chunk: receive → :class:`~tcpecho_trio.protocol.Protocol` → obey → send.

How it can end is a list of its own: :mod:`~tcpecho_trio.server.close_reason`.
"""

from __future__ import annotations

import contextlib
import socket
import struct

import trio

from tcpecho_trio.dialects import SHUTDOWN_REFUSED, Action
from tcpecho_trio.protocol import Foreign, Protocol, Request
from tcpecho_trio.server import write_timeout
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.faults import Injected
from tcpecho_trio.server.journal import Journal
from tcpecho_trio.server.lifecycle import Lifecycle
from tcpecho_trio.server.pump import Handoff, Pump
from tcpecho_trio.server.registry import Registry
from tcpecho_trio.server.report import Witness
from tcpecho_trio.server.settings import RemoteShutdown, Settings

RECEIVE_SIZE = 65536
"""Bytes asked for in one receive; asyncio and Trio ask for as much."""

REPLY_SIZE = 65536
"""Bytes of replies that are collected for one send. A chunk full of LISTAR asks for far more
than it is long; sent in such pieces, a client that does not read holds up only itself."""

QUIET_PERIOD = 0.05
"""Seconds without a byte after which an unframed message is taken for complete. Longer than
the pieces of one send() ever lie apart on a working network, shorter than anybody notices."""

DRAIN_BYTES = 8 * 1024 * 1024
"""Bytes of one client that are still answered once the drain has begun: more than the sockets
between it and us hold (tcp(7): tcp_wmem and tcp_rmem end at 4 and 6 MiB), so all that had been
sent is, and somebody who never stops sending does not hold up the end."""

NO_PAUSE = 1e-6
"""Seconds that are over at once, but not before what is here has been looked for."""

LINGER_TIME = 2.0
"""Seconds to wait for the peer's close after ours (a lingering close; nginx waits 5 s,
Apache 2 s): without it unread input turns close(2) into a reset, which destroys replies
that are still on their way (RFC 1122 §4.2.2.13, RFC 9112 §9.6)."""

LINGER_BYTES = 256 * 1024
"""Bytes discarded meanwhile; whoever sends more is not about to read."""


class Connection:
    """One client and its conversation.

    Args:
      stream: the connection; not closed here but by whoever accepted it, yet told here to
        reset when it has to be cut.
      peer: the client's address as it is written.
      trusted: whether the client is on this machine.
      pump: moves the plain traffic; without one, or with a stream that is not a bare
        socket, the connection does it all itself.
      witness: sees what passes, for a dialect that reports it; then the pump is not used.
    """

    __slots__ = (
        "_ending",
        "_journal",
        "_lifecycle",
        "_pump",
        "_registry",
        "_settings",
        "_stream",
        "_trusted",
        "_waiting",
        "_witness",
        "active",
        "peer",
        "protocol",
    )

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        *,
        peer: str,
        trusted: bool,
        settings: Settings,
        lifecycle: Lifecycle,
        registry: Registry,
        journal: Journal,
        pump: Pump | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.peer = peer
        self.active = trio.current_time()
        self.protocol = Protocol(settings.dialect)
        self._stream = stream
        self._trusted = trusted
        self._settings = settings
        self._lifecycle = lifecycle
        self._registry = registry
        self._journal = journal
        self._pump = pump if witness is None else None
        self._witness = witness
        self._waiting: trio.CancelScope | None = None  # owned by _wait(); ended by drain()
        self._ending: CloseReason | None = None

    def drain(self) -> None:
        """Wake up if waiting for input; whatever is being answered is finished first."""
        if self._waiting is not None:
            self._waiting.cancel()  # without effect on a wait that is over

    async def run(self) -> None:
        """Converse until the end, whichever it is, and leave the registry at its close."""
        self._registry.add(self)
        self._journal.connected(self.peer)
        said_all = False
        try:
            try:
                await self._converse()
            except Injected as fault:
                self._ending = CloseReason.FAULT
                if fault.reset:
                    reset_on_close(self._stream)
                    return
            said_all = True
            if self._ending is CloseReason.FOREIGN:
                reset_on_close(self._stream)
                return
            if self._ending is CloseReason.EOF and isinstance(self._stream, trio.SocketStream):
                return  # to close it is all that is left, and not worth a scope
            with trio.move_on_after(LINGER_TIME):
                if self._ending is CloseReason.EOF:
                    await self._stream.send_eof()
                else:
                    await linger(self._stream)
        except trio.BrokenResourceError:
            # After the ending was decided it changes nothing: old clients close at once.
            self._ending = self._ending or CloseReason.RESET
        except write_timeout.WriteTimeout:
            self._ending = CloseReason.WRITE_TIMEOUT
            reset_on_close(self._stream)
        except trio.Cancelled:
            if not said_all:  # else only the peer's own close was still waited for
                self._ending = CloseReason.ABORTED
                reset_on_close(self._stream)
            raise
        except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
            self._ending = CloseReason.CRASHED
            reset_on_close(self._stream)
            self._journal.crashed(self.peer, error)
        finally:
            ending = self._ending or CloseReason.ABORTED
            self._registry.remove(self, ending)
            self._journal.closed(self.peer, ending.value)

    async def _converse(self) -> None:
        """Answer until the ending is decided."""
        if self._settings.dialect.greeting:
            await self._send(self._settings.dialect.greeting.encode())
        if self._settings.banner and self._witness is not None:
            await self._send(f"{self._witness.report()}\n".encode())
        while self._ending is None and (due := await self._wait()) is not None:
            await self._answer(due)
        if self._ending is None and self._lifecycle.draining:
            await self._finish_for_drain()
        elif self._ending is None:
            await self._end_input(CloseReason.IDLE)

    async def _wait(self) -> Handoff | None:
        """What is to be done next; None when the drain or too long a silence ends the waiting.

        Only this can be woken: what has been received is never lost to a cancellation, because
        it is answered outside. The deadline is lazy. The pump only stamps the time, and who
        turns out to have spoken since waits on.
        """
        while not self._lifecycle.draining:
            deadline = self.active + self._settings.longest_silence
            with trio.CancelScope(deadline=deadline) as self._waiting:
                if self.protocol.awaits_quiet:
                    return await self._receive_or_quiet()
                if self._pump is not None and isinstance(self._stream, trio.SocketStream):
                    return await self._pump.carry(self._stream, self)
                return await self._receive()
            if trio.current_time() >= self.active + self._settings.longest_silence:
                # A last look: what came while nobody could look is no silence.
                with trio.move_on_after(QUIET_PERIOD):
                    return await self._receive()
                break
        return None

    async def _finish_for_drain(self) -> None:
        """Answer what had been sent when the drain began, and everything held.

        A quiet period is waited for at first; after that only what is here already is answered.
        Somebody who asks as soon as they have a reply is never quiet: they would be cut at the
        drain's deadline, and with them their last question.
        """
        room = DRAIN_BYTES
        patient_until = trio.current_time() + self._settings.drain_grace
        while self._ending is None:
            chunk = b""
            period = QUIET_PERIOD if trio.current_time() < patient_until else NO_PAUSE
            with trio.move_on_after(period) as waiting:
                chunk = bytes(await self._stream.receive_some(RECEIVE_SIZE))
            room -= len(chunk)
            if waiting.cancelled_caught or room < 0:
                await self._end_input(CloseReason.DRAINED)
            else:
                await self._answer(self._take(chunk))

    async def _end_input(self, ending: CloseReason) -> None:
        """End on our side: everything held falls due, and may itself be a word that ends it."""
        await self._answer(Handoff(self.protocol.receive_eof()))
        self._ending = self._ending or ending

    async def _receive_or_quiet(self) -> Handoff:
        """What comes next within a quiet period, or what its end decides."""
        with trio.move_on_after(QUIET_PERIOD):
            return await self._receive()
        return Handoff(self.protocol.receive_quiet())

    async def _receive(self) -> Handoff:
        """One chunk, or the end of input, from any kind of stream."""
        return self._take(bytes(await self._stream.receive_some(RECEIVE_SIZE)))

    def _take(self, data: bytes) -> Handoff:
        """What a chunk, or the end of input, leaves to do."""
        if not data:
            return Handoff(ended=True)
        self.active = trio.current_time()
        self._journal.received(self.peer, data)
        if self._witness is not None:
            self._witness.received(data)
        return Handoff(self.protocol.receive_data(data))

    async def _answer(self, due: Handoff) -> None:
        """Obey and reply in the order of the input, with one send."""
        outputs = due.outputs
        if due.ended:
            self._ending = CloseReason.EOF
            outputs = self.protocol.receive_eof()
        replies: list[bytes] = []
        size, already = 0, due.sent
        for output in outputs:
            if isinstance(output, Foreign):
                self._ending = CloseReason.FOREIGN
                self._journal.foreign(self.peer, output.protocol)
                return
            reply = self._obey(output) if isinstance(output, Request) else output
            replies.append(reply)
            size += len(reply)
            if self._ending in (CloseReason.DISCONNECTED, CloseReason.SHUTDOWN):
                break  # nothing after a word that ends it is answered
            if size >= REPLY_SIZE:
                await self._send(b"".join(replies), already)
                replies, size, already = [], 0, 0
        if size:
            await self._send(b"".join(replies), already)

    def _obey(self, request: Request) -> bytes:
        """Do what a command asks for; return what is to be said about it."""
        command, terminator = request.command, request.terminator
        lines = [command.text]
        if command.action is Action.LIST:
            lines += self._registry.peers()
        elif command.action is Action.REPORT and self._witness is not None:
            lines = [self._witness.report()]
        elif command.action is Action.DISCONNECT:
            lines = self._leave(CloseReason.DISCONNECTED, command.text)
        elif command.action is Action.SHUTDOWN:
            if self._may_shut_down():
                lines = self._leave(CloseReason.SHUTDOWN, command.text)
                self._lifecycle.drain(self._journal.texts.drain_remote.format(peer=self.peer))
            else:
                lines = [SHUTDOWN_REFUSED]
                self._journal.shutdown_refused(self.peer)
        if not lines:
            return b""
        return (terminator or b"\n").join(map(str.encode, lines)) + terminator

    def _leave(self, ending: CloseReason, farewell: str) -> list[str]:
        """End at the client's word; a farewell is due if it is still there to read it."""
        self._journal.leaving(self.peer)
        gone = self._ending is CloseReason.EOF
        self._ending = ending
        return [] if gone else [farewell]

    def _may_shut_down(self) -> bool:
        allowed = self._settings.remote_shutdown
        return allowed is RemoteShutdown.ANYWHERE or (
            allowed is RemoteShutdown.LOOPBACK and self._trusted
        )

    async def _send(self, reply: bytes, already: int = 0) -> None:
        """Send a reply, but for the bytes that the socket has taken already."""
        due = memoryview(reply)[already:] if already else reply
        await write_timeout.send_all(self._stream, due, self._settings.patience)
        self.active = trio.current_time()  # who takes replies is not silent
        self._journal.replied(self.peer, reply)
        if self._witness is not None:
            self._witness.replied(reply)


async def linger(stream: trio.abc.HalfCloseableStream) -> None:
    """Half-close, then discard input until the peer closes too; the caller bounds the time."""
    await stream.send_eof()
    room = LINGER_BYTES
    while room > 0 and (discarded := await stream.receive_some(RECEIVE_SIZE)):
        room -= len(discarded)


def reset_on_close(stream: object) -> None:
    """Make the close of a socket a reset: what it had to say is not waited for (socket(7)).

    Also when it lies below TLS, or a fault.
    """
    while (below := getattr(stream, "below", None)) is not None:
        stream = below
    if isinstance(stream, trio.SocketStream):
        with contextlib.suppress(OSError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
