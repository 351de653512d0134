"""What is known of a connection before its first message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tcpecho_trio.proxy_protocol import Header


class ConnectionInfo(NamedTuple):
    """Who is connected, and by which way. Events, reports and logs share this object.

    A tuple, because every connection makes one.

    Args:
      number: which connection it is since the server started, from 1, in the order of arrival.
      client: the client's address as it is written: what a trusted proxy said, else the peer.
      peer: the address of the socket's other end.
      listener: the endpoint at which it was accepted, as it is written.
      header: the PROXY header; None without one.
      tls: what TLS agreed on (``version``, ``cipher``, ``sni``, ``alpn``, ``client``); None
        without TLS.
      faults: the faults that this connection is made to suffer, as they are written.
    """

    number: int
    client: str
    peer: str
    listener: str
    header: Header | None = None
    tls: Mapping[str, Any] | None = None
    faults: tuple[str, ...] = ()
