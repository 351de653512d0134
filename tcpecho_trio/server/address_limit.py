"""The stage of the admission that limits how many clients come from one address."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

from tcpecho_trio.server.accepted import AcceptedConnection, Outcome, Rejection
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.events import ConnectionRefused
from tcpecho_trio.server.registry import Registry

SITE_PREFIX = 64
"""Bits of an IPv6 address that name a site; the rest its hosts choose themselves (RFC 4291
§2.5.1), as many as they like."""


@dataclass(frozen=True, slots=True)
class AddressLimit:
    """Refuses a client when too many are there from its address already.

    Args:
      registry: counts them.
      most: clients at a time.
      reply: what a refused client is told.
    """

    registry: Registry
    most: int
    reply: bytes

    async def __call__(self, accepted: AcceptedConnection) -> Outcome:
        """Count the client, or refuse it. A client without an address is not limited."""
        if not accepted.host or self.registry.take_address(
            accepted.info.number, counted_as(accepted.host), self.most
        ):
            return accepted
        event = ConnectionRefused(accepted.info, CloseReason.ADDRESS_LIMIT)
        return Rejection(CloseReason.ADDRESS_LIMIT, event, self.reply, linger=True)


def counted_as(host: str) -> str:
    """The address, or the site, that a host counts for."""
    address = ip_address(host.partition("%")[0])
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, SITE_PREFIX), strict=False))
