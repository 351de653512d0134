"""The layout of a version 2 header (§2.2), which the reader and the encoder share."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from tcpecho_trio.proxy_protocol.checksum import crc32c
from tcpecho_trio.proxy_protocol.header import Endpoint, written
from tcpecho_trio.proxy_protocol.tlvs import CHECKSUM_SIZE

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

FIXED = struct.Struct(">12sBBH")
"""Signature, version and command, family and transport, the length of the block behind."""

MAX_BLOCK = 4096
"""Bytes of addresses and TLVs. The field allows 65 535, §2 wants all in one segment of 536;
a Unix address, a certificate's name, a host's and an ID together stay under 1 KiB."""

UNIX_PATH = 108
"""Bytes of a Unix socket's path: ``sun_path`` in unix(7)."""

INET, INET6, UNIX = 1, 2, 3
"""The families: the upper half of the 14th byte."""

ADDRESSES = {
    INET: struct.Struct(">4s4sHH"),
    INET6: struct.Struct(">16s16sHH"),
    UNIX: struct.Struct(f">{UNIX_PATH}s{UNIX_PATH}s"),
}
"""Source and destination, and then their ports, of each family."""


def unpack_addresses(family: int, block: bytes) -> tuple[Endpoint, Endpoint]:
    """Source and destination."""
    fields = ADDRESSES[family].unpack(block)
    if family == UNIX:
        return _path(fields[0]), _path(fields[1])
    source, destination, source_port, destination_port = fields
    return (
        (written(ip_address(source)), source_port),
        (written(ip_address(destination)), destination_port),
    )


def pack_addresses(family: int, source: Any, destination: Any) -> bytes:
    """The block of addresses.

    Raises:
      ValueError: they are none of this family.
    """
    if family == UNIX:
        if max(len(source), len(destination)) > UNIX_PATH:
            raise ValueError(f"a Unix socket's path is over {UNIX_PATH} bytes")
        return ADDRESSES[family].pack(source, destination)
    ip = IPv4Address if family == INET else IPv6Address
    hosts = ip(source[0]).packed, ip(destination[0]).packed
    try:
        return ADDRESSES[family].pack(*hosts, source[1], destination[1])
    except struct.error as error:
        raise ValueError(f"a port is over 65535: {source[1]}, {destination[1]}") from error


def with_checksum(header: bytes, place: int) -> bytes:
    """The whole header with its CRC-32C at `place`, computed with zeros there (§2.2.3)."""
    before, behind = header[:place], header[place + CHECKSUM_SIZE :]
    checksum = crc32c(before + bytes(CHECKSUM_SIZE) + behind)
    return before + checksum.to_bytes(CHECKSUM_SIZE, "big") + behind


def _path(field: bytes) -> bytes:
    """A path without its padding; it ends at a NUL, unless it begins with one."""
    return field.rstrip(b"\0") if field[:1] == b"\0" else field.partition(b"\0")[0]
