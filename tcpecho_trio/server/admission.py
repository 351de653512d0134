"""From an accepted socket to a conversation: is there room, who is there, and over what?

The order on the wire is the order here: a PROXY header, then TLS, then the messages. Most servers
have neither, and their clients pay nothing for it: they go to their
:class:`~tcpecho_trio.server.connection.Connection` at once.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

import trio

from tcpecho_trio.addresses import format_address, is_loopback
from tcpecho_trio.dialects import SERVER_FULL
from tcpecho_trio.display import shown
from tcpecho_trio.proxy_protocol import Command, Header, HeaderReader, MalformedHeader
from tcpecho_trio.server import write_timeout
from tcpecho_trio.server.connection import Connection, linger, reset_on_close
from tcpecho_trio.server.faults import Fault, FaultSampler, FaultyStream
from tcpecho_trio.server.journal import Journal
from tcpecho_trio.server.lifecycle import Lifecycle
from tcpecho_trio.server.pump import Pump
from tcpecho_trio.server.registry import Registry
from tcpecho_trio.server.report import Introduction, Witness
from tcpecho_trio.server.settings import Settings
from tcpecho_trio.server.tls import NO_ROOM, HandshakeFailed, Tls, TlsStream

HEADER_TIME = 5.0
"""Seconds for a PROXY header to come: the proxy sends it at once, with the connection (the
specification's §2 asks for at least 3)."""

PEEK = 4096 + 16
"""Bytes looked at for a PROXY header: more than the longest one."""

REFUSAL_TIME = 1.0
"""Seconds to tell a client that the server is full; shorter than lingering, because whoever
is refused holds a descriptor that others may need."""

Handler = Callable[[trio.SocketStream], Awaitable[None]]


class Peer(NamedTuple):
    """Whose socket it is; a tuple, because every connection makes one.

    Args:
      name: as it is written everywhere.
      host: its IP address; empty for a Unix socket.
      local: whether it is on this machine.
    """

    name: str
    host: str
    local: bool

    @classmethod
    def of(cls, sock: trio.socket.SocketType) -> Peer:
        """Ask the kernel.

        Raises:
          OSError: ENOTCONN, it was reset before it was accepted.
        """
        address = sock.getpeername()
        if isinstance(address, tuple):
            return cls(format_address(address), str(address[0]), is_loopback(address))
        return cls(_unix_name(sock), "", True)

    def may_speak_for_others(self, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
        """Whether its PROXY headers are believed: it is in a network, or on a Unix socket.

        An IPv4 peer on an IPv6 socket is the IPv4 peer it is (RFC 4291 §2.5.5.2).
        """
        if not self.host:
            return True
        host = ip_address(self.host.removeprefix("::ffff:").partition("%")[0])
        return any(host in network for network in networks)


@dataclass(frozen=True, slots=True)
class Visit:
    """A connection before anything has been said on it.

    Args:
      stream: the connection.
      peer: whose it is.
      tls: what to shake hands with; None for plain connections.
      path: of the Unix socket that it came by, bytes for an abstract name; empty for TCP.
      number: which visit it is since the server started, from 1.
      faults: what it is made to suffer.
    """

    stream: trio.SocketStream
    peer: Peer
    tls: Tls | None
    path: str | bytes
    number: int
    faults: tuple[Fault, ...]

    def local_name(self) -> str:
        """Our own address on it."""
        if self.path:
            return f"unix:{shown(self.path)}"
        return format_address(self.stream.socket.getsockname())


class Arrivals:
    """Receives the connections of one server, whichever door they come in by.

    Args:
      settings: what the server is.
      lifecycle: once it drains, nobody is waited for.
      registry: who is connected, and who is arriving.
      journal: what happened.
      pump: moves plain traffic.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        lifecycle: Lifecycle,
        registry: Registry,
        journal: Journal,
        pump: Pump | None,
    ) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._registry = registry
        self._journal = journal
        self._pump = pump
        self._lottery = FaultSampler(settings.faults, settings.fault_seed)
        self._at_once = not (settings.proxy_protocol or settings.faults or settings.dialect.reports)
        self._count = 0

    def handler(self, tls: Tls | None = None, *, path: str | bytes = "") -> Handler:
        """What a door calls with each connection.

        Args:
          tls: what clients shake hands with, where they have to.
          path: of the Unix socket, where it is one.
        """
        return partial(self.receive, tls, path)

    def receive(
        self, tls: Tls | None, path: str | bytes, stream: trio.SocketStream
    ) -> Awaitable[None]:
        """Serve one accepted connection, to be awaited in a task of its own.

        No failure leaves it, because in a nursery one handler's exception ends all the others.
        Not a coroutine itself: an idle connection should not pay for one more frame.
        """
        try:
            peer = Peer.of(stream.socket)
        except OSError:
            return _nobody()
        registry = self._registry
        if len(registry) + len(registry.arriving) >= self._settings.max_connections:
            return self._refuse(stream, peer, SERVER_FULL.encode() if tls is None else NO_ROOM)
        if self._at_once and tls is None:
            return self._connection(stream, peer.name, peer.local).run()
        self._count += 1
        faults = self._lottery.draw()
        return self._introduce(Visit(stream, peer, tls, path, self._count, faults))

    def _connection(
        self,
        stream: trio.abc.HalfCloseableStream,
        name: str,
        trusted: bool,
        witness: Witness | None = None,
    ) -> Connection:
        return Connection(
            stream,
            peer=name,
            trusted=trusted,
            settings=self._settings,
            lifecycle=self._lifecycle,
            registry=self._registry,
            journal=self._journal,
            pump=self._pump,
            witness=witness,
        )

    async def _refuse(self, stream: trio.SocketStream, peer: Peer, told: bytes) -> None:
        """Tell a client that there is no room for it, and close in an orderly way."""
        self._journal.refused(peer.name)
        try:
            with trio.move_on_after(REFUSAL_TIME), contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(told)
                await linger(stream)
        except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
            self._journal.crashed(peer.name, error)

    async def _introduce(self, visit: Visit) -> None:
        """Find out who is there and over what; then let them talk."""
        connection: Connection | None = None
        # The drain does not wait long for somebody who has not even said who they are; it gives
        # this scope its deadline, unless it has begun already.
        with trio.CancelScope() as scope:  # noqa: ASYNC912  what may wait is cancelled there
            if self._lifecycle.draining:
                scope.deadline = trio.current_time() + self._settings.drain_grace
            self._registry.arriving.add(scope)
            try:
                connection = await self._introduced(visit)
            except (OSError, trio.BrokenResourceError):
                pass  # they left
            except _NotLetIn:
                reset_on_close(visit.stream)
            except Exception as error:  # noqa: BLE001  our bug: it may cost this client only
                self._journal.crashed(visit.peer.name, error)
            finally:
                self._registry.arriving.discard(scope)
        if connection is not None:
            await connection.run()

    async def _introduced(self, visit: Visit) -> Connection | None:
        """The conversation that can begin; None if they left without a word (a health probe)."""
        name, trusted = visit.peer.name, visit.peer.local
        header: Header | None = None
        if self._settings.proxy_protocol:
            header = await self._header(visit)
            if header is None:
                return None
            if header.source is not None:
                name, on_its_machine = _client(header)
                trusted = trusted and on_its_machine  # the proxy's loopback may not be ours
            elif header.command is Command.PROXY:
                trusted = False  # the proxy does not know whom it speaks for
        stream: trio.abc.HalfCloseableStream = visit.stream
        agreed = None
        if visit.tls is not None:
            stream = secured = TlsStream(visit.stream, visit.tls, self._settings.patience)
            try:
                if not await secured.shake_hands():
                    return None
            except (HandshakeFailed, write_timeout.WriteTimeout) as error:
                self._journal.tls_refused(name, str(error))
                if isinstance(error, HandshakeFailed) and error.told:  # a reset would undo it
                    with trio.move_on_after(REFUSAL_TIME):
                        await linger(visit.stream)  # noqa: ASYNC120  if cancelled, that is all
                    return None
                raise _NotLetIn from error
            agreed = secured.described()
        faults = tuple(map(str, visit.faults))
        if faults:
            self._journal.faulty(name, " ".join(faults))
            stream = FaultyStream(stream, visit.faults, self._settings.patience)
        witness = None
        if self._settings.dialect.reports:
            introduction = Introduction(
                number=visit.number,
                client=name,
                peer=visit.peer.name,
                local=visit.local_name(),
                header=header,
                tls=agreed,
                faults=faults,
            )
            witness = Witness(introduction, self._settings.name, self._settings.identity)
        return self._connection(stream, name, trusted, witness)

    async def _header(self, visit: Visit) -> Header | None:
        """The PROXY header; None if they left without a word."""
        peer, sock = visit.peer, visit.stream.socket
        if not peer.may_speak_for_others(self._settings.trusted_proxies):
            self._journal.proxy_refused(peer.name, "untrusted", "")
            raise _NotLetIn
        reader = HeaderReader()
        with trio.move_on_after(HEADER_TIME) as waiting:  # noqa: ASYNC912  as above
            try:
                while reader.header is None:
                    # Looked at first, then taken: what follows the header stays where it is.
                    seen = await sock.recv(PEEK, socket.MSG_PEEK)
                    if not seen:
                        reader.receive_eof()
                        return None
                    reader.receive_data(seen)
                    await sock.recv(len(seen) - len(reader.rest))
            except MalformedHeader as error:
                self._journal.proxy_refused(peer.name, error.fault.name.lower(), error.seen)
                raise _NotLetIn from error
        if waiting.cancelled_caught:
            self._journal.proxy_refused(peer.name, "late", "")
            raise _NotLetIn
        header = reader.header
        if header is not None and _is_the_proxys_own(header, peer) and not self._speaks_first():
            with trio.move_on_after(HEADER_TIME):  # the proxy's own probe mostly just leaves
                if not await sock.recv(1, socket.MSG_PEEK):
                    return None
        return header

    def _speaks_first(self) -> bool:
        """Whether clients wait for us to begin."""
        return bool(self._settings.dialect.greeting) or self._settings.banner


class _NotLetIn(Exception):
    """They did not introduce themselves as they have to; the journal has been told."""


async def _nobody() -> None:
    """Serve a connection whose client is gone."""
    await trio.lowlevel.checkpoint()


def _is_the_proxys_own(header: Header, peer: Peer) -> bool:
    """Whether the proxy speaks for itself: LOCAL; in version 1, which lacks it, its own address.

    That is how haproxy 2.6 checks a server that has ``send-proxy``.
    """
    if header.command is Command.LOCAL:
        return True
    return isinstance(header.source, tuple) and format_address(header.source) == peer.name


def _client(header: Header) -> tuple[str, bool]:
    """The name of the client that a proxy speaks for, and whether it is on the proxy's machine."""
    source = header.source
    if isinstance(source, tuple):
        return format_address(source), is_loopback(source)
    return f"unix:{shown(source or b'')}", True


def _unix_name(sock: trio.socket.SocketType) -> str:
    """What a peer is called that has no address: its process and our descriptor (unix(7))."""
    process = ""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        process = str(struct.unpack("3i", credentials)[0])
    return f"unix:{process}/{sock.fileno()}"
