"""What holds for every PROXY header and for every stream that is none, by name.

The package ``proxy-protocol`` gives a second opinion on what is valid. On what is not, it has
none to give, which the last tests here record.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import SOCK_DGRAM, SOCK_STREAM
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxyprotocol import ProxyProtocolChecksumError
from proxyprotocol.result import (
    ProxyResultIPv4,
    ProxyResultIPv6,
    ProxyResultLocal,
    ProxyResultUnix,
    ProxyResultUnknown,
)
from proxyprotocol.tlv import ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from tcpecho_trio.proxy_protocol import (
    Command,
    Endpoint,
    Fault,
    Header,
    HeaderReader,
    MalformedHeader,
    Tlv,
    TlvType,
    Transport,
    encode_v1,
    encode_v2,
)
from tcpecho_trio.proxy_protocol.wire import FIXED, MAX_BLOCK, SIGNATURE
from tests.support import proxy_captures
from tests.support.protocol_inputs import cuts

CHECKSUM = Tlv(TlvType.CRC32C, bytes(4))
STREAM_TYPES = {
    Transport.TCP4: SOCK_STREAM,
    Transport.UDP4: SOCK_DGRAM,
    Transport.TCP6: SOCK_STREAM,
    Transport.UDP6: SOCK_DGRAM,
    Transport.UNIX_STREAM: SOCK_STREAM,
    Transport.UNIX_DGRAM: SOCK_DGRAM,
}

ports = st.integers(0, 0xFFFF)


def texts(max_size: int) -> st.SearchStrategy[bytes]:
    """Text as UTF-8, not made of st.text(): that beside st.binary() is a BytesWarning inside
    Hypothesis now and then, for '' and b'' have one hash."""
    points = st.lists(st.integers(0, 0xD7FF), max_size=max_size)
    return points.map(lambda numbers: "".join(map(chr, numbers)).encode())


paths = st.lists(st.sampled_from(b"abc/."), min_size=1, max_size=108).map(bytes)


def getpeername(host: IPv4Address | IPv6Address, port: int) -> tuple[str, int]:
    mapped = isinstance(host, IPv6Address) and host.ipv4_mapped
    return (f"::ffff:{mapped}" if mapped else str(host), port)


endpoints: dict[int, st.SearchStrategy[Any]] = {
    1: st.builds(getpeername, st.ip_addresses(v=4), ports),
    2: st.builds(getpeername, st.ip_addresses(v=6), ports),
    3: st.one_of(
        st.binary(max_size=108).map(lambda path: path.partition(b"\0")[0]),
        st.binary(max_size=107).map(lambda name: (b"\0" + name).rstrip(b"\0")),
        paths,
    ),
}

sub_tlvs = st.lists(st.tuples(st.integers(0x1F, 0x2A), texts(8) | st.binary(max_size=8))).map(
    lambda pairs: b"".join(struct.pack(">BH", k, len(v)) + v for k, v in pairs)
)
tlvs = st.one_of(
    st.builds(
        Tlv,
        st.sampled_from([*set(TlvType) - {TlvType.SSL, TlvType.CRC32C, TlvType.UNIQUE_ID}]),
        texts(30) | st.binary(max_size=30),
    ),
    st.builds(Tlv, st.just(TlvType.UNIQUE_ID), st.binary(max_size=128)),
    st.builds(
        lambda client, verify, subs: Tlv(TlvType.SSL, struct.pack(">BI", client, verify) + subs),
        st.integers(0, 0xFF),
        st.sampled_from([0, 1, 19, 2**32 - 1]),
        sub_tlvs,
    ),
    st.builds(
        Tlv,
        st.integers(0, 0xFF).filter(lambda number: number not in list(TlvType)),
        st.binary(max_size=30),
    ),
)


@st.composite
def relayed_headers(draw: st.DrawFn) -> Header:
    """A PROXY header of version 2 with addresses; its checksum, if it has one, is zeros."""
    transport = draw(st.sampled_from(sorted(STREAM_TYPES)))
    source, destination = draw(st.tuples(*[endpoints[transport >> 4]] * 2))
    some = draw(st.lists(tlvs, max_size=6))
    if draw(st.booleans()):
        some.insert(draw(st.integers(0, len(some))), CHECKSUM)
    return Header(2, Command.PROXY, transport, source, destination, tuple(some))


headers = st.one_of(
    relayed_headers(),
    st.sampled_from([Header(2, command, Transport.UNSPEC) for command in Command]),
)
lines = st.one_of(
    *(st.builds(encode_v1, endpoints[family], endpoints[family]) for family in (1, 2)),
    st.binary(max_size=91).map(
        lambda junk: b"PROXY UNKNOWN " + junk.replace(b"\r\n", b"").rstrip(b"\r") + b"\r\n"
    ),
)
# LOCAL with whatever family, UNSPEC families and transports, and a block to be skipped.
skipped = st.builds(
    lambda start, block: SIGNATURE + start + len(block).to_bytes(2, "big") + block,
    st.sampled_from([b"\x20\x00", b"\x20\x11", b"\x20\xff", b"\x21\x00", b"\x21\x01", b"\x21\x20"]),
    st.binary(max_size=40),
)
encoded = st.one_of(headers.map(encode_v2), lines, skipped)


@st.composite
def near_headers(draw: st.DrawFn) -> bytes:
    """A header with a piece of it changed, or whatever may follow a start that is right."""
    data = draw(encoded)
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(start + 3, len(data))))
    return data[:start] + draw(st.binary(max_size=4)) + data[end:]


streams = st.one_of(
    near_headers(),
    near_headers(),
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda junk: SIGNATURE + b"\x21" + junk),
    st.binary(max_size=60).map(lambda junk: SIGNATURE + b"\x21\x11\x00\x20" + junk),
    st.lists(st.sampled_from(b"0123456789.: \r\n"), max_size=120).map(
        lambda junk: b"PROXY TCP4 " + bytes(junk)
    ),
)


def outcome(pieces: list[bytes]) -> tuple[Header, bytes] | Fault | None:
    """What a reader makes of these pieces."""
    reader = HeaderReader()
    for number, piece in enumerate(pieces):
        try:
            header = reader.receive_data(piece)
        except MalformedHeader as malformed:
            return malformed.fault
        if header is not None:
            return header, reader.rest + b"".join(pieces[number + 1 :])
    return None


def without_checksum(header: Header) -> tuple[Tlv, ...]:
    return tuple(CHECKSUM if tlv.type == TlvType.CRC32C else tlv for tlv in header.tlvs)


@given(header=headers, rest=st.binary(max_size=40), data=st.data())
def test_what_was_written_is_read_however_it_is_cut(
    header: Header, rest: bytes, data: st.DataObject
) -> None:
    stream = encode_v2(header)
    reader = HeaderReader()
    for piece in data.draw(cuts(stream + rest)):
        reader.receive_data(piece)
    found = reader.header
    assert found is not None
    assert (found.command, found.transport) == (header.command, header.transport)
    assert (found.source, found.destination) == (header.source, header.destination)
    assert without_checksum(found) == header.tlvs
    assert reader.rest == rest
    assert encode_v2(found) == stream
    reader.receive_eof()


@pytest.mark.parametrize("family", [1, 2])
@given(data=st.data(), rest=st.binary(max_size=40))
def test_version_1_is_read_as_it_was_written(family: int, data: st.DataObject, rest: bytes) -> None:
    source, destination = data.draw(st.tuples(*[endpoints[family]] * 2))
    transport = Transport.TCP4 if family == 1 else Transport.TCP6
    line = encode_v1(source, destination)
    header = Header(1, Command.PROXY, transport, source, destination)
    assert outcome(data.draw(cuts(line + rest))) == (header, rest)
    assert len(line) <= 107


@given(source=endpoints[1] | endpoints[2], destination=endpoints[1] | endpoints[2], data=st.data())
def test_a_reader_of_two_families_reads_any_two_and_the_others_as_ever(
    source: tuple[str, int], destination: tuple[str, int], data: st.DataObject
) -> None:
    named = data.draw(st.sampled_from(["TCP4", "TCP6"]))
    (host, port), (their_host, their_port) = source, destination
    line = f"PROXY {named} {host} {their_host} {port} {their_port}\r\n".encode()
    reader = HeaderReader(mixed_families=True)
    for piece in data.draw(cuts(line)):
        reader.receive_data(piece)
    header = reader.header
    assert header is not None
    strict = outcome([line])
    if isinstance(strict, tuple):
        assert header == strict[0]
    else:
        assert strict is Fault.BAD_ADDRESS
        assert header.transport is Transport.TCP6
        for found, said in ((header.source, source), (header.destination, destination)):
            assert isinstance(found, tuple)
            assert (found[0].removeprefix("::ffff:"), found[1]) == (
                said[0].removeprefix("::ffff:"),
                said[1],
            )
            assert IPv6Address(found[0])
    relayed = replace(header, version=2)
    assert outcome([encode_v2(relayed)]) == (relayed, b"")


@given(stream=st.one_of(streams, st.builds(bytes.__add__, encoded, st.binary())), data=st.data())
def test_how_the_network_cuts_the_stream_never_shows(stream: bytes, data: st.DataObject) -> None:
    whole = outcome([stream])
    assert outcome(data.draw(cuts(stream))) == whole
    assert outcome([bytes([byte]) for byte in stream]) == whole


@given(stream=encoded, data=st.data())
def test_no_byte_is_wanted_after_the_last_nor_spared_before_it(
    stream: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(stream) - 1))
    assert outcome([stream[:cut]]) is None
    found = outcome([stream])
    assert isinstance(found, tuple)
    assert found[1] == b""


@given(stream=streams, filler=st.sampled_from([b"\0", b"\xff", b"1", b"\r", b"\n", b" "]))
def test_every_stream_is_decided_within_the_largest_header(stream: bytes, filler: bytes) -> None:
    longest = FIXED.size + MAX_BLOCK
    assert outcome([(stream + filler * longest)[:longest]]) is not None


@given(header=relayed_headers(), data=st.data())
def test_a_checksum_finds_any_change_of_a_byte(header: Header, data: st.DataObject) -> None:
    others = [tlv for tlv in header.tlvs if tlv.type != TlvType.CRC32C]
    header = replace(header, tlvs=(CHECKSUM, *others))
    stream = bytearray(encode_v2(header))
    fixed = FIXED.size + {1: 12, 2: 36, 3: 216}[header.transport >> 4]
    changed = data.draw(
        st.integers(FIXED.size, fixed - 1) | st.integers(fixed + 3, len(stream) - 1)
    )
    stream[changed] ^= data.draw(st.integers(1, 0xFF))
    # Where the change hits a TLV's type, length or form, that may be what is found.
    assert outcome([bytes(stream)]) in {
        Fault.BAD_CHECKSUM,
        Fault.TLV_OVERRUN,
        Fault.BAD_TLV,
    }


@given(header=headers)
def test_what_is_told_is_json_and_loses_nothing(header: Header) -> None:
    told = header.described()
    assert json.loads(json.dumps(told)) == told
    kept = [tlv for tlv in header.tlvs if tlv.type != TlvType.NOOP]
    assert len(told["tlvs"]) == len(kept)
    for tlv, description in zip(kept, told["tlvs"], strict=True):
        value = description.get("value")
        if tlv.type in {TlvType.ALPN, TlvType.AUTHORITY, TlvType.UNIQUE_ID, TlvType.NETNS}:
            again = bytes.fromhex(value["hex"]) if isinstance(value, dict) else value.encode()
            assert again == tlv.value


# The second opinion.

V1, V2 = ProxyProtocolV1(), ProxyProtocolV2()


@given(source=endpoints[1] | endpoints[2], destination=endpoints[1] | endpoints[2])
def test_version_1_means_the_same_to_the_oracle(
    source: tuple[str, int], destination: tuple[str, int]
) -> None:
    result = V1.unpack(encode_v1(source, destination))
    families = {ip_address(source[0]).version, ip_address(destination[0]).version}
    if len(families) == 2:
        assert isinstance(result, ProxyResultUnknown)
    else:
        assert result.source == (ip_address(source[0]), source[1])
        assert result.dest == (ip_address(destination[0]), destination[1])


@given(header=headers)
def test_version_2_means_the_same_to_the_oracle(header: Header) -> None:
    # The oracle keeps one value a type, sums them in the order of their types, and takes the
    # paths of Unix sockets for ASCII.
    kept = {tlv.type: tlv for tlv in header.tlvs}
    source, destination = map(ascii_only, (header.source, header.destination))
    header = replace(
        header,
        source=source,
        destination=destination,
        tlvs=tuple(kept[kind] for kind in sorted(kept)),
    )
    result = V2.unpack(encode_v2(header))
    if header.transport is Transport.UNSPEC:
        local = header.command is Command.LOCAL
        assert isinstance(result, ProxyResultLocal if local else ProxyResultUnknown)
        return
    assert result.protocol == STREAM_TYPES[header.transport]
    assert [result.source, result.dest] == [as_oracle(source), as_oracle(destination)]
    theirs = dict(result.tlv)
    if theirs.pop(TlvType.CRC32C, None) is not None:  # which it has checked
        del kept[TlvType.CRC32C]
    assert theirs == {kind: tlv.value for kind, tlv in kept.items()}


def ascii_only(end: Endpoint | None) -> Endpoint | None:
    if isinstance(end, bytes):
        return end.decode("ascii", "ignore").encode().rstrip(b"\0")
    return end


def as_oracle(end: Endpoint | None) -> object:
    """An endpoint the way the oracle has it."""
    assert end is not None
    return end.decode() if isinstance(end, bytes) else (ip_address(end[0]), end[1])


@given(
    transport=st.sampled_from(sorted(STREAM_TYPES)),
    some=st.lists(tlvs, max_size=6),
    data=st.data(),
)
def test_what_the_oracle_writes_is_read(
    transport: Transport, some: list[Tlv], data: st.DataObject
) -> None:
    family = transport >> 4
    either = paths if family == 3 else endpoints[family]
    ends: tuple[Endpoint, Endpoint] = data.draw(st.tuples(either, either))
    extra = ProxyProtocolTLV(init={tlv.type: tlv.value for tlv in some})
    kind: Any = {1: ProxyResultIPv4, 2: ProxyResultIPv6, 3: ProxyResultUnix}[family]
    result = kind(*map(as_oracle, ends), protocol=STREAM_TYPES[transport], tlv=extra)
    reader = HeaderReader()
    header = reader.receive_data(V2.pack(result) + b"hola")
    assert header is not None
    assert (header.transport, reader.rest) == (transport, b"hola")
    assert (header.source, header.destination) == ends
    found = {tlv.type: tlv.value for tlv in header.tlvs}
    assert found.pop(TlvType.CRC32C), "the oracle always writes a checksum"
    assert found == dict(extra)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 +1 5000\r\n", Fault.BAD_LINE),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 01 5000\r\n", Fault.BAD_LINE),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Fault.BAD_LINE),
        (b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n", Fault.NO_CRLF),
        (SIGNATURE + b"\x21\x11\x00\x0f" + bytes(12) + b"\xe5\x00\x09", Fault.TLV_OVERRUN),
        (SIGNATURE + b"\x21\x11\x00\x0d" + bytes(12) + b"\xe5", Fault.TLV_OVERRUN),
        (SIGNATURE + b"\x21\x99\x00\x00", Fault.BAD_FAMILY),
        (SIGNATURE + b"\x21\x13\x00\x0c" + bytes(12), Fault.BAD_FAMILY),
    ],
)
def test_the_oracle_takes_what_the_specification_forbids(data: bytes, fault: Fault) -> None:
    assert (V2 if data.startswith(SIGNATURE) else V1).unpack(data)
    assert outcome([data]) is fault


def test_the_oracle_refuses_a_checksum_that_haproxy_made() -> None:
    """It sums the TLVs sorted by type; haproxy's checksum is of type 3 and comes before 1."""
    captured = proxy_captures.V2_CERTIFICATE.removesuffix(b"hola\n")
    with pytest.raises(ProxyProtocolChecksumError):
        V2.unpack(captured)
    assert isinstance(outcome([captured]), tuple)
