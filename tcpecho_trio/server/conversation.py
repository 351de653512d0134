"""What a client says and is answered: the protocol's outputs, and the policy.

This is the only place that decides what a client is answered, and why its conversation ends. The
way of a chunk: receive → :class:`~tcpecho_trio.protocol.Protocol` → obey → send. How the connection
then closes is decided in :mod:`~tcpecho_trio.server.connection`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter

import outcome
import trio

from tcpecho_trio.dialects import Action, Dialect
from tcpecho_trio.protocol import Foreign, Output, Protocol, Request, State
from tcpecho_trio.server import write_timeout
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.context import ServerContext
from tcpecho_trio.server.drain import on_its_way, taken_in
from tcpecho_trio.server.events import (
    DisconnectRequested,
    DrainReason,
    ForeignProtocol,
    ShutdownRefused,
)
from tcpecho_trio.server.report import ConnectionReport
from tcpecho_trio.server.settings import RemoteShutdown
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.server.traffic import COMMAND_PIECE, RECEIVE, Handoff, is_plain
from tcpecho_trio.server.turns import SLICE

RECEIVE_SIZE = 65536
"""Bytes asked for in one receive; asyncio and Trio ask for as much."""

REPLY_SIZE = 65536
"""Bytes of replies that are collected for one send. A chunk full of LISTAR asks for far more
than it is long; sent in such pieces, a client that does not read holds up only itself."""

QUIET_PERIOD = 0.05
"""Seconds without a byte after which an unframed message is taken for complete. Longer than
the pieces of one send() ever lie apart on a working network, shorter than anybody notices."""

NO_PAUSE = 1e-6
"""Seconds of a wait that only takes what is here already."""


class Conversation:
    """What one client says, and what it is answered.

    Args:
      stream: the connection.
      info: who is connected.
      context: what this server's connections share. Its carrier moves plain traffic; with a
        stream that it cannot carry the connection does it all itself.
      dialect: which words are commands.
      trusted: whether the client is on this machine.
      local: our own address on it, for a dialect that reports it.
    """

    __slots__ = (
        "_closing",
        "_context",
        "_dismissed",
        "_local",
        "_resumed",
        "_stream",
        "_trusted",
        "_waiting",
        "info",
        "protocol",
        "stats",
        "watched",
    )

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        info: ConnectionInfo,
        context: ServerContext,
        dialect: Dialect,
        *,
        trusted: bool,
        local: str = "",
    ) -> None:
        self.info = info
        self.stats = ConnectionStats(
            trio.current_time(),
            messages=context.events.counting or dialect.reports,
            read_sizes=dialect.reports,
        )
        self.protocol = Protocol(dialect)
        self.watched = context.events.messages  # see traffic.Client; the greeting has no message
        self._stream = stream
        self._context = context
        self._trusted = trusted
        self._local = local
        self._waiting: trio.CancelScope | None = None  # for the client; ended by wake()
        self._closing: CloseReason | None = None  # once it is decided
        self._dismissed = False  # an operator wants it closed
        self._resumed: outcome.Outcome[Handoff | None] | None = None  # where its task begins

    def wake(self) -> None:
        """Stop waiting for the client: the server drains, or aborts.

        What is being answered is finished first.
        """
        if self._waiting is not None:
            self._waiting.cancel()  # without effect on a wait that is over
        if is_plain(self._stream):
            self._context.carrier.let_go(self._stream)

    def dismiss(self) -> None:
        """Close it in an orderly way, as a drain would, but this one only."""
        self._dismissed = True
        self.wake()

    @property
    def closing(self) -> CloseReason | None:
        """Why it ends; None as long as that is not decided."""
        return self._closing

    async def _converse(self) -> None:
        """Answer until the close reason is decided."""
        dialect = self.protocol.dialect
        if dialect.greeting:
            await self._send(dialect.greeting.encode())
        if self._context.settings.banner and dialect.reports:
            await self._send(f"{self._report()}\n".encode())
        while self._closing is None and (due := await self._wait()) is not None:
            answering = self._answer(due)
            del due  # a client that never reads shall not keep what it sent in memory
            await answering
        if self._closing is None and (self._dismissed or self._context.lifecycle.draining):
            await self._finish_for_drain()
        elif self._closing is None:
            await self._end_input(CloseReason.IDLE)

    async def _wait(self) -> Handoff | None:
        """What is to be done next; None when the drain or too long a silence ends the waiting.

        Only this can be woken. What has been received is never lost to a cancellation, because it
        is answered outside.
        """
        stats, stream = self.stats, self._stream
        longest_silence = self._context.settings.longest_silence
        resumed, self._resumed = self._resumed, None
        while resumed or not (self._dismissed or self._context.lifecycle.draining):
            handoff: Handoff | None = RECEIVE
            if resumed is not None:
                handoff, resumed = resumed.unwrap(), None
            elif not self.protocol.awaits_quiet and is_plain(stream):
                handoff = await self._context.carrier.carry(stream, self)
            if handoff is RECEIVE:
                handoff = None
                with trio.CancelScope(deadline=stats.active + longest_silence) as self._waiting:
                    quiet = self.protocol.awaits_quiet
                    handoff = await (self._receive_or_quiet() if quiet else self._receive())
            if handoff is not None:
                return handoff
            if trio.current_time() >= stats.active + longest_silence:
                # A last look: data may have arrived while we were blocked.
                with trio.move_on_after(QUIET_PERIOD):
                    return await self._receive()
                break
        return None

    async def _finish_for_drain(self) -> None:
        """Answer what had been sent when the drain began, and everything held.

        A quiet period is waited for at first; after that only what is here already is answered.
        A client that asks as soon as it has a reply is never quiet: it would be aborted at the
        drain's deadline, and its last question with it.
        """
        room = on_its_way(self._stream)
        patient_until = trio.current_time() + self._context.settings.drain_grace
        while self._closing is None:
            if self._context.lifecycle.aborting:
                self._closing = CloseReason.ABORTED
                return
            before = taken_in(self._stream)
            period = QUIET_PERIOD if trio.current_time() < patient_until else NO_PAUSE
            with trio.CancelScope() as waiting:
                # Not at its entry: a deadline that is over by then, as any short one may be,
                # would cancel before what is here has been looked for.
                waiting.deadline = trio.current_time() + period
                self._waiting = waiting
                chunk = bytes(await self._stream.receive_some(RECEIVE_SIZE))
            if not waiting.cancelled_caught:
                room -= len(chunk)
                await self._answer(self._take(chunk))
                if room >= 0 or self._closing is not None:
                    continue
            elif self._context.lifecycle.aborting:
                continue
            elif part := taken_in(self._stream) - before:
                room -= part  # a part of a TLS record, whose rest may be here, too
                if room >= 0:
                    continue
            dismissed = self._dismissed and not self._context.lifecycle.draining
            await self._end_input(CloseReason.OPERATOR if dismissed else CloseReason.DRAINED)

    async def _end_input(self, reason: CloseReason) -> None:
        """End on our side: everything held falls due, and may itself be a word that ends it."""
        await self._answer(Handoff(self.protocol.receive_eof()))
        self._closing = self._closing or reason

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
        self.stats.active = trio.current_time()
        return Handoff(unread=data)

    def _answer(self, due: Handoff) -> Awaitable[None]:
        """Do all that a handoff leaves to do."""
        if due.ended:
            self._closing = CloseReason.EOF
            return self._reply(self.protocol.receive_eof())
        if due.unread:
            return self._answer_chunk(due.unread)
        return self._reply(due.outputs, due.sent)

    async def _answer_chunk(self, chunk: bytes) -> None:
        """Answer a chunk as it was read; piece by piece, if it is long and holds a word.

        So the commands of one chunk never stand in memory all at once. Where a line client's
        chunk is cut makes no difference to the protocol.
        """
        piece = len(chunk)
        if piece > COMMAND_PIECE and self.protocol.dialect.mentions_word(chunk):
            piece = COMMAND_PIECE
        while chunk and self._closing is None:
            size = piece
            if piece < len(chunk) and self.protocol.state is State.UNDECIDED:
                # The first LF makes it a line client; before that, one read is one message.
                size = chunk.find(b"\n") + 1 or len(chunk)
            data, chunk = chunk[:size], chunk[size:]
            outputs = self.protocol.receive_data(data)
            begun = self.protocol.begun
            self.stats.received(data, begun)
            if self._context.events.messages:
                self.watched = self._context.events.received(self.info, data, begun)
            else:
                self.watched = False
                self._context.events.begun += begun
            del data
            await self._reply(outputs)

    async def _reply(self, outputs: tuple[Output, ...], already: int = 0) -> None:
        """Obey and reply in the order of the input, with as few sends as possible.

        Args:
          outputs: the protocol's.
          already: bytes of the first reply that the socket has taken.
        """
        turns = self._context.turns
        replies: list[bytes] = []
        size, slice_began = 0, 0.0
        for output in outputs:
            if size >= REPLY_SIZE:
                if slice_began:
                    turns.spent(perf_counter() - slice_began)
                    slice_began = 0.0
                await self._send(_joined(replies), already)
                size = already = 0
            if isinstance(output, Foreign):
                self._closing = CloseReason.FOREIGN
                self._context.events.publish(ForeignProtocol(self.info, output.protocol))
                return
            if isinstance(output, Request):
                roster = self._context.roster
                if output.command.action is Action.LIST and not roster.fresh:
                    if slice_began:
                        turns.spent(perf_counter() - slice_began)
                        slice_began = 0.0
                    await roster.refresh()
                now = perf_counter()
                if not slice_began or now - slice_began > SLICE:
                    if slice_began:
                        turns.spent(now - slice_began)
                    await turns.wait()
                    slice_began = perf_counter()
                reply = self._obey(output)
            else:
                reply = output
            replies.append(reply)
            size += len(reply)
            if self._closing in (CloseReason.DISCONNECTED, CloseReason.SHUTDOWN):
                break  # nothing after a word that ends it is answered
        if slice_began:
            turns.spent(perf_counter() - slice_began)
        if size:
            await self._send(_joined(replies), already, last=True)

    def _obey(self, request: Request) -> bytes:
        """Do what a command asks for; return what is to be said about it."""
        command, terminator = request.command, request.terminator
        context = self._context
        context.registry.commands[command.action] += 1
        lines = [command.text]
        if command.action is Action.LIST:
            lines += context.roster.clients()
        elif command.action is Action.REPORT:
            lines = [self._report()]
        elif command.action is Action.DISCONNECT:
            lines = self._leave(CloseReason.DISCONNECTED, command.text)
        elif command.action is Action.SHUTDOWN:
            if self._may_shut_down():
                lines = self._leave(CloseReason.SHUTDOWN, command.text)
                context.lifecycle.drain(DrainReason.REMOTE, self.info.client)
            else:
                lines = [context.settings.wire_errors.shutdown_refused]
                context.events.publish(ShutdownRefused(self.info))
        if not lines:
            return b""
        return (terminator or b"\n").join(map(str.encode, lines)) + terminator

    def _report(self) -> str:
        settings = self._context.settings
        report = ConnectionReport(self.info, self._local, self.stats)
        return report.as_json(settings.name, settings.identity, settings.worker)

    def _leave(self, reason: CloseReason, farewell: str) -> list[str]:
        """End at the client's word; a farewell is due if it is still there to read it."""
        self._context.events.publish(DisconnectRequested(self.info))
        left, self._closing = self._closing is CloseReason.EOF, reason
        return [] if left else [farewell]

    def _may_shut_down(self) -> bool:
        allowed = self._context.settings.remote_shutdown
        return allowed is RemoteShutdown.ANYWHERE or (
            allowed is RemoteShutdown.LOOPBACK and self._trusted
        )

    async def _send(self, reply: bytes, already: int = 0, *, last: bool = False) -> None:
        """Send a reply, but for the bytes that the socket has taken already.

        Args:
          reply: all of it.
          already: how many bytes the socket has.
          last: whether with it everything that the protocol does not hold is answered.
        """
        due = memoryview(reply)[already:] if already else reply
        await write_timeout.send_all(self._stream, due, self._context.settings.write_period)
        stats, answered = self.stats, 0
        stats.active = trio.current_time()  # a client that takes replies is not silent
        stats.bytes_out += len(reply)
        if last:
            answered = stats.answered(self.protocol.holds)
        if self.watched:
            self._context.events.replied(self.info, reply, answered)


def _joined(replies: list[bytes]) -> bytes:
    """All of them as one, and none kept beside it: a client may never read."""
    whole = b"".join(replies)
    replies.clear()
    return whole
