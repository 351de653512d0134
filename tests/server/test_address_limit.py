"""A limit of clients per address."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.dialects import WIRE_ERRORS
from tcpecho_trio.proxy_protocol import Command, Header, Transport, encode_v1, encode_v2
from tcpecho_trio.server import Registry, Settings
from tcpecho_trio.server.address_limit import counted_as
from tcpecho_trio.server.close_reason import CloseReason
from tests.support.running import Running, read_exactly, running_server, until

REFUSAL = WIRE_ERRORS["es"].address_limit.encode()


def header(host: str) -> bytes:
    return encode_v1((host, 4000), ("198.51.100.1" if "." in host else "2001:db8::1", 5000))


async def talking(server: Running, said: bytes = b"") -> trio.SocketStream:
    client = await server.connect()
    await client.send_all(said + b"hola\n")
    assert await read_exactly(client, 5) == b"HOLA\n"
    return client


@pytest.mark.usefixtures("path")
async def test_one_host_cannot_take_all_places_and_is_told_why() -> None:
    async with running_server(Settings(max_connections_per_address=2)) as server:
        clients = [await talking(server) for _ in range(2)]
        assert await server.ask(b"hola\n") == REFUSAL
        (refused,) = server.told.named("refused")
        assert refused["reason"] == "address_limit"
        await clients.pop().aclose()
        await until(lambda: server.registry.places == 1)
        assert await server.ask(b"hola\n") == b"HOLA\n"
        await clients.pop().aclose()


async def test_behind_a_believed_header_the_clients_address_counts() -> None:
    settings = Settings(max_connections_per_address=1, proxy_protocol=True)
    async with running_server(settings) as server:
        one = await talking(server, header("203.0.113.7"))
        other = await talking(server, header("203.0.113.8"))
        assert await server.ask(header("203.0.113.7") + b"hola\n") == REFUSAL
        for client in (one, other):
            await client.aclose()


UNIX = Header(2, Command.PROXY, Transport.UNIX_STREAM, b"/run/client", b"/run/proxy")


@pytest.mark.parametrize("unknown", [b"PROXY UNKNOWN\r\n", encode_v2(UNIX)], ids=["v1", "unix"])
async def test_whom_nobody_knows_is_not_limited(unknown: bytes) -> None:
    settings = Settings(max_connections_per_address=1, proxy_protocol=True)
    async with running_server(settings) as server:
        for client in [await talking(server, unknown) for _ in range(3)]:
            await client.aclose()


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_an_ipv6_site_is_one_address(host: object, part: int) -> None:
    neighbour = type(host)((int(host) >> 64 << 64) | part)  # type: ignore[call-overload, call-arg]
    mapped = str(counted_as(str(host))).count(".") == 3
    if not mapped:
        assert counted_as(str(host)) == counted_as(str(neighbour))
        assert counted_as(str(host)).endswith("/64")


@given(st.ip_addresses(v=4))
def test_an_ipv4_client_on_an_ipv6_socket_counts_as_itself(host: object) -> None:
    assert counted_as(f"::ffff:{host}") == counted_as(str(host)) == str(host)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_no_address_ever_has_more_than_it_may_and_none_is_lost(
    steps: list[tuple[str, bool]],
) -> None:
    registry, there = Registry(), dict[int, str]()
    for address, comes in steps:
        if comes:
            number = registry.accept("here")
            room = list(there.values()).count(address) < 2
            assert registry.take_address(number, address, 2) is room
            if room:
                there[number] = address
            else:
                registry.close(number, CloseReason.ADDRESS_LIMIT)
        elif there:
            number = next(iter(there))
            del there[number]
            registry.close(number, CloseReason.EOF)
    assert registry.places == len(there)
