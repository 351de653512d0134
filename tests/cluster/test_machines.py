"""Two servers on two machines, behind haproxy on a third, with Redis on a fourth.

The machines are network namespaces. Links are cut and mended, a server is restarted under load,
Redis vanishes; clients notice nothing of it.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.machines import Machine, machines
from tests.cluster.redis_server import RedisServer, running_redis
from tests.networks.programs import program
from tests.support.processes import PATIENCE, PROGRAM, ROOT

GREETING = "Conexión exitosa. Usa 'LISTAR' para ver clientes.".encode()

HAPROXY = """\
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 2s
  retries 5
  option redispatch 1
listen echo
  bind 0.0.0.0:5000
  balance roundrobin
  option httpchk GET /readyz
  default-server check port 9500 inter 500ms fall 2 rise 1 send-proxy-v2
  server uno {one}:5000
  server dos {two}:5000
"""
"""As docs/cluster.md has it, with addresses, and checks that are more frequent."""


def test_the_recipe_is_the_one_of_the_page() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    (recipe,) = re.findall(r"```haproxy\n(.*?)```", page, re.DOTALL)
    ours = HAPROXY.format(one="10.0.0.11", two="10.0.0.12").replace("inter 500ms", "inter 1s")
    assert ours.partition("listen echo")[2] in recipe


class Site:
    """The four machines with what runs on them, and one for the clients."""

    def __init__(self, hosts: list[Machine], redis: RedisServer, folder: Path) -> None:
        self.one, self.two, self.balancer, self.store, self.office = hosts
        self.redis = redis
        self.url = f"redis://{self.store.address}:6379"
        self.folder = folder
        self.lines: dict[str, list[dict[str, Any]]] = {"uno": [], "dos": []}

    @contextlib.contextmanager
    def server(self, host: Machine, name: str) -> Iterator[subprocess.Popen[bytes]]:
        token = self.folder / "token"
        token.write_text("abc\n")
        process = subprocess.Popen(
            [
                *(*host.within, *PROGRAM, "serve", "--dialect", "admin", "--no-console"),
                *("--host", host.address, "--port", "5000", "--log-format", "json"),
                *("--proxy-protocol", "required", "--trust-proxy", "10.77.0.0/24"),
                *("--admin", f"http://{host.address}:9500", "--admin-token-file", str(token)),
                *("--cluster", self.url, "--cluster-name", name, "--shutdown-delay", "4"),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it warns of an endpoint in clear
        )
        assert process.stdout is not None
        output = process.stdout

        def read() -> None:
            self.lines[name].extend(map(json.loads, output))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield process
        finally:
            process.kill()
            reader.join()
            process.communicate()

    def told(self, name: str, event: str) -> int:
        return sum(line["event"] == event for line in self.lines[name])

    def cluster(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.office.within, *PROGRAM, "cluster", *arguments, "--cluster", self.url],
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, (done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    def talk(self) -> Talker:
        """A client that has been greeted."""
        return Talker(self.office.connect(self.balancer.address, 5000))

    def talk_at_last(self) -> Talker:
        """The same; on a busy machine the balancer may think for a moment that nobody is there."""
        made: list[Talker] = []

        def once() -> bool:
            with contextlib.suppress(AssertionError):
                made.append(self.talk())
            return bool(made)

        until(once)
        return made[0]


class Talker:
    """A client, by way of the balancer."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.file = connection.makefile("rwb")
        greeting = self.file.read(len(GREETING))
        if greeting != GREETING:
            self.__exit__()
        assert greeting == GREETING

    def __enter__(self) -> Talker:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    @property
    def address(self) -> str:
        host, port = self.socket.getsockname()
        return f"{host}:{port}"

    def ask(self, text: str) -> str:
        self.file.write(f"{text}\n".encode())
        self.file.flush()
        return self.file.readline().decode().rstrip("\n")

    def listing(self) -> set[str]:
        self.file.write(b"LISTAR\nfin\n")
        self.file.flush()
        lines = iter(lambda: self.file.readline().decode().rstrip("\n"), "FIN")
        return set(list(lines)[1:])


