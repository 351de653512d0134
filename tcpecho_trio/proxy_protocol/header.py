"""What a PROXY header says: whose connection this is, from where and to where."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeAlias

from tcpecho_trio.addresses import format_address
from tcpecho_trio.proxy_protocol.tlvs import Tlv, TlvType, text_or_hex

Endpoint: TypeAlias = tuple[str, int] | bytes
"""Host and port, written as getpeername(2) would; or the path of a Unix socket, whose first
byte is NUL for a name without a file (unix(7))."""


class Command(enum.IntEnum):
    """Whose connection it is: the proxy's own (a health check), or a client's (§2.2)."""

    LOCAL = 0
    PROXY = 1


class Transport(enum.IntEnum):
    """What the client's connection is made of, numbered as in the 14th byte (§2.2)."""

    UNSPEC = 0x00
    TCP4 = 0x11
    UDP4 = 0x12
    TCP6 = 0x21
    UDP6 = 0x22
    UNIX_STREAM = 0x31
    UNIX_DGRAM = 0x32


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    ``source`` and ``destination`` are None where the connection's own addresses hold: LOCAL,
    and PROXY with an UNSPEC transport (version 1's UNKNOWN). Then there are no TLVs either.

    Raises:
      ValueError: fields that do not go together.
    """

    version: int
    command: Command
    transport: Transport
    source: Endpoint | None = None
    destination: Endpoint | None = None
    tlvs: tuple[Tlv, ...] = ()

    def __post_init__(self) -> None:
        ends = (self.source, self.destination)
        if self.transport is Transport.UNSPEC:
            coherent = ends == (None, None) and not self.tlvs
        else:
            kind = bytes if self.transport >= Transport.UNIX_STREAM else tuple
            coherent = self.command is Command.PROXY and all(isinstance(e, kind) for e in ends)
        if self.version == 1:
            tcp = (Transport.UNSPEC, Transport.TCP4, Transport.TCP6)
            coherent &= self.command is Command.PROXY and self.transport in tcp and not self.tlvs
        if not coherent:
            raise ValueError(f"the fields of a PROXY header do not go together: {self}")

    @classmethod
    def relaying(cls, source: Any, destination: Any, tlvs: tuple[Tlv, ...] = ()) -> Header:
        """The header (version 2) of a TCP connection whose addresses getpeername(2) told.

        What is not a pair of one IP family (Unix sockets, say) is LOCAL, without TLVs, as
        haproxy has it: a receiver is free to refuse PROXY without addresses (§2.2).
        """
        try:
            hosts = tuple(ip_address(end[0]) for end in (source, destination))
        except (ValueError, TypeError, IndexError):
            hosts = ()
        match hosts:
            case IPv4Address(), IPv4Address():
                transport = Transport.TCP4
            case IPv6Address(), IPv6Address():
                transport = Transport.TCP6
            case _:
                return cls(2, Command.LOCAL, Transport.UNSPEC)
        source = (written(hosts[0]), source[1])
        destination = (written(hosts[1]), destination[1])
        return cls(2, Command.PROXY, transport, source, destination, tlvs)

    def described(self) -> dict[str, Any]:
        """The header for a journal, ready for JSON; nothing but padding (NOOP) is left out."""
        return {
            "version": self.version,
            "command": self.command.name.lower(),
            "transport": self.transport.name.lower(),
            "source": _described(self.source),
            "destination": _described(self.destination),
            "tlvs": [tlv.described() for tlv in self.tlvs if tlv.type != TlvType.NOOP],
        }


def written(host: IPv4Address | IPv6Address) -> str:
    """An address as the kernel writes it: no scope; IPv4 inside IPv6 dotted on every Python."""
    if isinstance(host, IPv4Address):
        return str(host)
    return f"::ffff:{host.ipv4_mapped}" if host.ipv4_mapped else str(IPv6Address(host.packed))


def _described(end: Endpoint | None) -> Any:
    """An address as people write it."""
    if end is None:
        return None
    return format_address(end) if isinstance(end, tuple) else text_or_hex(end)
