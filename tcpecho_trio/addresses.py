"""How socket addresses are written, on the wire and on screens alike.

``127.0.0.1:50742`` and ``[::1]:50742`` (RFC 3986 §3.2.2, RFC 5952 §6); an IPv4 peer on an
IPv6 socket (RFC 4291 §2.5.5.2) is written as the IPv4 peer it is.
"""

from __future__ import annotations

from typing import Any

Address = tuple[Any, ...]
"""What ``socket.getpeername()`` returns for IPv4 and IPv6: host, port, and for IPv6 more."""


def format_address(address: Address) -> str:
    """``host:port``, with brackets around an IPv6 host."""
    host, port = str(address[0]), address[1]
    if host.startswith("::ffff:") and ":" not in (mapped := host.removeprefix("::ffff:")):
        host = mapped
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: Address) -> bool:
    """Whether the peer is this very machine (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).

    The kernel writes addresses in one way only, so their text can be compared.
    """
    host = str(address[0]).removeprefix("::ffff:")
    return host == "::1" or host.startswith("127.")
