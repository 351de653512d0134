"""From an accepted socket to a conversation: PROXY headers, clients' addresses, full servers."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from ipaddress import ip_network
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.dialects import ADMIN, INSPECT, SERVER_FULL
from tcpecho_trio.proxy_protocol import Command, Fault, Header, Transport, encode_v1, encode_v2
from tcpecho_trio.server import Journal, Settings
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.events import ProxyHeaderRefused
from tcpecho_trio.server.peer import Peer
from tcpecho_trio.server.proxy_stage import HEADER_TIME
from tcpecho_trio.server.renderers import console_renderer
from tcpecho_trio.server.settings import LOOPBACK
from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.server.tls import Tls
from tcpecho_trio.texts import LANGUAGES, Texts
from tests.support import proxy_captures
from tests.support.certificates import Certificates
from tests.support.processes import ROOT
from tests.support.running import Running, read_all, read_exactly, running_server, until

CLIENT, BALANCER = ("203.0.113.7", 40000), ("198.51.100.1", 5000)
V1 = encode_v1(CLIENT, BALANCER)
V2 = encode_v2(Header.relaying(CLIENT, BALANCER))
LOCAL = encode_v2(Header(2, Command.LOCAL, Transport.UNSPEC))
UNKNOWN = b"PROXY UNKNOWN\r\n"
UNSPEC = encode_v2(Header(2, Command.PROXY, Transport.UNSPEC))
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close(2) resets the connection (socket(7))."""


def behind_a_proxy(**rest: Any) -> Settings:
    return Settings(proxy_protocol=True, **rest)


async def refusal(server: Running) -> dict[str, Any]:
    """The one line about a connection that did not get in; nobody else has."""
    (told,) = await server.told.wait_for("proxy_refused")
    assert server.told.named("connected") == server.told.named("crashed") == []
    assert server.registry.close_reasons == {CloseReason.PROXY_HEADER: 1}
    return told


async def reset(client: trio.SocketStream, saying: bytes = b"") -> None:
    """The server resets it, perhaps before this has been said, and says nothing."""

    async def say_and_listen() -> None:
        if saying:
            await client.send_all(saying)
        assert await client.receive_some() == b"nothing"

    with pytest.raises(trio.BrokenResourceError):
        await say_and_listen()


# Headers


@pytest.mark.parametrize("header", [V1, V2])
async def test_the_client_is_who_the_proxy_says(header: bytes) -> None:
    async with running_server(behind_a_proxy(dialect=INSPECT)) as server:
        report = json.loads(await server.ask(header + b"INFORME\n"))
        assert report["client"] == "203.0.113.7:40000"
        assert report["peer"].startswith("127.0.0.1:")
        assert report["proxy"]["source"] == "203.0.113.7:40000"
        assert report["proxy"]["destination"] == "198.51.100.1:5000"
        assert [told["client"] for told in server.told.named("connected")] == ["203.0.113.7:40000"]


@pytest.mark.parametrize(
    "capture", [name for name in dir(proxy_captures) if name.startswith(("V1_", "V2_"))]
)
async def test_what_haproxy_sends_is_understood(capture: str) -> None:
    sent = getattr(proxy_captures, capture)
    async with running_server(behind_a_proxy()) as server:
        assert await server.ask(sent) == (b"HOLA\n" if sent.endswith(b"hola\n") else b"")
        assert server.told.named("proxy_refused") == []


@pytest.mark.parametrize("header", [V1, V2])
async def test_header_and_first_message_in_one_segment(header: bytes) -> None:
    async with running_server(behind_a_proxy()) as server, await server.connect() as client:
        await client.send_all(header + b"hola\nDESCO")
        assert await read_exactly(client, 5) == b"HOLA\n"
        await client.send_all(b"NEXION\n")
        assert await read_all(client) == "Conexión cerrada\n".encode()


@pytest.mark.parametrize("header", [V1, V2])
async def test_a_header_that_comes_a_byte_at_a_time(header: bytes) -> None:
    async with running_server(behind_a_proxy()) as server, await server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await until(lambda: len(server.registry.admitting) == 1)
        for byte in header:
            await client.send_all(bytes([byte]))
            for _ in range(3):  # the server looks at each
                await trio.lowlevel.checkpoint()
        assert server.told.named("proxy_refused") == []
        await client.send_all(b"hola\n")
        assert await read_exactly(client, 5) == b"HOLA\n"


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("second", [V1, V2])
async def test_a_second_header_is_data(header: bytes, second: bytes) -> None:
    async with running_server(behind_a_proxy(dialect=INSPECT)) as server:
        reply = await server.ask(header + second)
        assert reply == second.decode(errors="surrogateescape").upper().encode(
            errors="surrogateescape"
        )
        assert [told["client"] for told in server.told.named("connected")] == ["203.0.113.7:40000"]


