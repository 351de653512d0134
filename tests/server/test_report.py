"""What the backend saw: the report of the inspect dialect."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tcpecho_trio import __version__
from tcpecho_trio.dialects import INSPECT
from tcpecho_trio.proxy_protocol import HeaderReader
from tcpecho_trio.server import Settings
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.faults import Fault, Kind
from tcpecho_trio.server.report import ConnectionReport
from tcpecho_trio.server.stats import READ_SIZES, ConnectionStats
from tests.support.proxy_captures import V2_CERTIFICATE
from tests.support.running import read_all, read_exactly, running_server


def info(**fields: Any) -> ConnectionInfo:
    known: dict[str, Any] = {
        "number": 1,
        "client": "203.0.113.7:5",
        "peer": "127.0.0.1:6",
        "listener": "localhost:7",
    }
    return ConnectionInfo(**(known | fields))


def report(
    seen: ConnectionInfo,
    stats: ConnectionStats | None = None,
    *,
    name: str = "",
    identity: dict[str, str] | None = None,
) -> str:
    stats = stats or ConnectionStats(trio.current_time(), read_sizes=True)
    return ConnectionReport(seen, "127.0.0.1:7", stats).as_json(name, identity or {})


ANYTHING = st.text(st.characters())  # surrogates too: what a byte that is not UTF-8 becomes


@given(ANYTHING, ANYTHING, st.dictionaries(ANYTHING, ANYTHING), st.lists(ANYTHING))
def test_a_report_is_one_line_of_json_whatever_is_in_it(
    name: str, client: str, identity: dict[str, str], faults: list[str]
) -> None:
    async def body() -> None:
        seen = info(client=client, faults=tuple(faults), tls={"sni": client})
        line = report(seen, name=name, identity=identity)
        assert line.splitlines() == [line]
        assert line.isprintable()
        said = json.loads(line.encode())
        assert said["client"] == said["tls"]["sni"] == client
        assert said["server"]["name"] == name
        assert said["server"]["kubernetes"] == (identity or None)
        assert said["faults"] == faults

    trio.run(body)


@given(st.lists(st.binary(min_size=1)))
async def test_bytes_reads_and_messages_add_up(chunks: list[bytes]) -> None:
    stats = ConnectionStats(0.0, read_sizes=True)
    for chunk in chunks:
        stats.received(chunk, 3)
    stats.bytes_out, stats.unanswered = 7, (stats.messages_in or 0) - 2
    said = json.loads(report(info(), stats))
    assert said["bytes"] == {"in": len(b"".join(chunks)), "out": 7}
    assert said["messages"] == {"in": 3 * len(chunks), "out": 2}
    assert said["reads"]["count"] == len(chunks)
    assert said["reads"]["sizes"] == [len(chunk) for chunk in chunks][-READ_SIZES:]


async def test_the_latest_read_sizes_are_kept() -> None:
    stats = ConnectionStats(0.0, read_sizes=True)
    for size in range(1, 1001):
        stats.received(b"x" * size, 1)
    reads = json.loads(report(info(), stats))["reads"]
    assert reads == {"count": 1000, "sizes": list(range(1001 - READ_SIZES, 1001))}


async def test_the_age_is_since_the_conversation_began(autojump_clock: MockClock) -> None:
    stats = ConnectionStats(trio.current_time())
    await trio.sleep(12.5)
    assert json.loads(report(info(), stats))["age_seconds"] == 12.5


async def test_what_a_proxy_said_is_in_it() -> None:
    reader = HeaderReader()
    reader.receive_data(V2_CERTIFICATE)
    line = report(info(header=reader.header))
    said = json.loads(line)
    assert said["proxy"]["source"] == "127.0.0.1:41730"
    assert "front.example.org" in json.dumps(said["proxy"]["tlvs"])
    assert "Ñandú client" in line


# Over a connection

SETTINGS = Settings(dialect=INSPECT, name="azul", identity={"POD_NAME": "echo-0"})


@pytest.mark.parametrize("word", [b"INFORME\n", b"REPORT\r\n"])
async def test_a_client_asks_for_its_own_report(word: bytes) -> None:
    async with running_server(SETTINGS) as server, await server.connect() as client:
        await client.send_all(b"hola\nadios\n")
        assert await read_exactly(client, 11) == b"HOLA\nADIOS\n"
        await client.send_all(word)
        await client.send_eof()
        report = await read_all(client)
        assert report.endswith(word.removeprefix(b"INFORME").removeprefix(b"REPORT"))
        said = json.loads(report)
        assert said.pop("age_seconds") >= 0
        host, port = client.socket.getsockname()
        assert said == {
            "connection": 1,
            "client": f"{host}:{port}",
            "peer": f"{host}:{port}",
            "local": f"127.0.0.1:{server.port}",
            "listener": f"127.0.0.1:{server.port}",
            "proxy": None,
            "tls": None,
            "bytes": {"in": 11 + len(word), "out": 11},
            "messages": {"in": 3, "out": 2},
            "reads": said["reads"],
            "faults": [],
            "server": {
                "name": "azul",
                "version": __version__,
                "host": socket.gethostname(),
                "pid": said["server"]["pid"],
                "kubernetes": {"POD_NAME": "echo-0"},
            },
        }
        assert sum(said["reads"]["sizes"]) == 11 + len(word)


async def test_one_of_several_processes_says_which_one_it_is() -> None:
    async with running_server(replace(SETTINGS, worker=2)) as server:
        assert json.loads(await server.ask(b"INFORME"))["server"]["worker"] == 2


async def test_an_unframed_client_gets_its_report_without_a_terminator() -> None:
    async with running_server(SETTINGS) as server:
        report = await server.ask(b"INFORME")
        assert not report.endswith(b"\n")
        assert json.loads(report)["bytes"]["in"] == 7


async def test_a_report_counts_the_one_before_it() -> None:
    async with running_server(SETTINGS) as server, await server.connect() as client:
        await client.send_all(b"REPORT\n")
        first = await client.receive_some()
        await client.send_all(b"REPORT\n")
        second = json.loads(await client.receive_some())
        assert second["bytes"] == {"in": 14, "out": len(first)}
        assert second["messages"]["out"] == 1


async def test_connections_are_numbered_as_they_come() -> None:
    async with running_server(SETTINGS) as server:
        reports = [json.loads(await server.ask(b"INFORME\n")) for _ in range(3)]
        assert [report["connection"] for report in reports] == [1, 2, 3]


async def test_faults_are_in_it() -> None:
    settings = Settings(dialect=INSPECT, faults=(Fault(Kind.DELAY, 0.01),))
    async with running_server(settings) as server:
        assert json.loads(await server.ask(b"INFORME\n"))["faults"] == ["delay:0.01s"]


async def test_the_banner_is_the_report_before_anybody_has_spoken() -> None:
    settings = Settings(dialect=INSPECT, banner=True)
    async with running_server(settings) as server, await server.connect() as client:
        banner = await client.receive_some()
        assert banner.endswith(b"\n")
        assert json.loads(banner)["bytes"] == {"in": 0, "out": 0}
        await client.send_all(b"DESCONEXION\n")
        assert await read_all(client) == "Conexión cerrada\n".encode()


async def test_a_dialect_that_reports_nothing_has_no_banner() -> None:
    async with running_server(Settings(banner=True)) as server:
        assert await server.ask(b"INFORME\n") == b"INFORME\n"
