"""A server of several processes with its endpoint, and what is asked there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import PATIENCE, PROGRAM, OldClient, ServerProcess, ending_well
from tests.support.web import ask

WORKERS = 3

PATIENT = f"""\
import sys
from tcpecho_trio.admin import workers
workers.ANSWER_TIME = {PATIENCE}
from tcpecho_trio.cli import main
sys.exit(main())
"""
"""The program, whose supervisor waits for every worker's answer. In a second a worker may not have
had its turn on a busy machine, and then the endpoint says what it knew of it before."""


class Several(ServerProcess):
    """A server of several processes, and its endpoint."""

    program: Sequence[str] = (*PROGRAM[:2], "-c", PATIENT)

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

    def client_of(self, client: OldClient) -> dict[str, Any]:
        """What is listed of a client, as soon as it is listed."""
        address = "{}:{}".format(*client.socket.getsockname()[:2])
        end = time.monotonic() + PATIENCE
        while not (found := self.clients(f"?contains={address}")):
            assert time.monotonic() < end, f"{address} is not listed"
        (own,) = found
        return own

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


class Hurried(Several):
    """The same, with the second that a worker's answer really gets."""

    program = PROGRAM


@contextmanager
def several(folder: Path, *options: str, kind: type[Several] = Several) -> Iterator[Several]:
    with ending_well(kind(folder, *options)) as server:
        yield server


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
        found.setdefault(server.client_of(client)["worker"], client)
    return found


def total(figures: dict[tuple[str, str], float], name: str) -> float:
    return sum(value for (found, _), value in figures.items() if found == name)


def balanced(figures: dict[tuple[str, str], float]) -> bool:
    """Whoever was accepted is there, has left, or was refused."""
    parts = ("connections_active", "connections_closed_total", "connections_refused_total")
    return total(figures, "connections_accepted_total") == sum(total(figures, p) for p in parts)
