"""The access log: one line for each connection that has closed, and none else."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from typing import Any

import pytest
import trio

from tcpecho_trio.dialects import ADMIN
from tcpecho_trio.proxy_protocol import Header, Tlv, TlvType
from tcpecho_trio.proxy_protocol.encoder import encode_v2
from tcpecho_trio.server import Settings
from tcpecho_trio.server.access_log import FIELDS, AccessLog
from tcpecho_trio.server.faults import Fault
from tcpecho_trio.server.tls import Tls
from tests.support.certificates import Certificates
from tests.support.processes import ROOT
from tests.support.running import Running, read_all, read_exactly, running_server, until

PAGE = (ROOT / "docs" / "access-log.md").read_text()


class Lines(list[dict[str, Any]]):
    """What an access log has written."""

    def __init__(self, server: Running, *, probes: bool = False) -> None:
        super().__init__()
        AccessLog(self._put, "azul", probes=probes).listen_to(server.events)

    def _put(self, line: str) -> None:
        assert line.isascii()
        assert line.isprintable()
        self.append(json.loads(line))


async def test_a_line_says_what_a_client_did_exactly(path: str) -> None:
    async with running_server() as server:
        lines = Lines(server)
        async with await server.connect() as client:
            peer = "{}:{}".format(*client.socket.getsockname())
            await client.send_all("hola\nñandú\nDESCONEXION\n".encode())
            assert await read_all(client) == "HOLA\nÑANDÚ\nConexión cerrada\n".encode()
        await server.endings(1)
    (line,) = lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert 0 < line.pop("seconds") < 60
    assert line == {
        "connection": 1,
        "client": peer,
        "peer": peer,
        "listener": f"127.0.0.1:{server.port}",
        "proxy": None,
        "tls": None,
        "bytes_in": 5 + 8 + 12,
        "bytes_out": 5 + 8 + 18,
        "messages_in": 3,
        "messages_out": 3,
        "reason": "disconnected",
        "faults": [],
        "server": "azul",
    }


async def test_it_tells_of_proxy_tls_and_faults(certificates: Certificates) -> None:
    tlvs = (Tlv(TlvType.UNIQUE_ID, b"abc\x1b"), Tlv(TlvType.AUTHORITY, b"example.org" * 30))
    header = Header.relaying(("192.0.2.1", 56324), ("192.0.2.9", 443), tlvs)
    settings = Settings(proxy_protocol=True, faults=(Fault.parse("close:3"),))
    async with running_server(settings, tls=Tls(certificates.files)) as server:
        lines = Lines(server)
        client = await server.connect()
        await client.send_all(encode_v2(header))
        secured = certificates.secured(client)
        await secured.send_all(b"hola\n")
        assert await read_exactly(secured, 3) == b"HOL"
        await client.aclose()
        await server.endings(1)
    (line,) = lines
    assert line["client"] == "192.0.2.1:56324"
    assert line["peer"].startswith("127.0.0.1:")
    assert line["proxy"] == {
        "version": 2,
        "command": "proxy",
        "transport": "tcp4",
        "source": "192.0.2.1:56324",
        "destination": "192.0.2.9:443",
        "unique_id": "abc\\x1b",
        "authority": ("example.org" * 30)[:254] + "…",
    }
    assert {"version", "cipher", "sni", "alpn", "client"} == line["tls"].keys()
    assert line["tls"]["sni"] == "localhost"
    assert (line["reason"], line["faults"]) == ("fault", ["close:3"])


async def test_who_was_not_let_in_has_a_line_too(certificates: Certificates) -> None:
    settings = Settings(max_connections=1, proxy_protocol=True)
    async with running_server(settings, tls=Tls(certificates.files)) as server:
        lines = Lines(server)
        header = encode_v2(Header.relaying(("192.0.2.1", 56324), ("192.0.2.9", 443)))
        async with await server.connect() as first, await server.connect() as second:
            await read_all(second)
            await first.send_all(b"no header\n")
            with pytest.raises(trio.BrokenResourceError):
                await read_all(first)
        async with await server.connect() as third:
            await third.send_all(header + b"no handshake")
            await read_all(third)
        await server.endings(3)
    assert sorted((line["reason"], line["bytes_in"]) for line in lines) == [
        ("full", 0),
        ("proxy_header", 0),
        ("tls_handshake", 0),
    ]
    assert [list(line) for line in lines] == [list(FIELDS)] * 3


@pytest.mark.parametrize("probes", [False, True])
async def test_probes_are_left_out_unless_asked_for(
    probes: bool, certificates: Certificates
) -> None:
    for tls in (None, Tls(certificates.files)):
        async with running_server(tls=tls) as server:
            lines = Lines(server, probes=probes)
            socket.create_connection(("127.0.0.1", server.port)).close()
            await server.endings(1)
        assert [line["reason"] for line in lines] == ["probe"] * probes


async def test_who_was_cut_while_being_let_in_has_a_line(certificates: Certificates) -> None:
    async with running_server(tls=Tls(certificates.files)) as server:
        lines = Lines(server)
        async with await server.connect() as client:
            await client.send_all(b"\x16")  # the first byte of a handshake
            await until(lambda: bool(server.registry.admitting))
            server.lifecycle.abort()
            await server.lifecycle.wait_stopped()
    assert [line["reason"] for line in lines] == ["aborted"]


async def test_a_bug_of_ours_has_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    async with running_server() as server:
        lines = Lines(server)

        async def hit(what: str) -> None:
            before = server.registry.closed
            with monkeypatch.context() as patch:
                patch.setattr(f"tcpecho_trio.server.{what}", fail)
                async with await server.connect() as client:
                    with contextlib.suppress(trio.BrokenResourceError):
                        await client.send_all(b"DESCONEXION\n")  # more than plain traffic
                        await read_all(client)
                await until(lambda: server.registry.closed > before)

        await hit("admission.Connection")  # before it is let in
        await hit("connection.Connection._converse")  # and after
    assert [line["reason"] for line in lines] == ["crashed", "crashed"]
    assert [line["connection"] for line in lines] == [1, 2]


async def test_every_connection_of_a_few_hundred_has_a_line(path: str) -> None:
    async with running_server(Settings(dialect=ADMIN)) as server:
        lines = Lines(server)

        async def visit(number: int) -> None:
            async with await server.connect() as client:
                await read_exactly(client, len(ADMIN.greeting.encode()))
                await client.send_all(b"x" * number + b"\n")
                await read_exactly(client, number + 1)

        for start in range(0, 300, 100):
            async with trio.open_nursery() as nursery:
                for number in range(start, start + 100):
                    nursery.start_soon(visit, number)
        await until(lambda: server.registry.closed == 300)
    assert sorted(line["connection"] for line in lines) == list(range(1, 301))
    assert sum(line["bytes_in"] for line in lines) == server.registry.totals().bytes_in
    assert sorted(line["bytes_in"] for line in lines) == list(range(1, 301))
    assert {line["messages_in"] for line in lines} == {1}


def test_the_page_lists_the_fields() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert listed == list(FIELDS)
