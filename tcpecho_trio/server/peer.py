"""The other end of an accepted socket: its address, and what it may do."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

import trio

from tcpecho_trio.addresses import format_address, is_loopback


class Peer(NamedTuple):
    """Whose socket it is; a tuple, because every connection makes one.

    Args:
      name: its address as it is written.
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

    def is_in(self, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
        """Whether it is in one of the networks, or on a Unix socket.

        An IPv4 peer on an IPv6 socket counts as the IPv4 peer that it is (RFC 4291 §2.5.5.2).
        """
        if not self.host:
            return True
        host = ip_address(self.host.partition("%")[0])
        if isinstance(host, IPv6Address) and host.ipv4_mapped is not None:
            host = host.ipv4_mapped
        return any(host in network for network in networks)


def _unix_name(sock: trio.socket.SocketType) -> str:
    """What a peer is called that has no address: its process and our descriptor (unix(7))."""
    process = ""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        process = str(struct.unpack("3i", credentials)[0])
    return f"unix:{process}/{sock.fileno()}"
