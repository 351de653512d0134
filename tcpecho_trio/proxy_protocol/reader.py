"""From bytes, as the network cut them, to a header.

========== =============================== ==============================
state      data                            eof
========== =============================== ==============================
READING    complete → COMPLETE, the header nothing has come: not a fault,
           is returned; certainly wrong    a probe that connects and leaves
           → FAILED, raised                otherwise → FAILED, raised
COMPLETE   goes to ``rest``                nothing
FAILED     raised again                    raised again
========== =============================== ==============================

It is as strict as §2.1 and §5 ask, for a header is believed: whatever "does not exactly
match the protocol" is :class:`MalformedHeader`, as soon as that is certain. Nothing is looked
at twice, so a header that comes a byte at a time costs no more than one that comes whole.
Where the specification leaves a choice:

- LOCAL (§2.2): valid whatever its family byte says; its block is skipped unread.
- PROXY with an UNSPEC family or transport (§2.2): accepted without addresses, the block is
  skipped unread, because it is unknown where addresses would end. So is v1's UNKNOWN (§2.1).
- A family over 3, a transport over 2 or a command over 1 "must be rejected" (§2.2).
- An IPv6 address may end in dotted form (``::ffff:192.0.2.1``, RFC 4291 §2.2), which §2.1
  does not mention: it is what inet_ntop(3), and so haproxy, writes on a dual-stack socket.
- Two checksums are malformed: §2.2.3 computes "the" checksum with "the" field zeroed.
- A line of version 1 with an address of the other family is malformed ("proxy TCP4" means IPv4
  addresses, §2.1), unless `mixed_families` is asked for: nginx writes such lines when its realip
  module has taken the client's address from another header, or its listener is of another family
  than the client (https://github.com/nginx/nginx/issues/1609). They are then read as nginx's
  version 2 writes them, and as go-proxyproto reads them: as IPv6, with IPv4 addresses mapped into
  it (``::ffff:192.0.2.1``).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Generator
from ipaddress import IPv4Address, IPv6Address, ip_address

from tcpecho_trio.display import shown
from tcpecho_trio.proxy_protocol.header import Command, Header, Transport, written
from tcpecho_trio.proxy_protocol.tlvs import HEAD, Tlv, TlvType
from tcpecho_trio.proxy_protocol.wire import (
    ADDRESSES,
    FIXED,
    MAX_BLOCK,
    SIGNATURE,
    unpack_addresses,
    with_checksum,
)

PREFIX = b"PROXY "
"""How a header of version 1 begins (§2.1)."""

MAX_LINE = 107
"""Bytes of a version 1 header with its CRLF (§2.1: the worst case)."""

PROTOCOLS = (b"TCP4 ", b"TCP6 ", b"UNKNOWN ", b"UNKNOWN\r\n")
"""What may follow the prefix (§2.1)."""

LINE = re.compile(
    rb"PROXY TCP[46] ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n"
)
"""A version 1 header that names addresses; those are left for :mod:`ipaddress` to judge."""


class Fault(enum.Enum):
    """Why a header is malformed: a name for programs, a phrase for people."""

    NOT_PROXY = "it begins like no PROXY header"
    CUT = "the connection ended inside it"
    BAD_PROTOCOL = "after PROXY comes none of TCP4, TCP6 and UNKNOWN"
    NO_CRLF = "no CRLF within 107 bytes"
    BARE_LF = "its line ends in LF, not in CRLF"
    BAD_LINE = "its line is not two addresses and two ports, one space apart"
    BAD_ADDRESS = "an address is not one of its family"
    BAD_PORT = "a port is over 65535"
    BAD_VERSION = "its version is not 2"
    BAD_COMMAND = "its command is neither LOCAL nor PROXY"
    BAD_FAMILY = "its address family or transport is not assigned"
    TOO_LONG = "it announces more than 4096 bytes"
    TOO_SHORT = "its addresses are cut"
    TLV_OVERRUN = "a TLV runs over its end"
    BAD_TLV = "a TLV's value is not one of its type"
    BAD_CHECKSUM = "its checksum is wrong"


class MalformedHeader(ValueError):
    """What a peer sent is no PROXY header, and cannot become one: close the connection.

    Attributes:
      fault: which rule it breaks.
      seen: the bytes that it was found in, escaped.
      reason: one line for a log, escaped: the fault, and the bytes that it was found in.
    """

    def __init__(self, fault: Fault, seen: bytes) -> None:
        self.fault = fault
        self.seen = shown(seen)
        self.reason = f"{fault.value}: {self.seen}"
        super().__init__(self.reason)


Reading = Generator[int, None, tuple[Header, int]]
"""Yields how many bytes it wants to see before it goes on; returns the header and its end."""


class HeaderReader:
    """Reads the one header that a connection begins with; the module's docstring has the table.

    Args:
      mixed_families: take a line of version 1 too that names addresses of two families.

    Attributes:
      header: the header, once it is complete.
      rest: what came behind it, a second header included: the first bytes of the conversation.
    """

    __slots__ = ("_buffer", "_fault", "_mixed_families", "_reading", "_wanted", "header", "rest")

    def __init__(self, *, mixed_families: bool = False) -> None:
        self._mixed_families = mixed_families
        self.header: Header | None = None
        self.rest = b""
        self._buffer = bytearray()
        self._fault: MalformedHeader | None = None
        self._reading = self._read()
        self._wanted = 1

    def receive_data(self, data: bytes) -> Header | None:
        """Take a chunk; return the header if it is complete.

        Raises:
          MalformedHeader: what has come cannot become a header any more.
        """
        if self._fault is not None:
            raise self._fault
        if self.header is not None:
            self.rest += data
            return self.header
        self._buffer += data
        try:
            while self._wanted <= len(self._buffer):
                self._wanted = next(self._reading)
        except StopIteration as done:
            self.header, end = done.value
            self.rest = bytes(self._buffer[end:])
            self._buffer.clear()
        except MalformedHeader as fault:
            self._fault = fault
            raise
        return self.header

    def receive_eof(self) -> None:
        """The peer has closed its sending direction; if nothing had come, that is all right.

        Raises:
          MalformedHeader: the header is cut.
        """
        if self._fault is None and self._buffer:
            self._fault = self._malformed(Fault.CUT)
        if self._fault is not None:
            raise self._fault

    def _malformed(self, fault: Fault) -> MalformedHeader:
        """The error to raise, with the start of what has come."""
        return MalformedHeader(fault, bytes(self._buffer[:MAX_LINE]))

    def _read(self) -> Reading:
        """Read a header of either version."""
        start = yield from self._one_of((PREFIX, SIGNATURE), 0, Fault.NOT_PROXY)
        return (yield from self._read_v1() if start == PREFIX else self._read_v2())

    def _one_of(
        self, words: tuple[bytes, ...], start: int, fault: Fault
    ) -> Generator[int, None, bytes]:
        """Read the word at `start`; the first byte that is in none of them is the fault."""
        longest = max(map(len, words))
        while True:
            have = bytes(self._buffer[start : start + longest])
            for word in words:
                if have.startswith(word):
                    return word
            if not any(word.startswith(have) for word in words):
                raise self._malformed(fault)
            yield len(self._buffer) + 1

    def _read_v1(self) -> Reading:
        """Read protocol, source, destination and their ports, CRLF (§2.1)."""
        protocol = yield from self._one_of(PROTOCOLS, len(PREFIX), Fault.BAD_PROTOCOL)
        unknown = protocol.startswith(b"UNKNOWN")
        # An UNKNOWN line may hold anything but its end; in the others any LF is the end.
        ending = b"\r\n" if unknown else b"\n"
        searched = len(PREFIX)
        while (place := self._buffer.find(ending, searched, MAX_LINE)) < 0:
            if len(self._buffer) >= MAX_LINE:
                raise self._malformed(Fault.NO_CRLF)
            searched = len(self._buffer) - 1  # a CR there may be half of the CRLF
            yield len(self._buffer) + 1
        end = place + len(ending)
        if unknown:
            return Header(1, Command.PROXY, Transport.UNSPEC), end
        line = bytes(self._buffer[:end])
        if not line.endswith(b"\r\n"):
            raise self._malformed(Fault.BARE_LF)
        fields = LINE.fullmatch(line)
        if fields is None:
            raise self._malformed(Fault.BAD_LINE)
        host, their_host, port, their_port = (field.decode() for field in fields.groups())
        try:
            transport, hosts = self._hosts(protocol == b"TCP4 ", (host, their_host))
        except ValueError as error:
            raise self._malformed(Fault.BAD_ADDRESS) from error
        if max(int(port), int(their_port)) > 0xFFFF:
            raise self._malformed(Fault.BAD_PORT)
        source, destination = (hosts[0], int(port)), (hosts[1], int(their_port))
        return Header(1, Command.PROXY, transport, source, destination), end

    def _hosts(self, four: bool, said: tuple[str, str]) -> tuple[Transport, list[str]]:
        """What a line's addresses are, and of which family.

        Raises:
          ValueError: one is no address, or not of the family that it has to be.
        """
        if not self._mixed_families:
            family = IPv4Address if four else IPv6Address
            addresses: list[IPv4Address | IPv6Address] = [family(host) for host in said]
        else:
            addresses = [ip_address(host) for host in said]
            four = four and all(address.version == 4 for address in addresses)
        hosts = [written(address) for address in addresses]
        if four:
            return Transport.TCP4, hosts
        mapped = [f"::ffff:{host}" if ":" not in host else host for host in hosts]
        return Transport.TCP6, mapped

    def _read_v2(self) -> Reading:
        """Read the fixed part, the addresses, the TLVs (§2.2)."""
        buffer = self._buffer
        yield 13
        version, command = divmod(buffer[12], 16)
        if version != 2:
            raise self._malformed(Fault.BAD_VERSION)
        if command > Command.PROXY:
            raise self._malformed(Fault.BAD_COMMAND)
        yield 14
        family, kind = divmod(buffer[13], 16)
        if command == Command.PROXY and (family > 3 or kind > 2):
            raise self._malformed(Fault.BAD_FAMILY)
        yield FIXED.size
        length = FIXED.unpack_from(buffer)[-1]
        if length > MAX_BLOCK:
            raise self._malformed(Fault.TOO_LONG)
        end = FIXED.size + length
        if command == Command.LOCAL or family == 0 or kind == 0:
            yield end
            return Header(2, Command(command), Transport.UNSPEC), end
        place = FIXED.size + ADDRESSES[family].size
        if place > end:
            raise self._malformed(Fault.TOO_SHORT)
        yield place
        source, destination = unpack_addresses(family, bytes(buffer[FIXED.size : place]))
        tlvs = yield from self._read_tlvs(place, end)
        transport = Transport(buffer[13])
        return Header(2, Command.PROXY, transport, source, destination, tlvs), end

    def _read_tlvs(self, place: int, end: int) -> Generator[int, None, tuple[Tlv, ...]]:
        """Read type, length and value until the end, and check the checksum (§2.2.3)."""
        buffer = self._buffer
        tlvs: list[Tlv] = []
        checksum = 0  # where it is
        while place < end:
            value = place + HEAD.size
            if value > end:
                raise self._malformed(Fault.TLV_OVERRUN)
            yield value
            kind, size = HEAD.unpack_from(buffer, place)
            place = value + size
            if place > end:
                raise self._malformed(Fault.TLV_OVERRUN)
            yield place
            try:
                tlvs.append(Tlv(kind, bytes(buffer[value:place])))
            except ValueError as error:
                raise self._malformed(Fault.BAD_TLV) from error
            if kind == TlvType.CRC32C:
                if checksum:
                    raise self._malformed(Fault.BAD_TLV)
                checksum = value
        if checksum and with_checksum(bytes(buffer[:end]), checksum) != buffer[:end]:
            raise self._malformed(Fault.BAD_CHECKSUM)
        return tuple(tlvs)
