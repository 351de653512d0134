"""What a PROXY protocol v2 header says beyond addresses: type, length, value (§2.2.1 to 2.2.8).

A :class:`Tlv` keeps the bytes as they came, of known and unknown types alike, so a header
can be passed on unchanged; :meth:`Tlv.described` puts them into words.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HEAD = struct.Struct(">BH")
"""Type and length of a TLV, in front of its value."""

SSL_HEAD = struct.Struct(">BI")
"""What the client presented, and the result of verifying it, in front of SSL's own TLVs."""

MAX_UNIQUE_ID = 128
"""Bytes of a unique ID (§2.2.5)."""

CHECKSUM_SIZE = 4
"""Bytes of a CRC-32C (§2.2.3: a 32-bit number)."""


class TlvType(enum.IntEnum):
    """The types with a meaning: §2.2, and three clouds' from the range for applications."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    NETNS = 0x30
    GCP = 0xE0
    AWS = 0xEA
    AZURE = 0xEE


class SslType(enum.IntEnum):
    """The types inside an SSL TLV (§2.2.6); the last three came after haproxy 3.0's text.

    GROUP is the key exchange's ("X25519MLKEM768"), SIG_SCHEME that of the handshake's signature
    ("rsa_pss_rsae_sha256"), CLIENT_CERT the client's certificate in DER.
    """

    VERSION = 0x21
    CN = 0x22
    CIPHER = 0x23
    SIG_ALG = 0x24
    KEY_ALG = 0x25
    GROUP = 0x26
    SIG_SCHEME = 0x27
    CLIENT_CERT = 0x28


class SslClient(enum.IntEnum):
    """What the client presented, a bit each (§2.2.6): TLS, a certificate now, one before."""

    SSL = 0x01
    CERT_CONN = 0x02
    CERT_SESS = 0x04


@dataclass(frozen=True, slots=True)
class Tlv:
    """One type (0 to 255) and its value (at most 65 535 bytes).

    Raises:
      ValueError: a value that its type does not allow.
    """

    type: int
    value: bytes

    def __post_init__(self) -> None:
        if not (0 <= self.type <= 0xFF and len(self.value) <= 0xFFFF):
            raise ValueError("a TLV does not fit into its type and length")
        if self.type == TlvType.CRC32C and len(self.value) != CHECKSUM_SIZE:
            raise ValueError("a checksum is not of 4 bytes")
        if self.type == TlvType.UNIQUE_ID and len(self.value) > MAX_UNIQUE_ID:
            raise ValueError("a unique ID is over 128 bytes")
        if self.type == TlvType.SSL:
            if len(self.value) < SSL_HEAD.size:
                raise ValueError("an SSL TLV is too short")
            for _ in split(self.value, SSL_HEAD.size):
                pass

    def encoded(self) -> bytes:
        """Type, length and value, as they go on the wire."""
        return HEAD.pack(self.type, len(self.value)) + self.value

    def described(self) -> dict[str, Any]:
        """The type in words (an unknown one as ``0xe5``) and the value, ready for JSON.

        ``ssl`` has its fields instead of a value, and so have the clouds' when they are of
        the shape that their maker documents.
        """
        match self.type, self.value:
            case TlvType.CRC32C, value:
                return {"type": "crc32c", "value": value.hex()}
            case TlvType.SSL, value:
                return {"type": "ssl", **_ssl(value)}
            # Network Load Balancer, VPC endpoint services: 1, then the endpoint's ID in ASCII.
            case TlvType.AWS, value if value[:1] == b"\x01" and value[1:].isascii():
                return {"type": "aws", "vpce_id": value[1:].decode()}
            # Private Link service: 1, then a number with its least significant byte first.
            case TlvType.AZURE, value if value[:1] == b"\x01" and len(value) == 5:
                return {"type": "azure", "link_id": int.from_bytes(value[1:], "little")}
            # Private Service Connect: 64 bits in network order. Google writes it as a string,
            # too, for JSON's numbers are exact up to 53 bits only.
            case TlvType.GCP, value if len(value) == 8:
                return {"type": "gcp", "psc_connection_id": str(int.from_bytes(value, "big"))}
        return {"type": _name(TlvType, self.type), "value": text_or_hex(self.value)}


def split(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Each type and value of the TLVs that fill ``data[start:]``.

    Raises:
      ValueError: the last one is cut.
    """
    while start < len(data):
        if start + HEAD.size > len(data):
            raise ValueError("a TLV is cut")
        kind, length = HEAD.unpack_from(data, start)
        start += HEAD.size
        if start + length > len(data):
            raise ValueError("a TLV runs over the end")
        yield kind, data[start : start + length]
        start += length


def text_or_hex(data: bytes) -> str | dict[str, str]:
    """The text that UTF-8 bytes are; others as ``{"hex": …}``, so that nothing is lost."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}


def _name(types: type[enum.IntEnum], number: int) -> str:
    """A type in words, or its number."""
    return types(number).name.lower() if number in list(types) else f"{number:#04x}"


def _ssl(value: bytes) -> dict[str, Any]:
    """The fields of an SSL TLV.

    ``verified`` asks for a certificate, too: where there was none, haproxy's ``verify`` is 0
    all the same, which by the letter of §2.2.6 would be one that was verified.
    """
    client, verify = SSL_HEAD.unpack_from(value)
    certificate = client & (SslClient.CERT_CONN | SslClient.CERT_SESS)
    return {
        "client": [_name(SslClient, bit) for n in range(8) if (bit := client & 1 << n)],
        "verify": verify,
        "verified": bool(certificate and verify == 0),
        "tlvs": [
            {"type": _name(SslType, kind), "value": _ssl_value(kind, data)}
            for kind, data in split(value, SSL_HEAD.size)
        ],
    }


def _ssl_value(kind: int, data: bytes) -> str | dict[str, str]:
    """A value inside an SSL TLV: text, but for the certificate, whatever its bytes are."""
    return {"hex": data.hex()} if kind == SslType.CLIENT_CERT else text_or_hex(data)
