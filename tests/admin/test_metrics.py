"""The figures for Prometheus: they equal what clients did, exactly."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tcpecho_trio.dialects import ADMIN, INSPECT
from tcpecho_trio.server import Settings
from tcpecho_trio.server.tls import Tls
from tests.networks.programs import program
from tests.support.administered import Administered, administered, until
from tests.support.certificates import Certificates
from tests.support.ports import free_ports
from tests.support.processes import PATIENCE, ROOT, OldClient
from tests.support.web import Conversation, ask, events

Where = int | str
PAGE = (ROOT / "docs" / "metrics.md").read_text()
Figures = dict[tuple[str, str], float]


def scraped(where: Where) -> Figures:
    """Every figure by its name and its labels' values."""
    text = ask(where, "GET", "/metrics").body.decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def changed(figures: Figures) -> dict[str, float]:
    """The server's own figures that are not zero, without those of time."""
    return {
        f"{name.removeprefix('tcpecho_')} {labels}".strip(): value
        for (name, labels), value in figures.items()
        if value and name.startswith("tcpecho_") and not re.search("_(delay|build|duration)_", name)
    }


async def test_they_equal_what_clients_did(path: str) -> None:
    async with administered(Settings(dialect=ADMIN, max_connections=2)) as server:

        def play(where: Where) -> Figures:
            with OldClient(server.port) as one, OldClient(server.port) as two:
                for client in (one, two):
                    client.hear()
                    client.ask("hola\n")
                one.ask("LISTAR\n")
                with OldClient(server.port) as three:
                    assert three.hear().startswith("ERROR")
                assert two.ask("APAGAR\n")
                while two.hear():
                    pass
                while ask(where, "GET", "/api/status").json["totals"]["closed"] != {
                    "disconnected": 1
                }:
                    pass
                return scraped(where)

        figures = await server.play(play)
        here = f"127.0.0.1:{server.port}"
        greeting = len(ADMIN.greeting.encode())
        totals = server.registry.totals()
        assert changed(figures) == {
            f"connections_accepted_total {here}": 3,
            "connections_active": 1,
            "connections_closed_total disconnected": 1,
            "connections_refused_total full": 1,
            "received_bytes_total": 5 + 5 + 7 + 7,
            "sent_bytes_total": totals.bytes_out,
            "received_messages_total": 4,
            "sent_messages_total": 4,
            "commands_total list": 1,
            "commands_total disconnect": 1,
        }
        assert totals.bytes_out > 2 * greeting + 10
        assert figures["tcpecho_connection_duration_seconds_count", ""] == 1
        assert figures["tcpecho_connection_duration_seconds_bucket", "+Inf"] == 1


async def test_probes_handshakes_and_faults_are_counted(certificates: Certificates) -> None:
    async with administered(tls=Tls(certificates.files)) as server:

        def play(where: Where) -> None:
            socket.create_connection(("127.0.0.1", server.port)).close()
            with socket.create_connection(("127.0.0.1", server.port)) as wrong:
                wrong.sendall(b"no handshake at all")
                while wrong.recv(100):
                    pass
            ask(where, "PUT", "/api/faults", b'{"faults": ["drip:100", "delay:1ms", "stall@0"]}')
            bare = socket.create_connection(("127.0.0.1", server.port))
            with certificates.client().wrap_socket(bare, server_hostname="localhost") as client:
                client.sendall(b"hola\n")
                assert client.recv(1)

        await server.play(play)
        await until(lambda: server.registry.closed == 3)
        figures = changed(await server.play(scraped))
        assert figures.pop(f"connections_accepted_total tls://127.0.0.1:{server.port}") == 3
        assert figures.pop("connections_closed_total probe") == figures.pop("probes_total") == 1
        assert figures.pop("connections_refused_total tls_handshake") == 1
        assert figures.pop("tls_handshake_failures_total") == 1
        assert figures.pop("faults_injected_total drip") == 1
        assert figures.pop("faults_injected_total delay") == 1
        assert not [name for name in figures if "fault" in name or "refused" in name]


async def test_a_reported_command_and_a_conversation_of_the_web_are_counted() -> None:
    async with administered(Settings(dialect=INSPECT)) as server:

        def play(where: Where) -> dict[str, float]:
            with Conversation(where) as client:
                client.say("INFORME\n")
                assert client._next()
                return changed(scraped(where))

        figures = await server.play(play)
        assert figures["commands_total report"] == 1
        assert figures["connections_accepted_total web"] == 1


