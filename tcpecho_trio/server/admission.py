"""From an accepted socket to a conversation: a pipeline in the order of the wire.

::

    limit → PROXY header → limit per address → TLS handshake → faults → conversation

The limit is looked at, and the connection's number and faults are decided, at the moment when a
connection is accepted: so they follow the order of arrival. The other stages may have to wait for
the client, so they run in the connection's own task. Each is a function from an accepted
connection to an accepted connection or a rejection (:mod:`~tcpecho_trio.server.accepted`).
:meth:`Admission._stages` lists them: a new stage is one file and one line there.

Most servers have none of them, and their clients pay nothing for it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable
from dataclasses import dataclass

import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.dialects import Dialect
from tcpecho_trio.server.accepted import AcceptedConnection, Outcome, Rejection, Stage
from tcpecho_trio.server.accepting import Handler, Spawn
from tcpecho_trio.server.address_limit import AddressLimit
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.closing import linger, reset_on_close
from tcpecho_trio.server.connection import Connection
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.context import ServerContext
from tcpecho_trio.server.endpoints import Endpoint
from tcpecho_trio.server.events import (
    AdmissionAborted,
    ConnectionCrashed,
    ConnectionProbed,
    ConnectionRefused,
)
from tcpecho_trio.server.fault_stage import FaultStage
from tcpecho_trio.server.memory import REFUSALS, room_for_clients
from tcpecho_trio.server.peer import Peer
from tcpecho_trio.server.proxy_stage import ProxyHeaderStage
from tcpecho_trio.server.tls import NO_ROOM, Handshakes, Tls
from tcpecho_trio.server.tls_stage import TlsStage

REFUSAL_TIME = 1.0
"""Seconds to tell a client that it may not talk. Shorter than an ordinary lingering close, because
it holds a descriptor that others may need."""


@dataclass(frozen=True, slots=True)
class AcceptedAt:
    """The endpoint at which a connection is accepted.

    Args:
      name: as it is written, with the real port.
      dialect: which words are commands there.
      proxy: whether connections begin with a PROXY header.
      tls: what clients shake hands with there; None for plain connections.
      unix: whether it is a Unix socket, whose connections have no address of their own.
    """

    name: str
    dialect: Dialect
    proxy: bool
    tls: Tls | None
    unix: bool


class Admission:
    """Lets in the connections of one server, whichever endpoint they come by."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._fault_stage = FaultStage(context.events, context.settings.write_period)
        self._handshakes = Handshakes()
        self._most: int | None = None  # clients at a time; decided as the first one comes
        self._refusals = sys.maxsize
        self._refusing = 0  # clients that are being told why they may not talk

    def handler(
        self,
        name: str,
        endpoint: Endpoint | None = None,
        *,
        tls: Tls | None = None,
        unix: bool = False,
    ) -> Handler:
        """What is called with each connection at the moment when it is accepted.

        It starts the task that serves the connection. Neither raises anything, because in a
        nursery one handler's exception ends all the others.

        Args:
          name: of the endpoint, as it is written, with the real port.
          endpoint: may differ from the server's settings; None if nothing does.
          tls: what clients shake hands with there; None for plain connections.
          unix: whether it is a Unix socket, whose connections have no address of their own.
        """
        settings = self._context.settings
        dialect, proxy = settings.dialect, settings.proxy_protocol
        if endpoint is not None:
            dialect = endpoint.dialect or dialect
            proxy = proxy if endpoint.proxy is None else endpoint.proxy
        accepted_at = AcceptedAt(name, dialect, proxy, tls, unix)
        stages = self._stages(accepted_at)

        def handle(stream: trio.SocketStream, spawn: Spawn) -> None:
            serving = self._accept(accepted_at, stages, stream, spawn)
            if serving is not None:
                spawn(serving, stream)

        return handle

    def _stages(self, endpoint: AcceptedAt) -> tuple[Stage, ...]:
        """The stages behind the limit, in the order of the wire; faults come last, if drawn."""
        settings = self._context.settings
        stages: list[Stage] = []
        refusals = settings.wire_errors
        if endpoint.proxy:
            speaks_first = bool(endpoint.dialect.greeting) or settings.banner
            stages.append(
                ProxyHeaderStage(settings.trusted_proxies, speaks_first, settings.mixed_families)
            )
        if settings.max_connections_per_address:
            reply = refusals.address_limit.encode() if endpoint.tls is None else NO_ROOM
            most = settings.max_connections_per_address
            stages.append(AddressLimit(self._context.registry, most, reply))
        if endpoint.tls is not None:
            stages.append(TlsStage(endpoint.tls, settings.write_period, self._handshakes))
        return tuple(stages)

    def _accept(
        self,
        endpoint: AcceptedAt,
        stages: tuple[Stage, ...],
        stream: trio.SocketStream,
        spawn: Spawn,
    ) -> Awaitable[None] | None:
        """Decide what has to be decided in the order of arrival.

        Returns what serves the connection in a task of its own; None if it has no need of one yet.
        """
        try:
            known = getattr(stream, "peer", None)  # to a stream that is no socket
            peer = Peer.of(stream.socket) if known is None else known
        except OSError:  # the peer has reset it before it was accepted
            return _nobody()
        if self._context.lifecycle.aborting:  # there is no time for it any more
            reset_on_close(stream)
            return _nobody()
        registry, settings = self._context.registry, self._context.settings
        if self._most is None:  # what listening itself needs is in use by now
            room = room_for_clients()
            self._most = min(settings.max_connections, room)
            self._refusals = REFUSALS if room <= settings.max_connections else sys.maxsize
        full = registry.full(self._most)
        number = registry.accept(endpoint.name)
        try:
            sampler = self._context.faults
            faults = sampler.draw() if sampler.faults and not full else ()
            if not (stages or full or faults):  # most servers, and nearly all of their connections
                info = ConnectionInfo(number, peer.name, peer.name, endpoint.name)
                connection = self._conversation(endpoint, stream, stream, info, peer.local)
                return None if connection.begin(spawn) else connection.run()
            info = ConnectionInfo(
                number, peer.name, peer.name, endpoint.name, faults=tuple(map(str, faults))
            )
            accepted = AcceptedConnection(stream, stream, peer, info, peer.local, peer.host, faults)
            if full:
                return self._reject(accepted, self._no_place(endpoint, info))
            if faults:
                stages = (*stages, self._fault_stage)
            return self._admit(endpoint, stages, accepted)
        except Exception as error:  # noqa: BLE001  our bug, or no memory: it costs this client only
            registry.close(number, CloseReason.CRASHED)
            info = ConnectionInfo(number, peer.name, peer.name, endpoint.name)
            self._context.events.publish(ConnectionCrashed(info, error))
            return _nobody()

    async def _admit(
        self, endpoint: AcceptedAt, stages: tuple[Stage, ...], accepted: AcceptedConnection
    ) -> None:
        """Go through the stages; then let the client talk, or close."""
        outcome: Outcome | None = None
        registry, lifecycle = self._context.registry, self._context.lifecycle
        number = accepted.info.number
        # The drain does not wait long for a client that has not even been admitted. It gives this
        # scope its deadline, unless it has begun already.
        with trio.CancelScope() as scope:  # noqa: ASYNC912  what may wait is cancelled there
            if lifecycle.draining:
                scope.deadline = trio.current_time() + self._context.settings.drain_grace
            registry.admitting.add(scope)
            try:
                outcome = await _through(stages, accepted)
            except (OSError, trio.BrokenResourceError):  # the client left
                outcome = Rejection(CloseReason.PROBE, ConnectionProbed(accepted.info))
            except trio.Cancelled:
                registry.close(number, CloseReason.ABORTED)
                self._context.events.publish(AdmissionAborted(accepted.info))
                raise
            except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
                outcome = Rejection(CloseReason.CRASHED, ConnectionCrashed(accepted.info, error))
            finally:
                registry.admitting.discard(scope)
        if isinstance(outcome, Rejection):
            await self._reject(accepted, outcome)
        elif outcome is not None:
            await self._conversation(
                endpoint, outcome.stream, outcome.socket, outcome.info, outcome.trusted
            ).run()

    async def _reject(self, accepted: AcceptedConnection, rejection: Rejection) -> None:
        """Say why the client may not talk, to the subscribers and to it, and close.

        Its place is free at once: whoever is being told, and stays, keeps nobody out.
        """
        context = self._context
        context.registry.close(accepted.info.number, rejection.reason)
        context.events.publish(rejection.event)
        told = rejection.linger and self._refusing < self._refusals
        self._refusing += told
        try:
            if told:
                with trio.move_on_after(REFUSAL_TIME):
                    await accepted.socket.send_all(rejection.reply)
                    await linger(accepted.socket)
            elif rejection.reason is not CloseReason.PROBE:
                reset_on_close(accepted.socket)
        except trio.BrokenResourceError:
            pass  # the client did not wait for it
        except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
            context.events.publish(ConnectionCrashed(accepted.info, error))
        finally:
            self._refusing -= told

    def _conversation(
        self,
        endpoint: AcceptedAt,
        stream: trio.abc.HalfCloseableStream,
        bare: trio.SocketStream,
        info: ConnectionInfo,
        trusted: bool,
    ) -> Connection:
        dialect = endpoint.dialect
        local = _local_name(endpoint, bare) if dialect.reports else ""
        return Connection(stream, info, self._context, dialect, trusted=trusted, local=local)

    def _no_place(self, endpoint: AcceptedAt, info: ConnectionInfo) -> Rejection:
        """What a client is told for which a full server has no place."""
        full = self._context.settings.wire_errors.full
        reply = full.encode() if endpoint.tls is None else NO_ROOM
        event = ConnectionRefused(info, CloseReason.FULL)
        return Rejection(CloseReason.FULL, event, reply, linger=True)


async def _through(stages: tuple[Stage, ...], accepted: AcceptedConnection) -> Outcome:
    """Take a connection through the stages, as far as they let it."""
    for stage in stages:
        outcome = await stage(accepted)
        if isinstance(outcome, Rejection):
            return outcome
        accepted = outcome
    return accepted


async def _nobody() -> None:
    """Serve a connection whose client is gone."""
    await trio.lowlevel.checkpoint()


def _local_name(endpoint: AcceptedAt, stream: trio.SocketStream) -> str:
    """Our own address on a connection; empty if it is broken already."""
    if endpoint.unix:
        return endpoint.name.replace("unix://", "unix:", 1)
    with contextlib.suppress(OSError):
        return format_address(stream.socket.getsockname())
    return ""