async def test_the_longest_header_leaves_the_message_behind_it_alone() -> None:
    header = V2[:14] + struct.pack("!H", 4096) + V2[16:]
    header += b"\x04" + struct.pack("!H", 4096 - 12 - 3) + bytes(4096 - 12 - 3)  # padding
    async with running_server(behind_a_proxy()) as server:
        assert await server.ask(header + b"hola\n" * 5000) == b"HOLA\n" * 5000


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_header_of_two_families_is_believed_where_that_is_allowed(allowed: bool) -> None:
    nginx = b"PROXY TCP6 203.0.113.7 2001:db8::1 40000 5000\r\n"  # as it writes one
    async with running_server(behind_a_proxy(mixed_families=allowed)) as server:
        if allowed:
            assert await server.ask(nginx + b"hola\n") == b"HOLA\n"
            return
        async with await server.connect() as client:
            await reset(client, nginx)
            assert (await refusal(server))["seen"].startswith("PROXY TCP6")


async def test_an_endpoint_may_want_a_header_where_the_others_do_not() -> None:
    plain, proxied = (Endpoint(Scheme.TCP, "127.0.0.1", 0, proxy=proxy) for proxy in (None, True))
    async with running_server(Settings(listen=(plain, proxied))) as server:
        assert await server.ask(V1) == V1.upper()
        async with await trio.open_tcp_stream(*server.listeners[1].socket.getsockname()) as client:
            await client.send_all(V1 + b"hola\n")
            assert await read_exactly(client, 5) == b"HOLA\n"
    without = Endpoint(Scheme.TCP, "127.0.0.1", 0, proxy=False, dialect=ADMIN)
    async with running_server(behind_a_proxy(listen=(without,))) as server:
        assert await server.ask(V1) == GREETING + V1.upper()  # and a dialect of its own


@pytest.mark.parametrize("header", [LOCAL, UNKNOWN, UNSPEC])
async def test_without_addresses_the_client_is_who_is_connected(header: bytes) -> None:
    async with running_server(behind_a_proxy(dialect=INSPECT)) as server:
        report = json.loads(await server.ask(header + b"INFORME\n"))
        assert report["client"] == report["peer"]
        assert report["proxy"]["source"] is None


# Who gets in


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"hola\n", "not_proxy"),
        (b"GET / HTTP/1.1\r\n\r\n", "not_proxy"),
        (b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "bad_protocol"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "bad_port"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "bare_lf"),
        (b"PROXY TCP4 " + b"1" * 97, "no_crlf"),
        (V2[:14] + b"\x10\x01", "too_long"),
        (V2[:12] + b"\x31", "bad_version"),
    ],
)
async def test_what_is_no_header_is_reset_and_told_in_one_line(said: bytes, fault: str) -> None:
    async with running_server(behind_a_proxy()) as server, await server.connect() as client:
        await client.send_all(said)
        await reset(client)
        told = await refusal(server)
        assert told["fault"] == fault
        assert told["peer"].startswith("127.0.0.1:")
        assert told["seen"]
        assert told["seen"].isprintable()


async def test_a_header_that_is_cut_is_told() -> None:
    async with running_server(behind_a_proxy()) as server, await server.connect() as client:
        await client.send_all(V1[:10])
        await client.send_eof()
        await reset(client)
        assert (await refusal(server))["fault"] == "cut"


