"""The endpoint of a server of several processes, whatever befalls its workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tcpecho_trio.cluster.workforce import SLOTS_A_SEAT
from tests.admin.several import WORKERS, Hurried, Several, balanced, on_each, several, total
from tests.support.processes import AT_ONCE, OldClient
from tests.support.web import Conversation, Web, ask, events

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are stopped and watched")


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


def test_a_frozen_worker_costs_a_bounded_wait_and_is_said_to_be_stale(tmp_path: Path) -> None:
    with several(tmp_path, kind=Hurried) as server, ExitStack() as stack:
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
            number = server.client_of(clients["2"])["number"]
            assert ask(server.where, "DELETE", f"/api/clients/{number}").status == 204
            assert ask(server.where, "GET", "/readyz").status == 200
            assert clients["3"].ask("sigo\n") == "SIGO\n"
            # On a busy machine another one may be late for a moment, too.
            server.until(
                lambda status: [w["worker"] for w in status["workers"] if w["stale"]] == ["1"]
            )
            assert server.figures()["worker_up", "1"] == 0
            with Conversation(server.where) as browser:  # another worker takes it
                browser.say("hola\n")
                browser.hear("HOLA\n")
        finally:
            os.kill(pid, signal.SIGCONT)
        server.until(lambda status: not any(w["stale"] for w in status["workers"]))
        assert balanced(server.figures())


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


def test_the_drain_is_seen_to_its_end(server: Several) -> None:
    with ExitStack() as stack:
        clients = on_each(server, stack)
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


def test_a_browser_that_reads_nothing_does_not_hold_up_the_drain(tmp_path: Path) -> None:
    with several(tmp_path, "--drain-timeout", "1") as server, ExitStack() as stack:
        stuck = stack.enter_context(Conversation(server.where))
        stuck.socket.settimeout(0.2)
        try:
            while True:
                stuck.say("x" * 60_000 + "\n")
        except OSError:  # nobody reads the replies
            pass
        told = stack.enter_context(events(server.where))
        next(told)
        began = time.monotonic()
        assert ask(server.where, "POST", "/api/drain").status == 202
        assert [name for name, _ in told][-1] == "stopped"
        assert time.monotonic() - began < AT_ONCE
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
