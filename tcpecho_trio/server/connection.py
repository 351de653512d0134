"""One client from its first byte to its close.

What it is answered, and why it ends, its :class:`~tcpecho_trio.server.conversation.Conversation`
decides. Here the connection enters the registry, gets a task if it needs one, and is closed as its
reason asks: with a reset, at once, or with a linger. How a connection can end is a list of its own:
:mod:`~tcpecho_trio.server.close_reason`.
"""

from __future__ import annotations

from typing import cast

import outcome
import trio

from tcpecho_trio.server import write_timeout
from tcpecho_trio.server.accepting import Spawn
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.closing import LINGER_TIME, linger, reset_on_close
from tcpecho_trio.server.conversation import Conversation
from tcpecho_trio.server.events import ConnectionClosed, ConnectionCrashed, ConnectionOpened
from tcpecho_trio.server.faults import Injected
from tcpecho_trio.server.pump import Pump
from tcpecho_trio.server.traffic import Handoff
from tcpecho_trio.tls.stream import TlsStream


class Connection(Conversation):
    """One client, its conversation, and how both begin and end.

    The stream is closed by whoever accepted it, but told here to reset when it has to be aborted.
    """

    __slots__ = ("_spawn",)

    _spawn: Spawn
    """Starts its task, if it began without one."""

    def begin(self, spawn: Spawn) -> bool:
        """Let the client talk without a task, as long as its traffic is plain.

        Args:
          spawn: starts the task once there is something to do that takes one.

        Returns:
          Whether that is possible. Otherwise nothing has happened, and it takes a task from the
          beginning: for a greeting, or where there is no pump.
        """
        context, stream, dialect = self._context, self._stream, self.protocol.dialect
        pump = context.carrier
        if not (isinstance(pump, Pump) and pump.adopting):
            return False
        if not isinstance(stream, trio.SocketStream) or dialect.greeting:
            return False
        if context.settings.banner and dialect.reports:
            return False
        self._spawn = spawn
        context.registry.open(self)
        context.events.publish(ConnectionOpened(self.info))
        pump.adopt(stream, self)
        return True

    def resume(self, result: outcome.Outcome[Handoff | None]) -> None:
        """Go on in a task where the pump has let go; if the client has ended, end at once."""
        due = result.value if isinstance(result, outcome.Value) else None
        if due is not None and due.ended and not self.protocol.holds:
            self._closing = CloseReason.EOF
            self._close()
            return
        self._resumed = result
        try:
            self._spawn(self.run(), cast("trio.SocketStream", self._stream))
        except MemoryError:  # it costs this client
            reset_on_close(self._stream)
            self._close()

    async def run(self) -> None:
        """Converse until the end, whichever it is, and leave the registry at its close."""
        context = self._context
        said_all = False
        try:
            if self._resumed is None:  # else it has begun without a task
                context.registry.open(self)
                context.events.publish(ConnectionOpened(self.info))
            try:
                await self._converse()
            except Injected as fault:
                self._closing = CloseReason.FAULT
                if fault.reset:
                    reset_on_close(self._stream)
                    return
            said_all = True
            if self._closing in (CloseReason.FOREIGN, CloseReason.ABORTED):
                reset_on_close(self._stream)
                return
            if self._closing is CloseReason.EOF and isinstance(self._stream, trio.SocketStream):
                return  # to close it is all that is left, and not worth a scope
            if (
                self._closing is CloseReason.EOF
                and isinstance(self._stream, TlsStream)
                and self._stream.end_at_once()
            ):
                return
            with trio.move_on_after(LINGER_TIME) as self._waiting:
                if self._closing is CloseReason.EOF:
                    await self._stream.send_eof()
                else:
                    await linger(self._stream)
        except trio.BrokenResourceError:
            # Once the reason is decided, a break changes nothing: old clients close at once.
            self._closing = self._closing or CloseReason.RESET
        except write_timeout.WriteTimeout:
            self._closing = CloseReason.WRITE_TIMEOUT
            reset_on_close(self._stream)
        except trio.Cancelled:
            if not said_all:  # else only the peer's own close was still waited for
                self._closing = CloseReason.ABORTED
                reset_on_close(self._stream)
            raise
        except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
            self._closing = CloseReason.CRASHED
            reset_on_close(self._stream)
            context.events.publish(ConnectionCrashed(self.info, error))
        finally:
            self._closed()

    def _close(self) -> None:
        """Close a bare socket that no task will close."""
        try:
            self._closed()
        finally:
            cast("trio.SocketStream", self._stream).socket.close()

    def _closed(self) -> None:
        """Leave the registry, and tell of the close."""
        reason = self._closing or CloseReason.ABORTED
        if not self.stats.bytes_in and reason in (CloseReason.EOF, CloseReason.RESET):
            reason = CloseReason.PROBE
        self._context.registry.close(self.info.number, reason)
        seconds = trio.current_time() - self.stats.opened_at
        self._context.events.publish(ConnectionClosed(self.info, reason, self.stats, seconds))
