"""Two servers on two machines, behind haproxy or nginx on a third, with Redis on a fourth.

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
from tests.networks.programs import nginx_stream, program
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


NGINX = """\
stream {
  upstream echo {
    least_conn;
    server ONE:5000 max_fails=1 fail_timeout=2s;
    server TWO:5000 max_fails=1 fail_timeout=2s;
  }
  server {
    listen 5000;
    proxy_pass echo;
    proxy_protocol on;
    proxy_half_close on;
    proxy_connect_timeout 1s;
    proxy_timeout 1h;
  }
}
"""
"""As docs/cluster.md has it, with addresses."""

BOTH = pytest.mark.parametrize("site", ["haproxy", "nginx"], indirect=True)


@pytest.mark.parametrize("balancer", ["haproxy", "nginx"])
def test_the_recipes_are_those_of_the_page(balancer: str) -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    (recipe,) = re.findall(rf"```{balancer}\n(.*?)```", page, re.DOTALL)
    ours = {
        "haproxy": HAPROXY.format(one="10.0.0.11", two="10.0.0.12").partition("listen echo")[2],
        "nginx": NGINX.replace("ONE", "10.0.0.11").replace("TWO", "10.0.0.12"),
    }
    assert ours[balancer].replace("inter 500ms", "inter 1s") in recipe


def balancing(balancer: str, one: str, two: str, folder: Path) -> list[str]:
    """The command that runs a recipe."""
    configuration = folder / f"{balancer}.cfg"
    if balancer == "haproxy":
        configuration.write_text(HAPROXY.format(one=one, two=two))
        return [program("haproxy"), "-db", "-q", "-f", str(configuration)]
    around = (
        f"load_module {nginx_stream()};\ndaemon off;\nmaster_process off;\n"
        f"pid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
    )
    configuration.write_text(around + NGINX.replace("ONE", one).replace("TWO", two))
    return [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(configuration)]


class Site:
    """The four machines with what runs on them, and one for the clients."""

    def __init__(self, hosts: list[Machine], redis: RedisServer, folder: Path) -> None:
        self.one, self.two, self.balancer, self.store, self.office = hosts
        self.redis = redis
        self.url = f"redis://{self.store.address}:6379"
        self.folder = folder
        self.lines: dict[str, list[dict[str, Any]]] = {"uno": [], "dos": []}
        self.balancing = ""
        self.tried = 0
        """How many questions were answered before the tests began."""

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
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(machines("one", "two", "lb", "redis", "office"))
        one, two, balancer, store, _ = hosts
        options = ("--bind", store.address, "--port", "6379", "--protected-mode", "no")
        redis = stack.enter_context(running_redis(tmp_path, *options, prefix=store.within))
        site = Site(hosts, redis, tmp_path)
        site.balancing = getattr(request, "param", "haproxy")
        for host, name in ((one, "uno"), (two, "dos")):
            stack.enter_context(site.server(host, name))
        until(lambda: all(site.told(name, "cluster_joined") for name in site.lines))
        command = balancing(site.balancing, one.address, two.address, tmp_path)
        balancing_process = subprocess.Popen(
            [*balancer.within, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack.callback(balancing_process.communicate)
        stack.callback(balancing_process.kill)
        until(lambda: balancing_process.poll() is not None or connects(site))
        assert balancing_process.poll() is None, f"{site.balancing} has ended"
        yield site


def connects(site: Site) -> bool:
    try:
        with site.talk() as talker:
            answered = talker.ask("hola") == "HOLA"
            site.tried += answered
            return answered
    except (OSError, AssertionError):
        return False


def names_behind(lines: set[str]) -> set[str]:
    return {line.partition(" ")[2] for line in lines}


@BOTH
def test_both_servers_list_the_clients_of_both(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        talkers = [stack.enter_context(site.talk_at_last()) for _ in range(6)]
        everybody = {talker.address for talker in talkers}
        for talker in talkers:
            until(lambda t=talker: {l.partition(" ")[0] for l in t.listing()} == everybody)  # type: ignore[misc]  # noqa: E741
        seen = {frozenset(names_behind(talker.listing())) for talker in talkers}
        assert seen == {frozenset({"", "uno"}), frozenset({"", "dos"})}  # some here, some there


@BOTH
def test_a_server_is_restarted_under_load_and_nothing_is_lost(site: Site) -> None:
    """Who has no reply was taken by nobody, and asks again.

    haproxy knows beforehand that a server will end, so behind it nobody has to.
    """
    over = threading.Event()
    wrong: list[str] = []
    again = 0
    right = 0
    counting = threading.Lock()

    def customer(number: int) -> None:
        nonlocal right, again
        while not over.is_set():
            try:
                with site.talk() as talker:
                    reply = ""
                    with contextlib.suppress(ConnectionError):  # a proxy's close, as we ask
                        reply = talker.ask(f"hola {number}")
            except (OSError, AssertionError) as error:
                wrong.append(repr(error))
                continue
            if reply == f"HOLA {number}":
                with counting:
                    right += 1
            elif not reply:
                with counting:
                    again += 1
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
    if site.balancing == "haproxy":
        assert again == 0
    for name in site.lines:
        assert site.told(name, "stopped") == 1
        assert site.told(name, "cluster_joined") == 2
    site.cluster("drain", "--all")
    until(lambda: all(site.told(name, "stopped") == 2 for name in site.lines))
    lives = [line for lines in site.lines.values() for line in lines if line["event"] == "stopped"]
    assert sum(life["messages_in"] for life in lives) == right + site.tried


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
