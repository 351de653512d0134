"""From a header to its bytes."""

from __future__ import annotations

from typing import Any

from tcpecho_trio.proxy_protocol.header import Header, Transport
from tcpecho_trio.proxy_protocol.tlvs import CHECKSUM_SIZE, TlvType
from tcpecho_trio.proxy_protocol.wire import (
    FIXED,
    MAX_BLOCK,
    SIGNATURE,
    pack_addresses,
    with_checksum,
)


def encode_v1(source: Any, destination: Any) -> bytes:
    """The header of version 1 for a TCP connection, whose addresses getpeername(2) told (§2.1).

    What is not a pair of one IP family is UNKNOWN.

    Raises:
      ValueError: a port is over 65535.
    """
    header = Header.relaying(source, destination)
    if not (isinstance(header.source, tuple) and isinstance(header.destination, tuple)):
        return b"PROXY UNKNOWN\r\n"
    (host, port), (their_host, their_port) = header.source, header.destination
    if not (0 <= port <= 0xFFFF and 0 <= their_port <= 0xFFFF):
        raise ValueError(f"a port is over 65535: {port}, {their_port}")
    return f"PROXY {header.transport.name} {host} {their_host} {port} {their_port}\r\n".encode()


def encode_v2(header: Header) -> bytes:
    """The header of version 2 (§2.2). The value of a CRC32C among its TLVs is computed.

    What the reader has read comes out as the same bytes, but for those that it skips.

    Raises:
      ValueError: an address is none of its transport, or all is longer than the reader takes.
    """
    block = b""
    if header.transport is not Transport.UNSPEC:
        block = pack_addresses(header.transport >> 4, header.source, header.destination)
    checksum = 0  # where it is
    for tlv in header.tlvs:
        block += tlv.encoded()
        if tlv.type == TlvType.CRC32C:
            checksum = FIXED.size + len(block) - CHECKSUM_SIZE
    if len(block) > MAX_BLOCK:
        raise ValueError(f"a PROXY header with {len(block)} bytes of data: over {MAX_BLOCK}")
    fixed = FIXED.pack(SIGNATURE, 2 << 4 | header.command, header.transport, len(block))
    return with_checksum(fixed + block, checksum) if checksum else fixed + block
