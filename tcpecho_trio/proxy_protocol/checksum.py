"""CRC-32C, the checksum that the PROXY protocol shares with SCTP and iSCSI (RFC 9260, App. A).

The Castagnoli polynomial, reflected, one byte a step by a table of 256. It is computed once a
connection, over a few hundred bytes. A compiled extension would save nothing that shows.
"""

from __future__ import annotations

POLYNOMIAL = 0x82F63B78
"""0x1EDC6F41 with its bits in reverse: the least significant bit is the first on the wire."""


def _entry(byte: int) -> int:
    """What one byte does to the register: eight steps of the shift register, at once."""
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


TABLE = tuple(map(_entry, range(256)))


def crc32c(data: bytes) -> int:
    """The checksum of `data`, as a number of 32 bits."""
    register = 0xFFFFFFFF
    for byte in data:
        register = register >> 8 ^ TABLE[(register ^ byte) & 0xFF]
    return register ^ 0xFFFFFFFF
