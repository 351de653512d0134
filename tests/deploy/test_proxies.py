"""deploy/haproxy, nginx, stunnel and envoy: checked by themselves, and run before real servers."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, check, running
from tests.networks.backend import ask, backend, connect, leave, name_of, report
from tests.networks.conftest import Keys
from tests.networks.conftest import keys as keys
from tests.networks.programs import NGINX_STREAM
from tests.support.processes import run
from tests.support.victim import Victim

BEHIND = ("--proxy-protocol", "required")
ENVOY = ("envoy", "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
NGINX_RUN = ("nginx", "-e", "stderr", "-g", "daemon off; master_process off;", "-c", "FILE")
IN_A_ROW = 5
"""Newcomers that go to the same server before one believes that all do."""


def nginx_module() -> str:
    """Where nginx's stream module is here; Debian's place is in the file."""
    for folder in NGINX_STREAM:
        for module in Path(folder).glob("ngx_stream_module.so"):
            return str(module)
    pytest.skip("nginx's stream module is not installed")


def test_haproxy_accepts_its_file() -> None:
    check("haproxy", "-c", "-q", "-f", DEPLOY / "haproxy" / "haproxy.cfg")


def test_nginx_accepts_its_file(tmp_path: Path) -> None:
    text = (DEPLOY / "nginx" / "nginx.conf").read_text()
    file = tmp_path / "nginx.conf"
    file.write_text(
        text.replace(f"{NGINX_STREAM[0]}/ngx_stream_module.so", nginx_module()).replace(
            "/run/", f"{tmp_path}/"
        )
    )
    said = check("nginx", "-e", "stderr", "-t", "-c", file)
    assert "[warn]" not in said


def test_envoy_accepts_its_file() -> None:
    file = DEPLOY / "envoy" / "envoy.yaml"
    said = check(*ENVOY, "--mode", "validate", "-c", file)
    assert "[warning]" not in said


@contextlib.contextmanager
def two_servers() -> Iterator[tuple[Victim, Victim]]:
    """Servers a and b with their endpoints; a has a long shutdown delay, which a test ends."""
    admin = ("--admin", "http://127.0.0.1:0")
    with (
        backend(*BEHIND, *admin, "--name", "a", "--shutdown-delay", "600") as first,
        backend(*BEHIND, *admin, "--name", "b") as second,
    ):
        yield first, second
        if first.process.poll() is None:
            first.process.send_signal(signal.SIGTERM)
            first.wait_for("shutdown_delayed")
            assert first.stop() == 0


def admin_port(server: Victim) -> int:
    return int(server.wait_for("admin_listening")["listener"].rpartition(":")[2])


def ports_of(first: Victim, second: Victim) -> dict[int, int]:
    return {
        5001: first.port,
        5002: second.port,
        9501: admin_port(first),
        9502: admin_port(second),
    }


def server_of_a_newcomer(port: int) -> str:
    with connect(port) as client:
        name = str(report(client)["server"]["name"])
        leave(client)
        return name


@pytest.mark.parametrize(
    ("file", "command", "free"),
    [
        ("haproxy/haproxy.cfg", ("haproxy", "-db", "-f", "FILE"), (5000, 8404)),
        ("envoy/envoy.yaml", (*ENVOY, "-c", "FILE"), (5000, 9901)),
    ],
    ids=["haproxy", "envoy"],
)
def test_a_server_that_begins_to_end_gets_no_newcomers_and_keeps_its_clients(
    tmp_path: Path, file: str, command: tuple[str, ...], free: tuple[int, ...]
) -> None:
    with (
        two_servers() as (first, second),
        running(tmp_path, file, *command, ports=ports_of(first, second), free=free) as own,
        contextlib.ExitStack() as stack,
    ):
        stayed = None
        while stayed is None:
            client = stack.enter_context(connect(own[5000]))
            seen = report(client)
            assert seen["client"] == name_of(client)
            assert seen["proxy"]["version"] == 2
            if seen["server"]["name"] == "a":
                stayed = client
        first.process.send_signal(signal.SIGTERM)
        first.wait_for("shutdown_delayed")
        names = ["a"]
        while set(names[-IN_A_ROW:]) != {"b"} or len(names) < IN_A_ROW:
            names.append(server_of_a_newcomer(own[5000]))
        assert ask(stayed, "sigo aquí") == "SIGO AQUÍ"
        leave(stayed)


def test_haproxy_has_metrics(tmp_path: Path) -> None:
    with (
        two_servers() as (first, second),
        running(
            tmp_path,
            "haproxy/haproxy.cfg",
            *("haproxy", "-db", "-f", "FILE"),
            ports=ports_of(first, second),
            free=(5000, 8404),
        ) as own,
        connect(own[8404]) as client,
    ):
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = b""
        while data := client.recv(1 << 16):
            said += data
        assert b'haproxy_server_status{proxy="servers",server="a",state="UP"}' in said


def test_nginx_spreads_clients_and_answers_those_that_half_close(tmp_path: Path) -> None:
    module = nginx_module()
    with backend(*BEHIND, "--name", "a") as first, backend(*BEHIND, "--name", "b") as second:
        edits = {
            f"{NGINX_STREAM[0]}/ngx_stream_module.so": module,
            "/run/nginx-echo.pid": f"{tmp_path}/pid",
            "/dev/stdout": f"{tmp_path}/access.log",
        }
        ports = {5001: first.port, 5002: second.port}
        with running(
            tmp_path, "nginx/nginx.conf", *NGINX_RUN, ports=ports, free=(5000,), edits=edits
        ) as own:
            with contextlib.ExitStack() as stack:
                names: set[str] = set()
                while names != {"a", "b"}:  # the one who has fewest gets the next one
                    client = stack.enter_context(connect(own[5000]))
                    seen = report(client)
                    names.add(seen["server"]["name"])
                    assert seen["client"] == name_of(client)
            done = run("client", "--port", str(own[5000]), stdin=b"hola\n")
            assert (done.returncode, done.stdout) == (0, b"HOLA\n")


def test_a_client_without_tls_reaches_a_server_without_it_through_two_stunnels(
    tmp_path: Path, keys: Keys
) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "client").mkdir()
    with backend(*BEHIND, "--name", "a") as server:
        files = {
            "cert = /etc/tcpecho/server.pem": f"cert = {keys.server}",
            "key = /etc/tcpecho/server.key": f"key = {keys.server_key}",
        }
        trust = {
            "/etc/tcpecho/ca.pem": keys.ca,
            "checkHost = localhost": "checkHost = backend.example",
        }
        with (
            running(
                tmp_path / "server",
                "stunnel/server.conf",
                *("stunnel", "FILE"),
                ports={5001: server.port},
                free=(5443,),
                edits=files,
            ) as there,
            running(
                tmp_path / "client",
                "stunnel/client.conf",
                *("stunnel", "FILE"),
                ports={5443: there[5443]},
                free=(5000,),
                edits=trust,
            ) as here,
            connect(here[5000]) as client,
        ):
            assert ask(client, "mañana") == "MAÑANA"
            seen = report(client)
            assert seen["proxy"]["version"] == 1
            assert seen["proxy"]["destination"].endswith(f":{there[5443]}")
            leave(client)
            done = run("client", "--port", str(here[5000]), "-m", "hola")
            assert (done.returncode, done.stdout) == (0, b"HOLA\n")