async def test_a_drain_is_a_gauge() -> None:
    async with administered() as server:

        def play(where: Where) -> float:
            with events(where) as stream, OldClient(server.port) as client:
                client.ask("hola\n")
                ask(where, "POST", "/api/drain")
                while next(stream)[0] != "draining":
                    pass
                return scraped(where)["tcpecho_draining", ""]

        assert await server.play(play) == 1


async def test_lost_lines_are_counted() -> None:
    async with administered() as server:
        server.state.lost_lines = lambda: 7
        assert changed(await server.play(scraped))["log_lines_dropped_total"] == 7


async def test_accepted_is_active_and_closed_and_refused() -> None:
    async with administered(Settings(max_connections=3)) as server:

        def play(where: Where) -> Figures:
            clients = [OldClient(server.port) for _ in range(8)]
            for client in clients[::2]:
                client.socket.close()
            clients[1].socket.sendall(b"hola\n")
            figures = scraped(where)
            for client in clients:
                client.socket.close()
            return figures

        figures = await server.play(play)

        def total(name: str) -> float:
            return sum(value for (found, _), value in figures.items() if found == name)

        assert total("tcpecho_connections_accepted_total") == sum(
            total(f"tcpecho_connections_{name}")
            for name in ("active", "closed_total", "refused_total")
        )


async def test_every_listed_metric_is_there_and_no_other() -> None:
    async with administered() as server:
        text = (await server.play(ask, "GET", "/metrics")).body.decode()
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    ours = {name: kind for name, kind in families.items() if name.startswith("tcpecho_")}
    alone = PAGE.partition("A server of [several processes]")[0]
    listed = re.findall(r"^\| `(tcpecho_\w+)[^`]*` \| (\w+) \|", alone, re.MULTILINE)
    assert {name.removesuffix("_total"): kind for name, kind in listed} == ours
    assert {"process_resident_memory_bytes", "process_open_fds"} <= families.keys()


async def test_openmetrics_is_spoken_to_whoever_asks_for_it() -> None:
    async with administered() as server:

        def play(where: Where) -> tuple[str, bytes]:
            accept = "application/openmetrics-text; version=1.0.0"
            answer = ask(where, "GET", "/metrics", accept=accept)
            return answer.headers["content-type"], answer.body

        media, body = await server.play(play)
        assert media.startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")


async def test_promtool_has_nothing_to_say() -> None:
    promtool = program("promtool")
    async with administered() as server:

        def play(where: Where) -> subprocess.CompletedProcess[bytes]:
            body = ask(where, "GET", "/metrics").body
            return subprocess.run(
                [promtool, "check", "metrics"], input=body, capture_output=True, check=False
            )

        done = await server.play(play)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_a_real_prometheus_scrapes_what_clients_did(tmp_path: Path) -> None:
    prometheus = program("prometheus")
    token = tmp_path / "token"
    token.write_text("s3cr3t")
    async with administered(token="s3cr3t") as server:
        await server.play(_scrape_with, server, prometheus, tmp_path)


def _scrape_with(where: Where, server: Administered, prometheus: str, folder: Path) -> None:
    with OldClient(server.port) as client:
        for _ in range(17):
            client.ask("hola\n")
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            "scrape_configs:\n"
            "  - job_name: tcpecho\n"
            f"    authorization: {{credentials_file: {folder / 'token'}}}\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{where}']}}]\n"
        )
        (port,) = free_ports(1)
        command = [prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        with subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.PIPE
        ) as process:
            try:
                found = _query(port, "tcpecho_received_messages_total")
                assert found == "17", found
                assert _query(port, 'up{job="tcpecho"}') == "1"
            finally:
                process.kill()
                process.communicate()


def _query(port: int, query: str) -> str:
    """What Prometheus says, once it says anything."""
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.request.quote(query)}"  # type: ignore[attr-defined]
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:  # it is just starting
            result = []
        if result:
            return str(result[0]["value"][1])
        time.sleep(0.2)  # it tells nobody when it has scraped
    pytest.fail(f"Prometheus never had {query}")
