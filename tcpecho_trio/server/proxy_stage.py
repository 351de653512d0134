"""The stage of the admission that takes a PROXY header from the front of a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network

import trio

from tcpecho_trio.addresses import format_address, is_loopback
from tcpecho_trio.display import shown
from tcpecho_trio.proxy_protocol import Command, Header, HeaderReader, MalformedHeader
from tcpecho_trio.server.accepted import AcceptedConnection, Outcome, Rejection
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.events import ConnectionProbed, ProxyHeaderRefused
from tcpecho_trio.server.peer import Peer

HEADER_TIME = 5.0
"""Seconds for a PROXY header to come. The proxy sends it at once, with the connection (the
specification's §2 asks for at least 3)."""

PEEK = 4096 + 16
"""Bytes looked at for a PROXY header: more than the longest one."""


@dataclass(frozen=True, slots=True)
class ProxyHeaderStage:
    """Demands a PROXY header, and believes it where its sender is trusted.

    Args:
      trusted: from whom a header is believed. A peer on a Unix socket always is.
      speaks_first: whether clients wait for us to begin: then a probe hears that, too.
      mixed_families: whether a header of version 1 may name addresses of two families.
    """

    trusted: Iterable[IPv4Network | IPv6Network]
    speaks_first: bool
    mixed_families: bool

    async def __call__(self, accepted: AcceptedConnection) -> Outcome:
        """Read the header; from then on the client is who it says."""
        if not accepted.peer.is_in(self.trusted):
            return _refused(accepted, "untrusted")
        header = await self._read(accepted)
        if header is None:
            return Rejection(CloseReason.PROBE, ConnectionProbed(accepted.info))
        if isinstance(header, Rejection):
            return header
        client, trusted, host = accepted.info.client, accepted.trusted, accepted.host
        if header.source is not None:
            client, on_its_machine = _client(header)
            trusted = trusted and on_its_machine  # the proxy's loopback may not be ours
            host = str(header.source[0]) if isinstance(header.source, tuple) else ""
        elif header.command is Command.PROXY:
            trusted, host = False, ""  # the proxy does not know whom it speaks for
        info = accepted.info._replace(client=client, header=header)
        return replace(accepted, info=info, trusted=trusted, host=host)

    async def _read(self, accepted: AcceptedConnection) -> Header | Rejection | None:
        """The header; None if they left without a word."""
        sock = accepted.socket.socket
        reader = HeaderReader(mixed_families=self.mixed_families)
        with trio.move_on_after(HEADER_TIME):  # noqa: ASYNC912  what waits is cancelled
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
                return _refused(accepted, error.fault.name.lower(), error.seen)
        header = reader.header
        if header is None:
            return _refused(accepted, "late")
        if _is_the_proxys_own(header, accepted.peer) and not self.speaks_first:
            with trio.move_on_after(HEADER_TIME):  # the proxy's own probe mostly just leaves
                if not await sock.recv(1, socket.MSG_PEEK):
                    return None
        return header


def _refused(accepted: AcceptedConnection, fault: str, seen: str = "") -> Rejection:
    event = ProxyHeaderRefused(accepted.info, fault, seen)
    return Rejection(CloseReason.PROXY_HEADER, event)


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