@pytest.mark.parametrize("said", [b"", V1[:-1], V2[:-1]])
async def test_a_header_that_is_late_is_told(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpecho_trio.server.proxy_stage.HEADER_TIME", 0.05)
    async with running_server(behind_a_proxy()) as server, await server.connect() as client:
        if said:
            await client.send_all(said)
        await reset(client)
        told = await refusal(server)
        assert (told["fault"], told["seen"]) == ("late", "")


def test_a_header_has_the_time_that_the_documents_name() -> None:
    docs = ROOT / "docs"
    assert f"late one ({HEADER_TIME:g} s)" in (docs / "security.md").read_text()
    assert f"it has {HEADER_TIME:g} seconds" in (docs / "troubleshooting.md").read_text()


@pytest.mark.parametrize("said", [b"", V1, b"hola\n"])
async def test_whoever_is_not_trusted_is_not_even_listened_to(said: bytes) -> None:
    settings = behind_a_proxy(trusted_proxies=(ip_network("192.0.2.0/24"),))
    async with running_server(settings) as server, await server.connect() as client:
        await reset(client, said)
        told = await refusal(server)
        assert (told["fault"], told["seen"]) == ("untrusted", "")


MAPPED = ip_network("::ffff:0:0/96")
HOSTS = st.one_of(
    st.ip_addresses(v=4), st.ip_addresses(v=6).filter(lambda host: host not in MAPPED)
)


@given(HOSTS, st.integers(0, 32))
def test_a_network_trusts_exactly_its_own(host: Any, prefix: int) -> None:
    network = ip_network(f"{host}/{prefix}", strict=False)
    assert Peer("", str(host), False).is_in((network,))
    if prefix:
        outside = type(host)(int(host) ^ 1 << (host.max_prefixlen - prefix))
        assert not Peer("", str(outside), False).is_in((network,))


@given(st.ip_addresses(v=4))
def test_an_ipv4_peer_on_an_ipv6_socket_is_the_ipv4_peer_it_is(host: Any) -> None:
    mapped = Peer("", f"::ffff:{host}", False)
    assert mapped.is_in((ip_network(host),))
    assert not mapped.is_in((ip_network("::/1"),))
    assert mapped.is_in(LOOPBACK) is host.is_loopback


@given(st.ip_addresses(v=4))
def test_a_translated_address_is_nobody_who_is_trusted(host: Any) -> None:
    # RFC 2765 §2.1: ::ffff:0:a.b.c.d, what a translator writes for an IPv4 host.
    assert not Peer("", f"::ffff:0:{host}", False).is_in(LOOPBACK)
    assert Peer("", f"::ffff:0:{host}", False).is_in((ip_network("::/0"),))


def test_a_link_local_peer_has_its_zone_and_is_who_it_is() -> None:
    assert Peer("", "fe80::1%eth0", False).is_in((ip_network("fe80::/10"),))


async def test_a_proxy_on_a_unix_socket_is_trusted(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = behind_a_proxy(
        trusted_proxies=(ip_network("192.0.2.0/24"),),
        listen=(Endpoint(Scheme.UNIX, path="echo.sock"),),
    )
    async with running_server(settings) as server:
        async with await trio.open_unix_socket("echo.sock") as client:
            await client.send_all(V1 + b"DESCONEXION\n")
            await read_all(client)
        assert [told["client"] for told in server.told.named("connected")] == ["203.0.113.7:40000"]


@pytest.mark.parametrize("texts", LANGUAGES.values())
async def test_every_reason_not_to_let_somebody_in_has_its_words(texts: Texts) -> None:
    lines: list[str] = []
    faults = [*(fault.name.lower() for fault in Fault), "untrusted", "late"]
    for fault in faults:
        events = Events()
        Journal(console_renderer(lines.append, texts)).listen_to(events)
        events.publish(ProxyHeaderRefused(ConnectionInfo(1, "p:1", "p:1", ""), fault, "seen"))
    assert len(lines) == len(set(lines)) == len(faults)
    assert all(line.startswith("[p:1] ") and "\n" not in line for line in lines)


# Who leaves again


@pytest.mark.parametrize("said", [b"", LOCAL])
@pytest.mark.parametrize("rude", [False, True])
async def test_a_probe_makes_no_noise(said: bytes, rude: bool) -> None:
    async with running_server(behind_a_proxy()) as server:
        probe = await server.connect()
        if said:
            await probe.send_all(said)
        if rude:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await probe.aclose()
        assert await server.ask(V1 + b"hola") == b"HOLA"
        await until(lambda: not server.registry.admitting)
        assert [event for event, _ in server.told.events] == [
            *("listening", "connected", "received", "replied", "closed")
        ]


async def test_a_proxy_that_speaks_for_itself_is_answered() -> None:
    async with running_server(behind_a_proxy()) as server, await server.connect() as probe:
        await probe.send_all(LOCAL)
        await until(lambda: len(server.registry.admitting) == 1)
        await probe.send_all(b"hola\n")
        assert await read_exactly(probe, 5) == b"HOLA\n"


async def test_a_proxys_own_connection_that_is_silent_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tcpecho_trio.server.proxy_stage.HEADER_TIME", 0.05)
    async with running_server(behind_a_proxy()) as server, await server.connect() as probe:
        await probe.send_all(LOCAL)
        await server.told.wait_for("connected")
        await probe.send_all(b"hola\n")
        assert await read_exactly(probe, 5) == b"HOLA\n"


@pytest.mark.parametrize("settings", [{"dialect": ADMIN}, {"dialect": INSPECT, "banner": True}])
async def test_where_the_server_speaks_first_a_probe_hears_it(settings: dict[str, Any]) -> None:
    async with (
        running_server(behind_a_proxy(**settings)) as server,
        await server.connect() as probe,
    ):
        await probe.send_all(LOCAL)
        assert await probe.receive_some()


async def test_a_bug_of_ours_costs_only_the_client_that_met_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    async with running_server(behind_a_proxy()) as server:
        with monkeypatch.context() as patched:
            patched.setattr("tcpecho_trio.server.proxy_stage.HeaderReader", broken)
            async with await server.connect() as client:
                await reset(client, V1)
        (told,) = server.told.named("crashed")
        assert "a bug" in told["traceback"]
        assert await server.ask(V1 + b"hola") == b"HOLA"


# TLS behind the header


async def test_the_header_comes_before_tls(certificates: Certificates) -> None:
    settings = behind_a_proxy(dialect=INSPECT)
    async with running_server(settings, tls=Tls(certificates.files)) as server:
        below = await server.connect()
        await below.send_all(V2)
        async with certificates.secured(below) as client:
            await client.send_all(b"INFORME\n")
            report = json.loads(await client.receive_some())
            assert report["client"] == "203.0.113.7:40000"
            assert report["tls"]["version"] == "TLSv1.3"


async def test_a_failed_handshake_names_the_client_that_the_proxy_named(
    certificates: Certificates,
) -> None:
    async with running_server(behind_a_proxy(), tls=Tls(certificates.files)) as server:
        async with await server.connect() as client:
            await client.send_all(V1 + b"hola\n")
            await read_all(client)
        (told,) = await server.told.wait_for("tls_refused")
        assert told["client"] == "203.0.113.7:40000"


async def test_tls_before_the_header_is_no_header(certificates: Certificates) -> None:
    async with running_server(behind_a_proxy(), tls=Tls(certificates.files)) as server:
        client = certificates.secured(await server.connect())
        with pytest.raises(trio.BrokenResourceError):
            await client.do_handshake()
        assert (await refusal(server))["fault"] == "not_proxy"
        await trio.aclose_forcefully(client)


# Room, and the end


async def test_whoever_is_still_arriving_takes_room() -> None:
    async with running_server(behind_a_proxy(max_connections=2)) as server:
        async with await server.connect() as talking, await server.connect():
            await talking.send_all(V1 + b"hola\n")
            assert await read_exactly(talking, 5) == b"HOLA\n"
            await until(lambda: len(server.registry.admitting) == 1)
            assert await server.ask(V1 + b"hola\n") == SERVER_FULL.encode()
        await until(lambda: not server.registry.places)
        assert await server.ask(V1 + b"hola\n") == b"HOLA\n"


async def test_whoever_is_refused_and_stays_keeps_nobody_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tcpecho_trio.server.admission.REFUSAL_TIME", 3600)
    settings = Settings(max_connections=1)
    async with running_server(settings) as server, contextlib.AsyncExitStack() as stack:
        talking = await server.connect()
        await until(lambda: server.registry.places == 1)
        for _ in range(3):
            refused = await stack.enter_async_context(await server.connect())
            assert await read_exactly(refused, 5) == SERVER_FULL.encode()[:5]
        await talking.aclose()
        await until(lambda: not server.registry.places)
        assert await server.ask(b"hola\n") == b"HOLA\n"


async def test_what_one_address_has_too_many_of_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tcpecho_trio.server.admission.REFUSAL_TIME", 3600)
    settings = behind_a_proxy(max_connections=2, max_connections_per_address=1)
    async with running_server(settings) as server, contextlib.AsyncExitStack() as stack:
        talking = await stack.enter_async_context(await server.connect())
        await talking.send_all(V1 + b"hola\n")
        assert await read_exactly(talking, 5) == b"HOLA\n"
        for _ in range(3):
            refused = await stack.enter_async_context(await server.connect())
            await refused.send_all(V1)
            assert await read_exactly(refused, 5) == b"ERROR"
        another = b"PROXY TCP4 203.0.113.8 203.0.113.1 40000 5000\r\n"
        assert await server.ask(another + b"hola\n") == b"HOLA\n"


@pytest.mark.parametrize("said", [b"", V1[:10], LOCAL])
async def test_the_drain_waits_for_no_introduction_for_long(said: bytes) -> None:
    async with (
        running_server(behind_a_proxy(drain_timeout=3600)) as server,
        await server.connect() as client,
    ):
        if said:
            await client.send_all(said)
        await until(lambda: len(server.registry.admitting) == 1)
        server.lifecycle.drain()
        await server.lifecycle.wait_stopped()
        assert await read_all(client) == b""
        assert server.told.named("proxy_refused") == server.told.named("connected") == []


@pytest.mark.parametrize("parts", [[V1 + b"hola\n"], [V1[:10], V1[10:] + b"hola\n"]])
async def test_whoever_introduces_themselves_as_the_drain_begins_is_answered(
    parts: list[bytes],
) -> None:
    async with running_server(behind_a_proxy(drain_timeout=3600)) as server:
        client = server.at_the_door(parts[0])
        server.lifecycle.drain()
        for part in parts[1:]:
            await until(lambda: len(server.registry.admitting) == 1)
            await client.send_all(part)
        assert await read_all(client) == b"HOLA\n"
        await client.aclose()


# Who may shut the server down

GREETING = ADMIN.greeting.encode()
SHUT_DOWN, REFUSED = "SERVIDOR CERRÁNDOSE...\n".encode(), b"ERROR: "


async def asked_to_end(header: bytes) -> bytes:
    async with running_server(behind_a_proxy(dialect=ADMIN)) as server:
        reply = await server.ask(header + b"DESCONEXION\n")
        assert reply.startswith(GREETING)
        assert server.lifecycle.draining is reply.endswith(SHUT_DOWN)
        return reply.removeprefix(GREETING)


@pytest.mark.parametrize("header", [V1, V2, encode_v1(("2001:db8::7", 1), ("2001:db8::1", 2))])
async def test_a_proxy_on_this_machine_lends_nobody_its_right_to_shut_down(header: bytes) -> None:
    assert (await asked_to_end(header)).startswith(REFUSED)


@pytest.mark.parametrize("header", [UNKNOWN, UNSPEC])
async def test_nor_does_it_to_somebody_whom_it_does_not_know(header: bytes) -> None:
    assert (await asked_to_end(header)).startswith(REFUSED)


@pytest.mark.parametrize(
    "header",
    [
        LOCAL,
        encode_v1(("127.0.0.1", 1), ("127.0.0.1", 2)),
        encode_v1(("::1", 1), ("::1", 2)),
        encode_v2(
            Header(2, Command.PROXY, Transport.UNIX_STREAM, b"/run/client", b"/run/balancer")
        ),
    ],
)
async def test_a_client_on_this_machine_may_shut_it_down_through_a_proxy(header: bytes) -> None:
    assert await asked_to_end(header) == SHUT_DOWN


@pytest.mark.parametrize(
    "header",
    [
        LOCAL,
        encode_v1(("127.0.0.1", 1), ("127.0.0.1", 2)),
        encode_v2(
            Header(2, Command.PROXY, Transport.UNIX_STREAM, b"/run/client", b"/run/balancer")
        ),
    ],
)
async def test_a_client_on_a_far_proxys_machine_is_not_on_this_one(
    header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Peer.of

    def far(sock: trio.socket.SocketType) -> Peer:
        return Peer(real(sock).name, "127.0.0.1", False)

    monkeypatch.setattr(Peer, "of", far)
    assert (await asked_to_end(header)).startswith(REFUSED)


async def test_listar_shows_the_real_clients() -> None:
    async with (
        running_server(behind_a_proxy(dialect=ADMIN)) as server,
        await server.connect() as other,
    ):
        await other.send_all(encode_v1(("2001:db8::7", 1), ("2001:db8::1", 2)))
        await read_exactly(other, len(GREETING))
        listing = (await server.ask(V1 + b"LISTAR\n")).removeprefix(GREETING).decode()
        assert listing == "Clientes conectados:\n[2001:db8::7]:1\n203.0.113.7:40000\n"


@pytest.mark.parametrize(
    ("path", "name"), [(b"/run/\x1b[2J", r"unix:/run/\x1b[2J"), (b"", "unix:")]
)
async def test_a_client_on_a_unix_socket_behind_the_proxy_has_its_path_escaped(
    path: bytes, name: str
) -> None:
    header = Header(2, Command.PROXY, Transport.UNIX_STREAM, path, b"/run/balancer")
    async with running_server(behind_a_proxy()) as server:
        assert await server.ask(encode_v2(header) + b"hola") == b"HOLA"
        (told,) = server.told.named("connected")
        assert told["client"] == name