def until(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)  # other machines are asked: nobody tells


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(machines("one", "two", "lb", "redis", "office"))
        one, two, balancer, store, _ = hosts
        options = ("--bind", store.address, "--port", "6379", "--protected-mode", "no")
        redis = stack.enter_context(running_redis(tmp_path, *options, prefix=store.within))
        site = Site(hosts, redis, tmp_path)
        for host, name in ((one, "uno"), (two, "dos")):
            stack.enter_context(site.server(host, name))
        until(lambda: all(site.told(name, "cluster_joined") for name in site.lines))
        configuration = tmp_path / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(one=one.address, two=two.address))
        haproxy = subprocess.Popen(
            [*balancer.within, program("haproxy"), "-db", "-q", "-f", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(haproxy.communicate)
        stack.callback(haproxy.kill)
        until(lambda: haproxy.poll() is not None or connects(site))
        assert haproxy.poll() is None, "haproxy has ended"
        yield site


def connects(site: Site) -> bool:
    try:
        with site.talk() as talker:
            return talker.ask("hola") == "HOLA"
    except (OSError, AssertionError):
        return False


def names_behind(lines: set[str]) -> set[str]:
    return {line.partition(" ")[2] for line in lines}


def test_both_servers_list_the_clients_of_both(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        talkers = [stack.enter_context(site.talk_at_last()) for _ in range(6)]
        everybody = {talker.address for talker in talkers}
        for talker in talkers:
            until(lambda t=talker: {l.partition(" ")[0] for l in t.listing()} == everybody)  # type: ignore[misc]  # noqa: E741
        seen = {frozenset(names_behind(talker.listing())) for talker in talkers}
        assert seen == {frozenset({"", "uno"}), frozenset({"", "dos"})}  # some here, some there


def test_a_server_is_restarted_under_load_and_nothing_is_lost(site: Site) -> None:
    over = threading.Event()
    wrong: list[str] = []
    right = 0
    counting = threading.Lock()

    def customer(number: int) -> None:
        nonlocal right
        while not over.is_set():
            try:
                with site.talk() as talker:
                    reply = talker.ask(f"hola {number}")
            except (OSError, AssertionError) as error:
                wrong.append(repr(error))
                continue
            if reply == f"HOLA {number}":
                with counting:
                    right += 1
            else:
                wrong.append(reply)

    customers = [threading.Thread(target=customer, args=(number,)) for number in range(8)]
    for thread in customers:
        thread.start()
    try:
        until(lambda: right > 20 or wrong)
        told = site.cluster("restart").splitlines()
    finally:
        over.set()
        for thread in customers:
            thread.join()
    assert [line.split(" (")[0] for line in told] == [
        *("dos: reiniciando...", "dos: listo de nuevo"),
        *("uno: reiniciando...", "uno: listo de nuevo"),
    ]
    assert wrong == []
    for name in site.lines:
        assert site.told(name, "stopped") == 1
        assert site.told(name, "cluster_joined") == 2


def test_a_link_that_is_cut_and_mended(site: Site) -> None:
    with site.talk_at_last() as first, site.talk_at_last() as second:
        until(lambda: all(len(talker.listing()) == 2 for talker in (first, second)))
        # Whoever lists the other one as being at "dos" is at "uno" itself.
        here, there = first, second
        if names_behind(first.listing()) == {"", "uno"}:
            here, there = second, first
        site.two.cut()
        until(lambda: site.told("dos", "cluster_lost") == 1)
        until(lambda: names_behind(here.listing()) == {""})
        assert "dos" not in site.cluster("status", "--json")
        assert here.ask("hola") == "HOLA"
        site.two.mend()
        until(lambda: site.told("dos", "cluster_joined") == 2)
        until(lambda: f"{there.address} dos" in here.listing())
        assert there.ask("hola") == "HOLA"
    assert site.told("dos", "cluster_lost") == 1
    assert site.told("uno", "cluster_lost") == 0


@pytest.mark.parametrize("trouble", ["cut", "killed", "frozen"])
def test_redis_in_trouble_is_noticed_by_no_client(site: Site, trouble: str) -> None:
    with site.talk_at_last() as first, site.talk_at_last() as second:
        until(lambda: all(len(t.listing()) == 2 for t in (first, second)))
        if trouble == "cut":
            site.store.cut()
        elif trouble == "killed":
            site.redis.kill()
        else:
            site.redis.freeze()
        until(lambda: all(site.told(name, "cluster_lost") for name in site.lines))
        for talker in (first, second):
            assert talker.ask("hola") == "HOLA"
            assert any(line.endswith(" s)") for line in talker.listing())
        with site.talk_at_last() as newcomer:
            assert newcomer.ask("hola") == "HOLA"
        if trouble == "cut":
            site.store.mend()
        elif trouble == "killed":
            site.redis.start()
        else:
            site.redis.thaw()
        until(lambda: all(site.told(name, "cluster_joined") > 1 for name in site.lines))
        until(
            lambda: all(
                t.listing() >= {t.address} and not any(line.endswith(" s)") for line in t.listing())
                for t in (first, second)
            )
        )
