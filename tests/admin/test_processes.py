"""The endpoint of a server of several processes: all in one, exactly, whatever befalls a worker."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tcpecho_trio.admin.figures import Figures, as_plain, from_plain
from tcpecho_trio.cluster.workforce import SLOTS_A_SEAT
from tests.networks.programs import program
from tests.support.certificates import Certificates
from tests.support.processes import AT_ONCE, PATIENCE, OldClient, ServerProcess
from tests.support.web import Conversation, Web, ask, events

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are stopped and watched")

WORKERS = 3


class Several(ServerProcess):
    """A server of several processes, and its endpoint."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.where = str(folder / "admin.sock")
        self.signalled: set[int] = set()
        several = ("--processes", str(WORKERS), "--admin", f"unix://{self.where}")
        super().__init__(*several, *options)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = ask(self.where, "GET", "/api/status").json
        return status

    def workers(self) -> dict[str, dict[str, Any]]:
        return {worker["worker"]: worker for worker in self.status()["workers"]}

    def clients(self, query: str = "") -> list[dict[str, Any]]:
        clients: list[dict[str, Any]] = ask(self.where, "GET", f"/api/clients{query}").json[
            "clients"
        ]
        return clients

    def figures(self) -> dict[tuple[str, str], float]:
        text = ask(self.where, "GET", "/metrics").body.decode()
        return {
            (sample.name.removeprefix("tcpecho_"), ",".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def signal(self, worker: str, number: signal.Signals) -> int:
        """Send one worker a signal; return its process."""
        pid = int(self.workers()[worker]["pid"])
        os.kill(pid, number)
        self.signalled.add(pid)
        return pid

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status of which something is true."""
        end = time.monotonic() + PATIENCE
        while not true(status := self.status()):
            assert time.monotonic() < end, status
        return status


@contextmanager
def several(folder: Path, *options: str) -> Iterator[Several]:
    server = Several(folder, *options)
    try:
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.communicate()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Several]:
    with several(tmp_path) as server:
        yield server


def on_each(server: Several, stack: ExitStack) -> dict[str, OldClient]:
    """A client of each worker, that has said `hola`."""
    found: dict[str, OldClient] = {}
    while len(found) < WORKERS:
        client = stack.enter_context(OldClient(server.port))
        assert client.ask("hola\n") == "HOLA\n"
        address = "{}:{}".format(*client.socket.getsockname()[:2])
        (own,) = server.clients(f"?contains={address}")
        found.setdefault(own["worker"], client)
    return found


def total(figures: dict[tuple[str, str], float], name: str) -> float:
    return sum(value for (found, _), value in figures.items() if found == name)


def balanced(figures: dict[tuple[str, str], float]) -> bool:
    """Whoever was accepted is there, has left, or was refused."""
    parts = ("connections_active", "connections_closed_total", "connections_refused_total")
    return total(figures, "connections_accepted_total") == sum(total(figures, p) for p in parts)


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


def test_no_counter_goes_backwards_when_a_worker_is_killed(server: Several) -> None:
    with ExitStack() as stack, events(server.where) as told:
        clients = on_each(server, stack)
        before = server.figures()
        began = {worker["pid"] for worker in server.workers().values()}
        pid = server.signal("2", signal.SIGKILL)
        died = next(fields for name, fields in told if name == "worker_died")
        assert (died["worker"], died["pid"], died["signal"]) == (2, pid, "SIGKILL")
        after = server.figures()
        for (name, labels), value in before.items():
            if name.endswith(("_total", "_count", "_bucket")) and "process" not in name:
                assert after[name, labels] >= value, (name, labels)
        assert balanced(after)
        lost = before["connections_active", "2"]
        assert after["connections_closed_total", "worker_lost"] == lost == died["lost"]
        assert after["worker_restarts_total", ""] == 1
        # The others notice nothing, and another one comes.
        assert clients["1"].ask("sigo\n") == "SIGO\n"
        assert clients["3"].ask("sigo\n") == "SIGO\n"
        status = server.until(
            lambda status: len({worker["pid"] for worker in status["workers"]} - began) == 1
        )
        assert len(status["workers"]) == WORKERS
        assert status["restarts"] == 1
        assert balanced(server.figures())


def test_a_frozen_worker_costs_a_bounded_wait_and_is_said_to_be_stale(server: Several) -> None:
    with ExitStack() as stack:
        clients = on_each(server, stack)
        before = server.figures()
        pid = server.signal("1", signal.SIGSTOP)
        try:
            began = time.monotonic()
            figures = server.figures()
            assert time.monotonic() - began < AT_ONCE
            assert figures["connections_active", "1"] == before["connections_active", "1"]
            # Whoever asks for the list gets that of the others.
            assert {client["worker"] for client in server.clients()} <= {"2", "3"}
            number = next(c["number"] for c in server.clients() if c["worker"] == "2")
            assert ask(server.where, "DELETE", f"/api/clients/{number}").status == 204
            assert ask(server.where, "GET", "/readyz").status == 200
            assert clients["3"].ask("sigo\n") == "SIGO\n"
            stale = server.until(lambda status: any(w["stale"] for w in status["workers"]))
            assert [w["worker"] for w in stale["workers"] if w["stale"]] == ["1"]
            assert server.figures()["worker_up", "1"] == 0
            with Conversation(server.where) as browser:  # another worker takes it
                browser.say("hola\n")
                browser.hear("HOLA\n")
        finally:
            os.kill(pid, signal.SIGCONT)
        server.until(lambda status: not any(w["stale"] for w in status["workers"]))
        assert balanced(server.figures())


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


def test_faults_are_those_of_all_workers_and_of_those_to_come(server: Several) -> None:
    answer = ask(server.where, "PUT", "/api/faults", b'{"faults": ["close:3"]}')
    assert answer.json == {"faults": ["close:3"]}
    assert ask(server.where, "PUT", "/api/faults", b'{"faults": ["nonsense"]}').status == 422
    assert ask(server.where, "GET", "/api/faults").json == {"faults": ["close:3"]}
    pids = {worker["pid"] for worker in server.workers().values()}
    server.signal("3", signal.SIGKILL)
    server.until(lambda status: len({w["pid"] for w in status["workers"]} - pids) == 1)
    suffered: set[str] = set()
    with events(server.where) as told:
        next(told)
        workers = server.workers().keys()
        while suffered != workers:
            with OldClient(server.port) as client:
                assert client.ask("hola\n") == "HOL"
            fields = next(fields for name, fields in told if name == "faulty")
            slot = (int(fields["connection"]) - 1) % (SLOTS_A_SEAT * WORKERS)
            suffered.add(str(slot + 1))
    ask(server.where, "PUT", "/api/faults", b'{"faults": []}')
    with OldClient(server.port) as client:
        assert client.ask("hola\n") == "HOLA\n"


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


def test_a_full_server_is_not_ready_and_refuses_browsers_too(tmp_path: Path) -> None:
    with several(tmp_path, "--max-connections", "2") as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(OldClient(server.port)).ask("hola\n")
        server.until(lambda status: status["reason"] == "full")
        assert ask(server.where, "GET", "/readyz").status == 503
        with Conversation(server.where) as browser:
            browser.hear("ERROR: el servidor está lleno, inténtalo más tarde\n")
            assert browser.end() == (1013, "full")
        server.until(lambda status: status["totals"]["refused"] == {"full": 1})


def test_the_drain_is_seen_to_its_end_and_held_up_by_nobody(tmp_path: Path) -> None:
    with several(tmp_path, "--drain-timeout", "2") as server, ExitStack() as stack:
        clients = on_each(server, stack)
        stuck = stack.enter_context(Conversation(server.where))
        stuck.socket.settimeout(0.2)
        try:
            while True:
                stuck.say("x" * 60_000 + "\n")
        except OSError:  # nobody reads the replies
            pass
        browser = stack.enter_context(Conversation(server.where))
        browser.say("hola\n")
        browser.hear("HOLA\n")
        told = stack.enter_context(events(server.where))
        next(told)
        assert ask(server.where, "POST", "/api/drain").status == 202
        names = []
        for name, fields in told:
            if name == "draining":
                assert fields["reason"] == "admin"
                assert ask(server.where, "GET", "/readyz").body == b"draining\n"
                assert ask(server.where, "GET", "/healthz").status == 200
                with Web(server.where) as web:
                    assert web.ask("GET", "/ws").status == 426
                for client in clients.values():
                    client.socket.close()
                assert browser.end() == (1001, "drained")
            if name != "sample":
                names.append(name)
        assert names.count("draining") == names.count("stopped") == 1
        assert names[-1] == "stopped"
        assert names.count("worker_ended") == WORKERS
        assert server.finish() == 0


def test_workers_that_are_replaced_are_told_apart(server: Several) -> None:
    with ExitStack() as stack, events(server.where) as told:
        clients = on_each(server, stack)
        before = server.figures()
        server.process.send_signal(signal.SIGHUP)
        next(item for item in told if item[0] == "workers_replaced")
        status = server.status()
        assert [worker["retiring"] for worker in status["workers"]].count(True) == WORKERS
        assert len(status["workers"]) == 2 * WORKERS
        assert status["restarts"] == 0
        assert status["clients"] == total(before, "connections_active")
        for client in clients.values():
            assert client.ask("sigo\n") == "SIGO\n"
        with Conversation(server.where) as browser:  # a successor has it
            browser.say("hola\n")
            browser.hear("HOLA\n")
            (own,) = server.clients("?contains=web")
            assert not server.workers()[own["worker"]]["retiring"]
        assert balanced(server.figures())
    status = server.until(lambda status: len(status["workers"]) == WORKERS)
    assert balanced(server.figures())
    assert status["totals"]["accepted"] == total(before, "connections_accepted_total") + 1


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


COUNTS = st.integers(0, 10**9)


@given(
    st.builds(
        Figures,
        clients=COUNTS,
        active=COUNTS,
        bytes_in=COUNTS,
        messages_in=st.none() | COUNTS,
        accepted=st.dictionaries(st.text(), COUNTS).map(Figures().accepted.__class__),
    ),
    st.lists(st.floats(0, 1e6)),
)
def test_figures_are_sent_and_added_without_loss(figures: Figures, seconds: list[float]) -> None:
    for value in seconds:
        figures.durations.observe(value)
    sent = from_plain(json.loads(json.dumps(as_plain(figures))))
    assert sent == figures
    both = Figures()
    both.add(figures)
    both.add(sent)
    assert both.bytes_in == 2 * figures.bytes_in
    assert both.accepted == {name: 2 * count for name, count in figures.accepted.items()}
    assert both.durations.counts == [2 * count for count in figures.durations.counts]
    assert (both.messages_in is None) == (figures.messages_in is None)
