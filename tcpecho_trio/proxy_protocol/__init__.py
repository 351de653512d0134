r"""The PROXY protocol, versions 1 and 2, sans-I/O: no trio, no sockets, no clock.

A load balancer or proxy that relays a connection puts a header in front of the client's
bytes, and says in it whose they are. Section numbers all over this package are those of the
specification, https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt::

    reader = HeaderReader()
    header = reader.receive_data(chunk)  # None until it is complete; MalformedHeader
    header.source, reader.rest           # ("192.0.2.1", 56324), b"hola\n"

    encode_v1(("192.0.2.1", 56324), ("192.0.2.9", 5000))
    encode_v2(Header.relaying(("192.0.2.1", 56324), ("192.0.2.9", 5000)))

======== =====================================================================
header   what a header says, and how a journal tells it
tlvs     what it says beyond addresses: type, length, value
reader   bytes → header, strictly
encoder  header → bytes
wire     the layout of version 2, which both know
checksum CRC-32C
======== =====================================================================
"""

from __future__ import annotations

from tcpecho_trio.proxy_protocol.encoder import encode_v1, encode_v2
from tcpecho_trio.proxy_protocol.header import Command, Endpoint, Header, Transport
from tcpecho_trio.proxy_protocol.reader import Fault, HeaderReader, MalformedHeader
from tcpecho_trio.proxy_protocol.tlvs import SslClient, SslType, Tlv, TlvType

__all__ = [
    "Command",
    "Endpoint",
    "Fault",
    "Header",
    "HeaderReader",
    "MalformedHeader",
    "SslClient",
    "SslType",
    "Tlv",
    "TlvType",
    "Transport",
    "encode_v1",
    "encode_v2",
]
