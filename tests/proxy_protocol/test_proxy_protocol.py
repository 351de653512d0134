"""PROXY headers by example: what haproxy sends, every rule, and the earliest moment to say no."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from tcpecho_trio.proxy_protocol import (
    Command,
    Fault,
    Header,
    HeaderReader,
    MalformedHeader,
    SslClient,
    SslType,
    Tlv,
    TlvType,
    Transport,
    encode_v1,
    encode_v2,
)
from tcpecho_trio.proxy_protocol.checksum import crc32c
from tcpecho_trio.proxy_protocol.tlvs import split
from tcpecho_trio.proxy_protocol.wire import MAX_BLOCK, SIGNATURE
from tests.support import proxy_captures

LOCAL, PROXY = Command.LOCAL, Command.PROXY
CHECKSUM = Tlv(TlvType.CRC32C, bytes(4))

# 192.0.2.1:56324 → 192.0.2.9:5000, over TCP, in version 2.
CLIENT, SERVER = ("192.0.2.1", 56324), ("192.0.2.9", 5000)
ADDRESSES = b"\xc0\x00\x02\x01\xc0\x00\x02\x09\xdc\x04\x13\x88"
RELAYED = Header(2, PROXY, Transport.TCP4, CLIENT, SERVER)


def v2(command: int, transport: int, block: bytes, length: int | None = None) -> bytes:
    size = len(block) if length is None else length
    return SIGNATURE + bytes([command, transport]) + size.to_bytes(2, "big") + block


def read(data: bytes) -> tuple[Header | None, bytes]:
    reader = HeaderReader()
    return reader.receive_data(data), reader.rest


# What haproxy sends.

LOOPBACK = "127.0.0.1"
MAPPED = "::ffff:127.0.0.1"
HAPROXY = {
    "V1_TCP4": Header(1, PROXY, Transport.TCP4, (LOOPBACK, 39014), (LOOPBACK, 47903)),
    "V1_TCP6": Header(1, PROXY, Transport.TCP6, ("::1", 58214), ("::1", 45979)),
    "V1_MAPPED": Header(1, PROXY, Transport.TCP6, (MAPPED, 60062), (MAPPED, 38837)),
    "V1_UNIX": Header(1, PROXY, Transport.UNSPEC),
    "V1_CHECK": Header(1, PROXY, Transport.TCP4, (LOOPBACK, 41474), (LOOPBACK, 38295)),
    "V2_TCP4": Header(2, PROXY, Transport.TCP4, (LOOPBACK, 34060), (LOOPBACK, 53421)),
    "V2_TCP6": Header(2, PROXY, Transport.TCP6, ("::1", 45828), ("::1", 38361)),
    "V2_MAPPED": Header(2, PROXY, Transport.TCP6, (MAPPED, 58146), (MAPPED, 43993)),
    "V2_UNIX": Header(2, LOCAL, Transport.UNSPEC),
    "V2_CHECK": Header(2, LOCAL, Transport.UNSPEC),
}


@pytest.mark.parametrize("name", HAPROXY)
def test_what_haproxy_sends_is_read_and_written_to_the_byte(name: str) -> None:
    captured = getattr(proxy_captures, name)
    rest = b"" if name.endswith("CHECK") else b"hola\n"
    header, expected = read(captured)[0], HAPROXY[name]
    assert read(captured) == (expected, rest)
    if expected.version == 1:
        assert encode_v1(expected.source, expected.destination) + rest == captured
    else:
        assert header is not None
        assert encode_v2(header) + rest == captured


@pytest.mark.parametrize("name", ["V2_CERTIFICATE", "V2_NO_CERTIFICATE"])
def test_haproxys_options_are_told_and_written_again_to_the_byte(name: str) -> None:
    captured = getattr(proxy_captures, name)
    header, rest = read(captured)
    assert header is not None
    assert rest == b"hola\n"
    assert encode_v2(header) + rest == captured
    certificate = name == "V2_CERTIFICATE"
    told = header.described()
    assert told == json.loads(json.dumps(told))
    assert told["tlvs"] == [
        {"type": "crc32c", "value": "f1b00c5a" if certificate else "9bb7956c"},
        {"type": "alpn", "value": "h2"},
        {"type": "authority", "value": "front.example.org"},
        {
            "type": "unique_id",
            "value": "7a340933-1d81-43f9-8af5-92411f2bd7c2"
            if certificate
            else "d20500b9-3803-4fe5-bdc2-eae3fea8e0a4",
        },
        {
            "type": "ssl",
            "client": ["ssl", "cert_conn", "cert_sess"] if certificate else ["ssl"],
            "verify": 0,
            "verified": certificate,  # haproxy's 0 alone would say it of both
            "tlvs": [
                {"type": "version", "value": "TLSv1.3"},
                *([{"type": "cn", "value": "Ñandú client"}] if certificate else []),
                {"type": "key_alg", "value": "EC256"},
                {"type": "sig_alg", "value": "ecdsa-with-SHA256"},
                {"type": "cipher", "value": "TLS_AES_256_GCM_SHA384"},
            ],
        },
    ]


def test_what_newer_versions_say_of_tls_has_names() -> None:
    certificate = b"\x30\x03\x02\x01\x07"  # which is text, too, and shall not be taken for it
    inside = b"".join(
        Tlv(kind, value).encoded()
        for kind, value in (
            (SslType.GROUP, b"X25519MLKEM768"),
            (SslType.SIG_SCHEME, b"rsa_pss_rsae_sha256"),
            (SslType.CLIENT_CERT, certificate),
            (0x29, b"later"),
        )
    )
    assert Tlv(TlvType.SSL, b"\x01\0\0\0\0" + inside).described()["tlvs"] == [
        {"type": "group", "value": "X25519MLKEM768"},
        {"type": "sig_scheme", "value": "rsa_pss_rsae_sha256"},
        {"type": "client_cert", "value": {"hex": "3003020107"}},
        {"type": "0x29", "value": "later"},
    ]


# What is no header. Each example is as short as it can be: its last byte is the first one
# after which no header can come of it any more.

LONG = b"PROXY TCP6 " + b"f" * 200
LONG_UNKNOWN = b"PROXY UNKNOWN " + b"\n" * 200
V2 = SIGNATURE + b"\x21\x11"

MALFORMED: dict[str, tuple[bytes, Fault]] = {
    "text": (b"h", Fault.NOT_PROXY),
    "TLS": (b"\x16", Fault.NOT_PROXY),
    "HTTP": (b"PO", Fault.NOT_PROXY),
    "lower case": (b"p", Fault.NOT_PROXY),
    "another space": (b"PROXY\t", Fault.NOT_PROXY),
    "an empty line": (b"\r\n\n", Fault.NOT_PROXY),
    "a signature with one byte wrong": (SIGNATURE[:11] + b"\r", Fault.NOT_PROXY),
    "two spaces before the protocol": (b"PROXY  ", Fault.BAD_PROTOCOL),
    "UDP": (b"PROXY U" + b"D", Fault.BAD_PROTOCOL),
    "TCP5": (b"PROXY TCP5", Fault.BAD_PROTOCOL),
    "a protocol in lower case": (b"PROXY t", Fault.BAD_PROTOCOL),
    "a longer word than UNKNOWN": (b"PROXY UNKNOWNS", Fault.BAD_PROTOCOL),
    "UNKNOWN and LF": (b"PROXY UNKNOWN\n", Fault.BAD_PROTOCOL),
    "UNKNOWN and a lone CR": (b"PROXY UNKNOWN\r ", Fault.BAD_PROTOCOL),
    "no CRLF within 107 bytes": (LONG[:107], Fault.NO_CRLF),
    "no CRLF within 107 bytes of UNKNOWN": (LONG_UNKNOWN[:107], Fault.NO_CRLF),
    "a CRLF that ends at byte 108": (LONG_UNKNOWN[:106] + b"\r", Fault.NO_CRLF),
    "LF without CR": (b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 5000\n", Fault.BARE_LF),
    "a CR inside": (b"PROXY TCP4 192.0.2.1 192.0.2.9 56324\r5000\r\n", Fault.BAD_LINE),
    "two spaces": (b"PROXY TCP4 192.0.2.1  192.0.2.9 56324 5000\r\n", Fault.BAD_LINE),
    "two spaces before the port": (b"PROXY TCP4 192.0.2.1 192.0.2.9  1 2\r\n", Fault.BAD_LINE),
    "a space at the end": (b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 5000 \r\n", Fault.BAD_LINE),
    "a tab": (b"PROXY TCP4 192.0.2.1\t192.0.2.9 56324 5000\r\n", Fault.BAD_LINE),
    "a port missing": (b"PROXY TCP4 192.0.2.1 192.0.2.9 56324\r\n", Fault.BAD_LINE),
    "nothing but the protocol": (b"PROXY TCP4 \r\n", Fault.BAD_LINE),
    "a port with a leading zero": (b"PROXY TCP4 192.0.2.1 192.0.2.9 01 5\r\n", Fault.BAD_LINE),
    "a port of two zeros": (b"PROXY TCP4 192.0.2.1 192.0.2.9 1 00\r\n", Fault.BAD_LINE),
    "a port with a sign": (b"PROXY TCP4 192.0.2.1 192.0.2.9 +1 5\r\n", Fault.BAD_LINE),
    "a port in hexadecimal": (b"PROXY TCP4 192.0.2.1 192.0.2.9 ff 5\r\n", Fault.BAD_LINE),
    "a port in other digits": ("PROXY TCP4 192.0.2.1 192.0.2.9 ١ 5\r\n".encode(), Fault.BAD_LINE),
    "a port of six digits": (b"PROXY TCP4 192.0.2.1 192.0.2.9 100000 5\r\n", Fault.BAD_LINE),
    "a source port over 65535": (b"PROXY TCP4 192.0.2.1 192.0.2.9 65536 5\r\n", Fault.BAD_PORT),
    "a port over 65535": (b"PROXY TCP4 192.0.2.1 192.0.2.9 5 65536\r\n", Fault.BAD_PORT),
    "an octal address": (b"PROXY TCP4 192.0.2.01 192.0.2.9 1 2\r\n", Fault.BAD_ADDRESS),
    "a short address": (b"PROXY TCP4 192.0.513 192.0.2.9 1 2\r\n", Fault.BAD_ADDRESS),
    "an address over 255": (b"PROXY TCP4 192.0.2.256 192.0.2.9 1 2\r\n", Fault.BAD_ADDRESS),
    "IPv6 in TCP4": (b"PROXY TCP4 ::1 ::1 1 2\r\n", Fault.BAD_ADDRESS),
    "IPv4 in TCP6": (b"PROXY TCP6 192.0.2.1 192.0.2.9 1 2\r\n", Fault.BAD_ADDRESS),
    "IPv6 for the destination": (b"PROXY TCP4 192.0.2.1 ::1 1 2\r\n", Fault.BAD_ADDRESS),
    "two double colons": (b"PROXY TCP6 1::2::3 ::1 1 2\r\n", Fault.BAD_ADDRESS),
    "five hexadecimal digits": (b"PROXY TCP6 00001::2 ::1 1 2\r\n", Fault.BAD_ADDRESS),
    "a scope": (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Fault.BAD_LINE),
    "a name": (b"PROXY TCP4 localhost 192.0.2.9 1 2\r\n", Fault.BAD_LINE),
    "version 1 in binary": (SIGNATURE + b"\x11", Fault.BAD_VERSION),
    "version 3": (SIGNATURE + b"\x31", Fault.BAD_VERSION),
    "a command that is not assigned": (SIGNATURE + b"\x22", Fault.BAD_COMMAND),
    "a family that is not assigned": (SIGNATURE + b"\x21\x41", Fault.BAD_FAMILY),
    "a transport that is not assigned": (SIGNATURE + b"\x21\x13", Fault.BAD_FAMILY),
    "a family without, a transport that is not": (SIGNATURE + b"\x21\x03", Fault.BAD_FAMILY),
    "a block of 4097 bytes": (V2 + b"\x10\x01", Fault.TOO_LONG),
    "LOCAL with 4097 bytes": (SIGNATURE + b"\x20\x00\x10\x01", Fault.TOO_LONG),
    "IPv4 addresses cut": (V2 + b"\x00\x0b", Fault.TOO_SHORT),
    "IPv6 addresses cut": (SIGNATURE + b"\x21\x21\x00\x23", Fault.TOO_SHORT),
    "Unix addresses cut": (SIGNATURE + b"\x21\x32\x00\xd7", Fault.TOO_SHORT),
    "a TLV without its length": (v2(0x21, 0x11, ADDRESSES, 14), Fault.TLV_OVERRUN),
    "a TLV over the end": (v2(0x21, 0x11, ADDRESSES + b"\xe5\x00\x02", 16), Fault.TLV_OVERRUN),
    "a second TLV over the end": (
        v2(0x21, 0x11, ADDRESSES + b"\x04\x00\x00\x04\xff\xff", 500),
        Fault.TLV_OVERRUN,
    ),
    "an ID of 129 bytes": (v2(0x21, 0x11, ADDRESSES + b"\5\0\x81" + b"a" * 129), Fault.BAD_TLV),
    "a checksum of 3 bytes": (v2(0x21, 0x11, ADDRESSES + b"\3\0\3abc"), Fault.BAD_TLV),
    "an SSL TLV of 4 bytes": (v2(0x21, 0x11, ADDRESSES + b"\x20\0\4abcd"), Fault.BAD_TLV),
    "an SSL TLV with 2 bytes of a TLV": (
        v2(0x21, 0x11, ADDRESSES + b"\x20\0\7\1\0\0\0\0\x21\0"),
        Fault.BAD_TLV,
    ),
    "a TLV over the end of SSL's": (
        v2(0x21, 0x11, ADDRESSES + b"\x20\0\x08\1\0\0\0\0\x21\0\1"),
        Fault.BAD_TLV,
    ),
    "two checksums": (v2(0x21, 0x11, ADDRESSES + CHECKSUM.encoded() * 2), Fault.BAD_TLV),
    "a wrong checksum": (v2(0x21, 0x11, ADDRESSES + CHECKSUM.encoded()), Fault.BAD_CHECKSUM),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_header_is_refused_with_the_byte_that_settles_it(name: str) -> None:
    data, fault = MALFORMED[name]
    for before in (data[:0], data[:-1]):
        reader = HeaderReader()
        assert reader.receive_data(before) is None
        with pytest.raises(MalformedHeader) as refused:
            reader.receive_data(data[len(before) :])
        assert refused.value.fault is fault
        assert reader.header is None


def test_every_fault_has_an_example() -> None:
    assert {fault for _, fault in MALFORMED.values()} == set(Fault) - {Fault.CUT}


REASONS = {
    Fault.NOT_PROXY: "it begins like no PROXY header",
    Fault.CUT: "the connection ended inside it",
    Fault.BAD_PROTOCOL: "after PROXY comes none of TCP4, TCP6 and UNKNOWN",
    Fault.NO_CRLF: "no CRLF within 107 bytes",
    Fault.BARE_LF: "its line ends in LF, not in CRLF",
    Fault.BAD_LINE: "its line is not two addresses and two ports, one space apart",
    Fault.BAD_ADDRESS: "an address is not one of its family",
    Fault.BAD_PORT: "a port is over 65535",
    Fault.BAD_VERSION: "its version is not 2",
    Fault.BAD_COMMAND: "its command is neither LOCAL nor PROXY",
    Fault.BAD_FAMILY: "its address family or transport is not assigned",
    Fault.TOO_LONG: "it announces more than 4096 bytes",
    Fault.TOO_SHORT: "its addresses are cut",
    Fault.TLV_OVERRUN: "a TLV runs over its end",
    Fault.BAD_TLV: "a TLV's value is not one of its type",
    Fault.BAD_CHECKSUM: "its checksum is wrong",
}


def test_every_fault_has_words_for_people() -> None:
    assert list(REASONS) == list(Fault)
    for fault, words in REASONS.items():
        assert MalformedHeader(fault, b"GET /\n").reason == f"{words}: GET /\\x0a"


def test_the_reason_is_one_escaped_line() -> None:
    with pytest.raises(MalformedHeader) as refused:
        read(b"GET /\x1b[2J\r\n")
    assert str(refused.value) == refused.value.reason
    assert refused.value.reason == "it begins like no PROXY header: GET /\\x1b[2J\\x0d\\x0a"
    with pytest.raises(MalformedHeader) as refused:
        read(b"G" * 100_000)
    assert len(refused.value.reason) < 300


def test_a_reader_that_has_refused_goes_on_refusing() -> None:
    reader = HeaderReader()
    for data in (b"hola", b"PROXY UNKNOWN\r\n"):
        with pytest.raises(MalformedHeader):
            reader.receive_data(data)
    with pytest.raises(MalformedHeader) as refused:
        reader.receive_eof()
    assert refused.value.fault is Fault.NOT_PROXY


# What is a header.


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        b"PROXY UNKNOWN \n\r \xff\x00 whatever\r\r\n",
        b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n",  # 107 bytes
    ],
)
def test_unknown_is_accepted_whatever_comes_before_crlf(data: bytes) -> None:
    assert read(data + b"\r\nhola") == (Header(1, PROXY, Transport.UNSPEC), b"\r\nhola")


@pytest.mark.parametrize(
    ("line", "source", "destination"),
    [
        (b"TCP4 0.0.0.0 255.255.255.255 0 65535", ("0.0.0.0", 0), ("255.255.255.255", 65535)),
        (b"TCP6 2001:DB8:0:0::1 :: 1 2", ("2001:db8::1", 1), ("::", 2)),
        (b"TCP6 0001:0002:3:4:5:6:7:8 ::1 1 2", ("1:2:3:4:5:6:7:8", 1), ("::1", 2)),
        (b"TCP6 ::FFFF:C000:201 ::1 1 2", ("::ffff:192.0.2.1", 1), ("::1", 2)),
    ],
)
def test_addresses_are_written_as_the_kernel_writes_them(
    line: bytes, source: tuple[str, int], destination: tuple[str, int]
) -> None:
    header, rest = read(b"PROXY " + line + b"\r\n")
    assert header is not None
    assert (header.source, header.destination, rest) == (source, destination, b"")


MIXED = {
    # nginx 1.22 wrote the first two: its realip module had found a client of the other family
    # than its own address.
    b"TCP6 2001:db8::1 127.0.0.1 1234 8083": (
        ("2001:db8::1", 1234),
        ("::ffff:127.0.0.1", 8083),
    ),
    b"TCP4 192.0.2.1 ::1 1 2": (("::ffff:192.0.2.1", 1), ("::1", 2)),
    b"TCP6 192.0.2.1 2001:DB8::1 1 2": (("::ffff:192.0.2.1", 1), ("2001:db8::1", 2)),
    b"TCP6 192.0.2.1 192.0.2.9 1 2": (("::ffff:192.0.2.1", 1), ("::ffff:192.0.2.9", 2)),
    b"TCP4 ::1 ::1 1 2": (("::1", 1), ("::1", 2)),
}


@pytest.mark.parametrize("line", MIXED)
def test_a_line_of_two_families_is_refused_unless_it_is_asked_for(line: bytes) -> None:
    stream = b"PROXY " + line + b"\r\nhola"
    with pytest.raises(MalformedHeader) as refused:
        read(stream)
    assert refused.value.fault is Fault.BAD_ADDRESS
    lenient = HeaderReader(mixed_families=True)
    assert lenient.receive_data(stream) == Header(1, PROXY, Transport.TCP6, *MIXED[line])
    assert lenient.rest == b"hola"


@pytest.mark.parametrize("name", MALFORMED)
def test_whoever_accepts_two_families_accepts_nothing_else(name: str) -> None:
    data, fault = MALFORMED[name]
    reader = HeaderReader(mixed_families=True)
    if name in ("IPv6 in TCP4", "IPv4 in TCP6", "IPv6 for the destination"):
        assert reader.receive_data(data) is not None
    else:
        with pytest.raises(MalformedHeader) as refused:
            reader.receive_data(data)
        assert refused.value.fault is fault


@pytest.mark.parametrize("family", [0x00, 0x11, 0x21, 0x32, 0x99, 0xFF])
@pytest.mark.parametrize("block", [b"", ADDRESSES, b"\xff" * 4096])
def test_local_is_valid_whatever_else_it_says(family: int, block: bytes) -> None:
    assert read(v2(0x20, family, block) + b"hola") == (Header(2, LOCAL, Transport.UNSPEC), b"hola")


@pytest.mark.parametrize("transport", [0x00, 0x01, 0x02, 0x10, 0x20, 0x30])
@pytest.mark.parametrize("block", [b"", ADDRESSES, b"\xff" * 4096])
def test_unspec_is_accepted_and_its_block_skipped(transport: int, block: bytes) -> None:
    unspec = Header(2, PROXY, Transport.UNSPEC)
    assert read(v2(0x21, transport, block) + b"hola") == (unspec, b"hola")


@pytest.mark.parametrize(
    ("field", "path", "told"),
    [
        (b"/run/echo.sock\0junk", b"/run/echo.sock", "/run/echo.sock"),
        (b"\0name\0more", b"\0name\0more", "\0name\0more"),
        (b"\0X", b"\0X", "\0X"),
        (b"/" * 108, b"/" * 108, "/" * 108),
        (b"", b"", ""),
        (b"/\xff", b"/\xff", {"hex": "2fff"}),
    ],
)
def test_unix_sockets_have_paths(field: bytes, path: bytes, told: object) -> None:
    header, _ = read(v2(0x21, 0x31, field.ljust(108, b"\0") + bytes(108)))
    assert header is not None
    assert header == Header(2, PROXY, Transport.UNIX_STREAM, path, b"")
    assert header.described()["source"] == told
    assert read(encode_v2(header)) == (header, b"")


def test_the_largest_block_is_read_and_written() -> None:
    padding = Tlv(TlvType.NOOP, bytes(MAX_BLOCK - len(ADDRESSES) - 3))
    header = Header.relaying(CLIENT, SERVER, (padding,))
    assert read(encode_v2(header) + b"x") == (header, b"x")
    with pytest.raises(ValueError, match="over 4096"):
        encode_v2(Header.relaying(CLIENT, SERVER, (padding, Tlv(0xE5, b""))))


def test_a_second_header_is_data() -> None:
    reader = HeaderReader()
    twice = encode_v2(RELAYED) + encode_v1(SERVER, CLIENT)
    assert reader.receive_data(twice) == RELAYED
    assert reader.rest == encode_v1(SERVER, CLIENT)
    assert reader.receive_data(b"hola") == RELAYED
    assert reader.rest == encode_v1(SERVER, CLIENT) + b"hola"
    reader.receive_eof()


def test_a_probe_that_connects_and_leaves_is_no_fault() -> None:
    reader = HeaderReader()
    reader.receive_data(b"")
    reader.receive_eof()
    assert reader.header is None


@pytest.mark.parametrize("whole", [encode_v1(CLIENT, SERVER), encode_v2(RELAYED)])
def test_an_end_inside_the_header_is_a_fault(whole: bytes) -> None:
    for cut in range(1, len(whole)):
        reader = HeaderReader()
        assert reader.receive_data(whole[:cut]) is None
        with pytest.raises(MalformedHeader) as refused:
            reader.receive_eof()
        assert refused.value.fault is Fault.CUT


def test_a_header_that_drips_is_looked_at_once() -> None:
    """Byte by byte, the reader is woken for what it waits for, not for every byte."""
    padding = Tlv(TlvType.NOOP, bytes(1000))
    data = encode_v2(Header.relaying(CLIENT, SERVER, (padding,) * 4))
    reader = HeaderReader()
    woken = 0

    def counted(reading: Generator[int, None, Any]) -> Generator[int, None, Any]:
        nonlocal woken
        while True:
            try:
                wanted = next(reading)
            except StopIteration as done:
                return done.value
            woken += 1
            yield wanted

    reader._reading = counted(reader._reading)
    for byte in data:
        reader.receive_data(bytes([byte]))
        if reader.header is None:
            assert reader.rest == b""
    assert reader.header is not None
    assert woken == 11 + 4 + 2 * 4  # the signature, the fixed part and addresses, the TLVs


# What is written.


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("", b"\0name"),
        (CLIENT, ("::1", 5000)),
        (("localhost", 1), SERVER),
        (None, None),
        ((), ()),
    ],
)
def test_what_is_no_pair_of_ip_addresses_is_unknown_or_local(
    source: object, destination: object
) -> None:
    assert encode_v1(source, destination) == b"PROXY UNKNOWN\r\n"
    assert Header.relaying(source, destination) == Header(2, LOCAL, Transport.UNSPEC)
    assert encode_v2(Header.relaying(source, destination)) == proxy_captures.V2_CHECK


def test_what_getpeername_says_of_ipv6_is_written_without_its_scope() -> None:
    ends = ("fe80::1%eth0", 1, 0, 3), ("fe80::2%3", 2, 0, 3)
    assert encode_v1(*ends) == b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n"
    assert read(encode_v2(Header.relaying(*ends)))[0] == Header(
        2, PROXY, Transport.TCP6, ("fe80::1", 1), ("fe80::2", 2)
    )


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_not_written(port: int) -> None:
    with pytest.raises(ValueError, match="65535"):
        encode_v1(CLIENT, ("192.0.2.9", port))
    with pytest.raises(ValueError, match="65535"):
        encode_v1(("192.0.2.1", port), SERVER)
    with pytest.raises(ValueError, match="65535"):
        encode_v2(Header.relaying(("192.0.2.1", port), SERVER))


@pytest.mark.parametrize(
    ("transport", "source"),
    [
        (Transport.TCP4, ("::1", 1)),
        (Transport.UDP6, ("192.0.2.1", 1)),
        (Transport.TCP4, ("localhost", 1)),
        (Transport.UNIX_DGRAM, b"/" * 109),
    ],
)
def test_an_address_of_another_kind_is_not_written(
    transport: Transport, source: tuple[str, int] | bytes
) -> None:
    header = Header(2, PROXY, transport, source, source)
    with pytest.raises(ValueError, match=r"Expected 4|At least 3|Unexpected|octets|path"):
        encode_v2(header)


@pytest.mark.parametrize(
    "fields",
    [
        (2, PROXY, Transport.TCP4, CLIENT, None),
        (2, PROXY, Transport.UNSPEC, CLIENT, SERVER),
        (2, PROXY, Transport.UNSPEC, None, None, (CHECKSUM,)),
        (2, LOCAL, Transport.TCP4, CLIENT, SERVER),
        (2, PROXY, Transport.UNIX_STREAM, CLIENT, SERVER),
        (2, PROXY, Transport.TCP4, b"/a", b"/b"),
        (1, LOCAL, Transport.UNSPEC),
        (1, PROXY, Transport.UDP4, CLIENT, SERVER),
        (1, PROXY, Transport.TCP4, CLIENT, SERVER, (CHECKSUM,)),
    ],
)
def test_fields_that_do_not_go_together_are_no_header(fields: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="do not go together"):
        Header(*fields)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (256, b"", "a TLV does not fit into its type and length"),
        (-1, b"", "a TLV does not fit into its type and length"),
        (1, bytes(65536), "a TLV does not fit into its type and length"),
        (TlvType.CRC32C, b"abc", "a checksum is not of 4 bytes"),
        (TlvType.UNIQUE_ID, bytes(129), "a unique ID is over 128 bytes"),
        (TlvType.SSL, bytes(4), "an SSL TLV is too short"),
        (TlvType.SSL, bytes(6), "a TLV is cut"),
        (TlvType.SSL, bytes(5) + b"\x21\0\1", "a TLV runs over the end"),
    ],
)
def test_a_tlv_that_could_not_be_written_is_none(kind: int, value: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        Tlv(kind, value)


def test_the_longest_tlv_is_one() -> None:
    longest = Tlv(255, bytes(65535))
    assert list(split(longest.encoded())) == [(255, bytes(65535))]


def test_the_types_are_numbered_as_the_specification_and_the_clouds_do() -> None:
    assert {kind.name: kind.value for kind in TlvType} == {
        "ALPN": 0x01,
        "AUTHORITY": 0x02,
        "CRC32C": 0x03,
        "NOOP": 0x04,
        "UNIQUE_ID": 0x05,
        "SSL": 0x20,
        "NETNS": 0x30,
        "GCP": 0xE0,
        "AWS": 0xEA,
        "AZURE": 0xEE,
    }
    assert [kind.name for kind in sorted(SslType)] == [
        *("VERSION", "CN", "CIPHER", "SIG_ALG", "KEY_ALG", "GROUP", "SIG_SCHEME", "CLIENT_CERT")
    ]
    assert sorted(SslType) == list(range(0x21, 0x29))
    assert [SslClient.SSL, SslClient.CERT_CONN, SslClient.CERT_SESS] == [1, 2, 4]


# What is told.


@pytest.mark.parametrize(
    ("tlv", "told"),
    [
        (Tlv(TlvType.NETNS, b"blue"), {"type": "netns", "value": "blue"}),
        (Tlv(TlvType.ALPN, b"\xff\x00"), {"type": "alpn", "value": {"hex": "ff00"}}),
        (Tlv(0xE5, b"ff"), {"type": "0xe5", "value": "ff"}),
        (Tlv(0x06, b""), {"type": "0x06", "value": ""}),
        (Tlv(TlvType.AWS, b"\x01vpce-0a1b2c"), {"type": "aws", "vpce_id": "vpce-0a1b2c"}),
        (Tlv(TlvType.AWS, b"\x02abc"), {"type": "aws", "value": "\x02abc"}),
        (Tlv(TlvType.AWS, b"\x01\xff"), {"type": "aws", "value": {"hex": "01ff"}}),
        (Tlv(TlvType.AZURE, b"\x01\xdd\x11\x00\x1c"), {"type": "azure", "link_id": 0x1C0011DD}),
        (Tlv(TlvType.AZURE, b"\x01abc"), {"type": "azure", "value": "\x01abc"}),
        (
            Tlv(TlvType.GCP, b"\xff" * 7 + b"\x01"),
            {"type": "gcp", "psc_connection_id": "18446744073709551361"},
        ),
        (Tlv(TlvType.GCP, b"abc"), {"type": "gcp", "value": "abc"}),
        (
            Tlv(TlvType.SSL, bytes([SslClient.CERT_SESS | 0x48, 0, 0, 0, 19]) + b"\x29\0\1\xff"),
            {
                "type": "ssl",
                "client": ["cert_sess", "0x08", "0x40"],
                "verify": 19,
                "verified": False,
                "tlvs": [{"type": "0x29", "value": {"hex": "ff"}}],
            },
        ),
        (
            Tlv(TlvType.SSL, bytes([SslClient.SSL, 0, 0, 0, 1, SslType.CN, 0, 2]) + b"yo"),
            {
                "type": "ssl",
                "client": ["ssl"],
                "verify": 1,
                "verified": False,
                "tlvs": [{"type": "cn", "value": "yo"}],
            },
        ),
        (
            Tlv(TlvType.SSL, b"\x81\xff\xff\xff\xfe"),
            {
                "type": "ssl",
                "client": ["ssl", "0x80"],
                "verify": 0xFFFFFFFE,
                "verified": False,
                "tlvs": [],
            },
        ),
    ],
)
def test_tlvs_are_told_in_words(tlv: Tlv, told: dict[str, Any]) -> None:
    assert tlv.described() == told


def test_a_header_is_told_without_its_padding() -> None:
    header = Header.relaying(CLIENT, SERVER, (Tlv(TlvType.NOOP, b"x"), Tlv(0xE5, b"y")))
    assert header.described() == {
        "version": 2,
        "command": "proxy",
        "transport": "tcp4",
        "source": "192.0.2.1:56324",
        "destination": "192.0.2.9:5000",
        "tlvs": [{"type": "0xe5", "value": "y"}],
    }
    assert Header(2, LOCAL, Transport.UNSPEC).described() == {
        "version": 2,
        "command": "local",
        "transport": "unspec",
        "source": None,
        "destination": None,
        "tlvs": [],
    }


# RFC 3720 §B.4 has the vectors of iSCSI; the first is everybody's check value.
@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"123456789", 0xE3069283),
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_of_known_texts(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


def test_a_checksum_is_computed_wherever_it_stands() -> None:
    other = Tlv(TlvType.AUTHORITY, b"example.org")
    for tlvs in ((CHECKSUM, other), (other, CHECKSUM), (other, CHECKSUM, other)):
        data = encode_v2(Header.relaying(CLIENT, SERVER, tlvs))
        header, _ = read(data)
        assert header is not None
        (value,) = (tlv.value for tlv in header.tlvs if tlv.type == TlvType.CRC32C)
        assert int.from_bytes(value, "big") == crc32c(data.replace(value, bytes(4)))


def test_a_unique_id_may_be_of_128_bytes() -> None:
    assert Tlv(TlvType.UNIQUE_ID, bytes(128)).value == bytes(128)
