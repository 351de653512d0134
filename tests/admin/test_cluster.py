"""The endpoint of a server in a cluster: the clients of all servers, and the way to Redis."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.redis_server import RedisServer, running_redis
from tests.support.processes import PATIENCE, ROOT, OldClient, serving
from tests.support.web import ask

PAGE = (ROOT / "docs" / "metrics.md").read_text()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as redis:
        yield redis


def until(read: Callable[[], Any], true: Callable[[Any], bool]) -> Any:
    """The first reading of which something is true."""
    end = time.monotonic() + PATIENCE
    while not true(value := read()):
        assert time.monotonic() < end, value
    return value


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one", "several"])
def test_the_clients_of_all_servers_are_listed_and_the_way_to_redis_is_measured(
    redis: RedisServer, tmp_path: Path, processes: tuple[str, ...]
) -> None:
    admin = str(tmp_path / "admin.sock")
    with ExitStack() as stack:
        ours = ("--cluster", redis.url, "--cluster-name", "norte", "--admin", f"unix://{admin}")
        norte = stack.enter_context(serving(*ours, *processes))
        sur = stack.enter_context(serving("--cluster", redis.url, "--cluster-name", "sur"))
        here, there = (stack.enter_context(OldClient(one.port)) for one in (norte, sur))
        assert here.ask("hola\n") == there.ask("hola\n") == "HOLA\n"
        host, port = there.socket.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

        def listed(query: str = "") -> Any:
            return ask(admin, "GET", f"/api/clients{query}").json

        def status() -> Any:
            return ask(admin, "GET", "/api/status").json

        # How many there are elsewhere is known a moment before who they are.
        answer = until(listed, lambda answer: len(answer["clients"]) == 2)
        own, other = answer["clients"]
        assert (own["server"], own["messages_in"]) == ("norte", 1)
        assert (other["server"], other["client"], other["number"]) == ("sur", address, None)
        assert own.keys() == other.keys()
        workers = {worker["worker"] for worker in status().get("workers", [])}
        assert len(workers) == (2 if processes else 0)
        assert own.get("worker") in (workers or {None})
        assert other.get("worker") is None
        assert [client["server"] for client in listed("?contains=SUR")["clients"]] == ["sur"]
        assert [client["server"] for client in listed("?limit=1")["clients"]] == ["norte"]

        known = until(status, lambda status: status["cluster"]["servers"][0]["clients"] == 1)
        assert known["clients"] == 1  # those of this server
        assert known["cluster"]["server"] == "norte"
        assert known["cluster"]["joined"] is True
        (sister,) = known["cluster"]["servers"]
        assert (sister["server"], sister["phase"]) == ("sur", "running")

        def metrics() -> dict[str, float]:
            text = ask(admin, "GET", "/metrics").body.decode()
            found = re.findall(r"^tcpecho_cluster_(\w+) (\S+)$", text, re.MULTILINE)
            return {name: float(value) for name, value in found}

        assert metrics() == {
            "up": 1,
            "members": 1,
            "age_seconds": 0,
            "losses_total": 0,
            "commands_total": 0,
        }
        redis.kill()
        lost = until(metrics, lambda metrics: metrics["up"] == 0 and metrics["age_seconds"] > 0)
        assert (lost["losses_total"], lost["members"]) == (1, 1)
        assert status()["cluster"]["age"] > 0
        assert here.ask("sigo\n") == "SIGO\n"
        listing = re.findall(r"^\| `tcpecho_cluster_(\w+)` \|", PAGE, re.MULTILINE)
        assert lost.keys() == set(listing)
