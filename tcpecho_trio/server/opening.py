"""Addresses, free ports and sockets of TCP endpoints: what has to be known before one listens.

A host stands for several addresses, some of which this machine may not have; port 0 stands for one
port that is free on all of them.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from tcpecho_trio.server.endpoints import Endpoint

T = TypeVar("T")

PORT_ATTEMPTS = 16
"""How often a free port is looked for: another program may take it before we listen on it
again, or it may be taken on only one of the host's addresses."""

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  only where the user asks for it
"""All addresses of this machine, each family on a socket of its own: Linux lets one IPv6 socket
take IPv4 clients, too, but other systems do not, and Trio never does."""

# An address that getaddrinfo(3) knows and this machine does not have: ``::1`` in /etc/hosts
# where IPv6 is switched off, as containers like it.
ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

Open = Callable[[str], Awaitable[trio.SocketListener]]
"""Listens at one address, on a port that it knows."""


async def with_port(endpoint: Endpoint, use: Callable[[list[str], int], Awaitable[T]]) -> T:
    """Do something with the addresses of a TCP endpoint and its port.

    Where any port will do, one that is free is looked for, and another one if it is taken before
    we have it.

    Raises:
      OSError: from getaddrinfo(3), or what `use` raises.
      UnicodeError: the host is no name at all.
    """
    for attempts_left in reversed(range(PORT_ATTEMPTS)):
        addresses = await addresses_of(endpoint.host, endpoint.port)
        try:
            port = endpoint.port or await free_port(addresses)
            return await use(addresses, port)
        except OSError as error:
            if endpoint.port or error.errno != errno.EADDRINUSE or not attempts_left:
                raise
    raise AssertionError("the last attempt returns or raises")


async def open_each(addresses: list[str], open_one: Open) -> list[trio.SocketListener]:
    """Listen on every address that this machine has.

    Raises:
      OSError: none of the addresses is here, or one of them could not be opened; those that were
        opened before are for the caller to close.
    """
    listeners: list[trio.SocketListener] = []
    absent: OSError | None = None
    for address in addresses:
        try:
            listeners.append(await open_one(address))
        except OSError as error:
            if error.errno not in ABSENT:
                raise
            absent = error
    if not listeners and absent is not None:
        raise absent
    return listeners


async def addresses_of(host: str, port: int) -> list[str]:
    """The addresses that a host stands for, each once. ``*`` and ``::`` stand for all there are.

    Raises:
      OSError: from getaddrinfo(3).
      UnicodeError: the host is no name at all.
    """
    if host in ("*", "::"):
        return list(EVERYWHERE)
    found = await trio.socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def free_port(addresses: list[str]) -> int:
    """A port that is free right now on the first of the addresses that there is."""
    for left, address in reversed(list(enumerate(reversed(addresses)))):
        try:
            (listener,) = await trio.open_tcp_listeners(0, host=address)
        except OSError as error:
            if error.errno not in ABSENT or not left:
                raise
        else:
            async with listener:
                port: int = listener.socket.getsockname()[1]
                return port
    raise AssertionError("the last address returns or raises")
