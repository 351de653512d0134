"""The endpoint of a server of several processes: all in one, exactly."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.admin.several import WORKERS, Several, balanced, on_each, several, total
from tests.networks.programs import program
from tests.support.certificates import Certificates
from tests.support.processes import OldClient, ServerProcess
from tests.support.web import Conversation, Web, ask, events

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are stopped and watched")


def test_the_figures_of_all_workers_are_what_clients_did_exactly(server: Several) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(OldClient(server.port)) for _ in range(20)]
        for number, client in enumerate(clients):
            for _ in range(number):
                assert client.ask("ñandú\n") == "ÑANDÚ\n"
        for client in clients[:5]:
            client.socket.sendall(b"DESCONEXION\n")
            while client.hear():
                pass
        status = server.until(lambda status: status["clients"] == 15)
        said = sum(range(20))
        assert status["totals"] == {
            "accepted": 20,
            "probes": 0,
            "closed": {"disconnected": 5},
            "refused": {},
            "bytes_in": 8 * said + 5 * 12,
            "bytes_out": 8 * said + 5 * len("Conexión cerrada\n".encode()),
            "messages_in": said + 5,
            "messages_out": said + 5,
        }
        figures = server.figures()
        assert figures["received_messages_total", ""] == said + 5
        assert figures["connections_closed_total", "disconnected"] == 5
        assert figures["commands_total", "disconnect"] == 5
        assert figures["connection_duration_seconds_count", ""] == 5
        workers = {str(number) for number in range(1, WORKERS + 1)}
        active = {w: n for (name, w), n in figures.items() if name == "connections_active"}
        assert active.keys() == workers
        assert sum(active.values()) == 15
        assert figures["workers", ""] == WORKERS
        assert {w for (name, w), up in figures.items() if name == "worker_up" and up} == workers
        own = {w for name, w in figures if name == "process_resident_memory_bytes"}
        assert own == {*workers, "supervisor"}
        assert balanced(figures)
        assert sum(worker["clients"] for worker in status["workers"]) == 15


def test_the_clients_of_all_workers_are_listed_in_the_order_of_arrival(server: Several) -> None:
    with ExitStack() as stack:
        addresses = []
        for _ in range(30):
            client = stack.enter_context(OldClient(server.port))
            client.ask("hola\n")
            addresses.append("{}:{}".format(*client.socket.getsockname()[:2]))
        listed = server.clients()
        assert [client["client"] for client in listed] == addresses
        assert len({client["number"] for client in listed}) == 30
        assert {client["worker"] for client in listed} == {"1", "2", "3"}
        assert [client["client"] for client in server.clients("?limit=7")] == addresses[:7]
        (found,) = server.clients(f"?contains={addresses[20]}")
        assert found["number"] == listed[20]["number"]
        assert ask(server.where, "GET", "/api/clients?limit=0").json == {"clients": [], "total": 30}
        assert ask(server.where, "DELETE", f"/api/clients/{found['number']}").status == 204
        server.until(lambda status: status["totals"]["closed"] == {"operator": 1})
        assert ask(server.where, "DELETE", f"/api/clients/{found['number']}").status == 404


def test_more_clients_than_one_answer_has_are_all_listed(server: Several) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(OldClient(server.port)) for _ in range(700)]
        for client in clients:
            client.ask("a\n")
        listed = server.clients()
        assert len({client["number"] for client in listed}) == 700
        since = [client["since"] for client in listed]
        assert since == sorted(since)


def test_what_happens_at_any_worker_is_told(server: Several) -> None:
    with ExitStack() as stack:
        clients = on_each(server, stack)
        with events(server.where) as told:
            next(told)  # it is open
            server.status()  # what workers were told before they have obeyed by now
            for worker, client in clients.items():
                client.ask(f"soy de {worker}\n")
                for name, fields in told:
                    if name == "replied":
                        assert fields["text"] == f"SOY DE {worker}"
                        break
        address = "{}:{}".format(*clients["2"].socket.getsockname()[:2])
        with events(server.where, query=f"?contains={address}") as told:
            next(told)
            server.status()
            for client in clients.values():
                client.ask("hola\n")
            clients["2"].ask("el último\n")
            heard = []
            for name, fields in told:
                if name == "received":
                    heard.append((fields["client"], fields["text"]))
                    if fields["text"] == "el último":
                        break
        assert heard == [(address, "hola"), (address, "el último")]


def test_a_sample_is_the_sum_of_all_workers(server: Several) -> None:
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(OldClient(server.port)).ask("hola\n")
        with events(server.where) as told:
            sample = next(f for name, f in told if name == "sample" and f["messages_out"] == 12)
    assert sample["clients"] == sample["accepted"] == sample["messages_in"] == 12
    assert sample["bytes_in"] == sample["bytes_out"] == 60
    assert sample["phase"] == "running"


def test_a_flood_at_all_workers_is_sampled_and_counted(server: Several) -> None:
    with ExitStack() as stack, events(server.where) as told:
        next(told)
        server.status()
        clients = on_each(server, stack).values()
        said = total(server.figures(), "received_messages_total")
        shown = omitted = 0
        for client in clients:
            client.socket.sendall(b"hola\n" * 3000)
        for name, fields in told:
            shown += name == "received"
            omitted += fields["count"] if name == "more_messages" else 0
            if shown + omitted >= said + 3000 * WORKERS:
                break
        assert shown + omitted == said + 3000 * WORKERS
        assert omitted > 0


def test_a_conversation_of_the_web_is_one_of_a_workers_clients(server: Several) -> None:
    with (
        Conversation(server.where, protocol="tcpecho.introduced") as one,
        Conversation(server.where) as two,
    ):
        one.say("hola\n")
        introduced = json.loads(bytes(one._next().data))
        one.hear("HOLA\n")
        two.say("x" * 200_000 + "\n")
        two.hear("X" * 200_000 + "\n")
        listed = server.clients("?contains=web")
        assert introduced["connection"] in {client["number"] for client in listed}
        assert {client["listener"] for client in listed} == {"web"}
        assert len({client["worker"] for client in listed}) == 2  # the one with the fewest clients
        assert ask(server.where, "DELETE", f"/api/clients/{introduced['connection']}").status == 204
        assert one.end() == (1000, "operator")
        two.say("DESCONEXION\n")
        two.hear("Conexión cerrada\n")
        assert two.end() == (1000, "disconnected")
    server.until(lambda status: status["clients"] == 0)
    assert server.figures()["connections_accepted_total", "web"] == 2


def test_promtool_has_nothing_to_say_about_workers(server: Several) -> None:
    promtool = program("promtool")
    body = ask(server.where, "GET", "/metrics").body
    done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_over_tls_a_browsers_way_to_a_worker_is_the_same(
    tmp_path: Path, certificates: Certificates
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cr3t")
    files = certificates.files
    options = [
        *("--processes", "2", "--admin", "https://localhost:0", "--admin-token-file", str(token)),
        *("--tls-cert", files.certificate, "--tls-key", files.key),
    ]
    server = ServerProcess(*options)
    try:
        port = int(server.wait_for(r"https://localhost:(\d+)")[1])
        context = certificates.client()
        with Overlaid(port, context, authorization="Bearer s3cr3t") as browser:
            browser.say("ñandú " * 20_000 + "\n")
            browser.hear("ÑANDÚ " * 20_000 + "\n")
            browser.say("DESCONEXION\n")
            browser.hear("Conexión cerrada\n")
            assert browser.end() == (1000, "disconnected")
        assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.communicate()


class Overlaid(Conversation):
    """A client over a WebSocket over TLS."""

    def __init__(self, port: int, context: ssl.SSLContext, **headers: str) -> None:
        self._context = context
        super().__init__(port, **headers)

    def open(self, where: int | str) -> Web:
        web = Web(where)
        web.socket = self._context.wrap_socket(web.socket, server_hostname="localhost")
        return web


def test_a_conversation_of_the_web_has_its_line_in_the_access_log(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with (
        several(tmp_path, "--access-log", str(log)) as server,
        Conversation(server.where) as browser,
    ):
        browser.say("hola\n")
        browser.hear("HOLA\n")
        (listed,) = server.clients("?contains=web")
        browser.say("DESCONEXION\n")
        browser.hear("Conexión cerrada\n")
        assert browser.end()[0] == 1000
    (line,) = map(json.loads, log.read_text().splitlines())
    assert line["client"] == line["peer"] == listed["client"]
    assert line["client"].startswith("web:unix:")
    assert (line["listener"], line["messages_in"]) == ("web", 2)
    assert (line["connection"], line["worker"]) == (listed["number"], int(listed["worker"]))
