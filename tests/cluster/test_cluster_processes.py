"""Servers and the command ``cluster`` as real processes, around a real Redis."""

from __future__ import annotations

import calendar
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tcpecho_trio.cluster.location import ClusterLocation
from tests.cluster.redis_server import RedisServer, running_redis
from tests.support.ports import free_ports
from tests.support.processes import (
    PATIENCE,
    PROGRAM,
    ROOT,
    ServerProcess,
    at_terminal,
    exit_code,
    matched,
    run,
    serving,
)

GREETING = "Conexión exitosa. Usa 'LISTAR' para ver clientes."


@contextmanager
def member(redis: RedisServer, name: str, *options: str) -> Iterator[ServerProcess]:
    """A server that has joined the cluster."""
    options = (*options, "--dialect", "admin", "--no-console")
    with serving("--cluster", redis.url, "--cluster-name", name, *options) as server:
        server.wait_for("Miembro del clúster")
        yield server


@contextmanager
def members(redis: RedisServer, *names: str) -> Iterator[list[ServerProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(member(redis, name)) for name in names]


class Talker:
    """A client of the dialect with a list."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rwb")
        self.file.read(len(GREETING.encode()))

    def __enter__(self) -> Talker:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def ask(self, text: str) -> str:
        self.file.write(f"{text}\n".encode())
        self.file.flush()
        return self.file.readline().decode().rstrip("\n")

    def listing(self) -> list[str]:
        """Everybody who is listed; a line that is echoed tells where the list ends."""
        self.file.write(b"LISTAR\nfin\n")
        self.file.flush()
        lines = iter(lambda: self.file.readline().decode().rstrip("\n"), "FIN")
        return list(lines)[1:]


def until(happened: Callable[[], Any]) -> Any:
    """Wait until something is true; what it is then."""
    deadline = time.monotonic() + PATIENCE
    while not (result := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)  # Redis, files and the process table are asked: nobody tells
    return result


def cluster(redis: RedisServer, *arguments: str, code: int = 0) -> str:
    """The command to its end; what it printed, or what it complained of."""
    done = run("cluster", *arguments, env={"TCPECHO_CLUSTER_CLUSTER": redis.url})
    assert done.returncode == code, (done.stdout.decode(), done.stderr.decode())
    if code == 0:
        assert done.stderr == b""
        return done.stdout.decode()
    (line,) = done.stderr.decode().splitlines()
    return line


def status(redis: RedisServer) -> dict[str, dict[str, Any]]:
    told = json.loads(cluster(redis, "status", "--json"))
    return {server["name"]: server for server in told["servers"]}


def test_two_servers_list_each_others_clients(redis: RedisServer) -> None:
    with members(redis, "ana", "eva") as (one, other), Talker(one.port) as here:
        with Talker(other.port) as there:
            until(lambda: here.listing() == [here.address, f"{there.address} eva"])
            until(lambda: there.listing() == [there.address, f"{here.address} ana"])
        until(lambda: here.listing() == [here.address])


def test_the_status_tells_of_every_server(redis: RedisServer) -> None:
    with members(redis, "ana", "eva") as (one, other), Talker(other.port):
        until(lambda: status(redis)["eva"]["clients"] == 1)
        told = status(redis)
        assert list(told) == ["ana", "eva"]
        assert told["ana"]["addresses"] == [f"localhost:{one.port}"]
        assert told["ana"]["phase"] == "running"
        assert 0 <= told["ana"]["uptime"] < 10 * PATIENCE
        head, ana, eva, summary = cluster(redis, "status").splitlines()
        assert head.split() == ["NOMBRE", "CLIENTES", "FASE", "VERSIÓN", "DESDE", "DIRECCIONES"]
        assert re.fullmatch(rf"ana +0  activo +\S+ +\S+ +localhost:{one.port}", ana)
        assert re.fullmatch(rf"eva +1  activo +\S+ +\S+ +localhost:{other.port}", eva)
        assert summary == f"{redis.url} · servidores: 2 · clientes: 1"


def test_a_server_that_is_killed_is_gone_from_every_list(redis: RedisServer) -> None:
    with members(redis, "ana") as (one,), Talker(one.port) as here:
        other = ServerProcess("--dialect", "admin", "--cluster", redis.url, "--cluster-name", "eva")
        with Talker(other.port) as there:
            until(lambda: f"{there.address} eva" in here.listing())
        other.process.kill()
        other.process.communicate()
        until(lambda: here.listing() == [here.address])
        assert list(status(redis)) == ["ana"]


def test_a_drain_ends_the_one_that_is_named(redis: RedisServer) -> None:
    with members(redis, "ana", "eva") as (one, other), Talker(one.port) as client:
        assert client.ask("hola") == "HOLA"
        told = cluster(redis, "drain", "ana").splitlines()
        assert told[0] == "ana: cerrando..."
        assert re.fullmatch(r"ana: se fue \(\d+\.\d s\)", told[1])
        assert one.finish() == 0
        assert any("pedido por quien administra el clúster" in line for line in one.lines)
        assert client.file.read() == b""  # an orderly end
        assert list(status(redis)) == ["eva"]
        assert other.process.poll() is None


def test_a_drain_of_all_leaves_nothing_in_redis(redis: RedisServer) -> None:
    with members(redis, "ana", "eva") as servers:
        assert len(cluster(redis, "drain", "--all").splitlines()) == 4
        assert [server.finish() for server in servers] == [0, 0]
        assert redis.call("KEYS", "*") == []
        assert cluster(redis, "status") == f"Ningún servidor en {redis.url}\n"
        assert json.loads(cluster(redis, "status", "--json"))["servers"] == []


def test_while_a_server_drains_it_is_seen_to(redis: RedisServer) -> None:
    with member(redis, "ana", "--shutdown-delay", "600") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: status(redis)["ana"]["phase"] == "delaying")
        server.process.send_signal(signal.SIGTERM)
        assert server.finish() == 0
        assert status(redis) == {}


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("drain", "nadie"), 1, "Error: no hay ningún servidor nadie en {url}; están: ana."),
        (("restart", "nadie"), 1, "Error: no hay ningún servidor nadie en {url}; están: ana."),
        (("drain", "nadie", "--lang", "en"), 1, "Error: there is no server nadie in {url}"),
    ],
)
def test_a_name_that_nobody_has_is_told(
    redis: RedisServer, arguments: tuple[str, ...], code: int, line: str
) -> None:
    with members(redis, "ana") as (server,):
        assert cluster(redis, *arguments, code=code).startswith(line.format(url=redis.url))
        assert server.process.poll() is None


def test_two_of_one_name_are_told_and_each_can_be_meant_by_its_id(redis: RedisServer) -> None:
    with members(redis, "ana", "ana") as (one, other):
        for server in (one, other):
            server.wait_for("Otro servidor del clúster también se llama ana")
        line = cluster(redis, "drain", "ana", code=1)
        (_, ids) = line.split("di cuál, por su id: ")
        first, second = ids.rstrip(".").split()
        table = cluster(redis, "status").splitlines()
        assert {row.split()[1] for row in table[1:3]} == {f"#{first[:6]}", f"#{second[:6]}"}
        cluster(redis, "drain", first)
        ended = until(lambda: [one.process.poll(), other.process.poll()].count(0))
        assert ended == 1


def test_an_empty_cluster_has_nobody_to_drain(redis: RedisServer) -> None:
    line = cluster(redis, "drain", "--all", code=1)
    assert line == f"Error: no hay ningún servidor en {redis.url}."


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("status",), "falta --cluster (o TCPECHO_CLUSTER_CLUSTER, o TCPECHO_SERVE_CLUSTER)."),
        (("drain", "--cluster", "redis://h"), "nombra un servidor, o di --all."),
        (("drain", "a", "--all", "--cluster", "redis://h"), "los nombres y --all no van juntos."),
        (("restart", "a", "--all", "--cluster", "redis://h"), "los nombres y --all no van juntos."),
        (("status", "--cluster", "http://h"), "--cluster: “http://h” no vale"),
        (("drain", "a b", "--cluster", "redis://h"), "[NAME]...: “a b” no vale"),
        (("status", "--cluster-cert", "/dev/null", "--cluster", "redis://h"), "--cluster-cert"),
        (("drenar",), "no existe la orden drenar"),
        (("status", "--cluster", "redis://ana:SECRETO@h/x"), "--cluster: “redis://…@h/x” no vale"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], line: str) -> None:
    done = run("cluster", *arguments)
    told = done.stderr.decode().replace("«", "“").replace("»", "”")
    assert done.returncode == 2, told
    assert line in told
    assert "SECRETO" not in told


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--cluster-name", "ana"), "--cluster-name necesita --cluster."),
        (("--cluster-ca", "/etc/passwd"), "--cluster-ca necesita --cluster."),
        (("--cluster", "redis://h", "--cluster-name", "a b"), "letras, cifras"),
        (("--cluster", "redis://h", "--cluster-key", "/etc/passwd"), "van juntos"),
    ],
)
def test_wrong_usage_of_a_server_is_told(options: tuple[str, ...], line: str) -> None:
    done = run("serve", "--port", "0", *options)
    assert (done.returncode, line in done.stderr.decode()) == (2, True), done.stderr.decode()


def test_a_bad_value_of_the_environment_is_told_by_the_variable_that_had_it() -> None:
    done = run("cluster", "status", env={"TCPECHO_SERVE_CLUSTER": "http://h"})
    assert done.returncode == 2
    assert "TCPECHO_SERVE_CLUSTER: " in done.stderr.decode()


@pytest.mark.parametrize("arguments", [("cluster", "status"), ("serve", "--port", "0")])
def test_without_the_extra_it_is_one_line(arguments: tuple[str, ...]) -> None:
    code = "import sys; sys.modules['hiredis'] = None; from tcpecho_trio.cli import main; "
    done = subprocess.run(
        [*PROGRAM[:2], "-c", f"{code}sys.exit(main())", *arguments, "--cluster", "redis://h"],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert "pip install '.[cluster]'" in line


def test_without_a_cluster_the_extra_is_not_loaded() -> None:
    code = (
        "import sys; sys.modules['hiredis'] = None; from tcpecho_trio.cli import main; "
        "main(['serve', '--help']); assert 'tcpecho_trio.cluster.membership' not in sys.modules"
    )
    subprocess.run([*PROGRAM[:2], "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("state", "code", "line"),
    [
        ("away", 3, "no se puede llegar a unix://"),
        ("frozen", 4, "no responde."),
        ("locked", 3, "se niega: NOAUTH"),
    ],
)
def test_a_redis_of_no_use_is_one_line(
    redis: RedisServer, state: str, code: int, line: str
) -> None:
    if state == "away":
        redis.kill()
    elif state == "frozen":
        redis.freeze()
    else:
        redis.call("CONFIG", "SET", "requirepass", "sal")
    for arguments in (("status",), ("drain", "--all"), ("restart",)):
        assert line in cluster(redis, *arguments, code=code)


def test_a_server_starts_and_ends_without_its_redis(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/none"
    with serving("--cluster", url) as server:
        server.wait_for("Sin contacto con el clúster")
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"hola\n")
            assert client.recv(100) == b"HOLA\n"
        server.type("cerrarservidor")
        assert server.finish() == 0


def test_a_frozen_redis_does_not_hold_up_the_end(redis: RedisServer) -> None:
    with member(redis, "ana") as server:
        redis.freeze()
        assert server.stop() == 0


def test_no_password_is_shown_anywhere(redis: RedisServer, tmp_path: Path) -> None:
    redis.call("CONFIG", "SET", "requirepass", "SECRETO")
    file = tmp_path / "password"
    file.write_text("SECRETO\n")
    port = free_port_of(redis, "SECRETO")
    urls = (f"redis://127.0.0.1:{port}", f"redis://:SECRETO@127.0.0.1:{port}/0")
    for url, options in zip(urls, (("--cluster-password-file", str(file)), ()), strict=True):
        with serving("--cluster", url, "--cluster-name", "ana", *options) as server:
            server.wait_for(f"Miembro del clúster redis://127.0.0.1:{port}/0 como ana")
            command_line = Path(f"/proc/{server.process.pid}/cmdline")
            if options:
                assert b"SECRETO" not in command_line.read_bytes()
                assert b"SECRETO" not in Path(f"/proc/{server.process.pid}/environ").read_bytes()
            for json_or_not in ((), ("--json",)):
                done = run("cluster", "status", "--cluster", url, *options, *json_or_not)
                assert done.returncode == 0
                assert b"SECRETO" not in done.stdout + done.stderr
            redis.call_as("SECRETO", "CONFIG", "SET", "requirepass", "OTRO")
            redis.call_as("OTRO", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            server.wait_for("Sin contacto con el clúster")
            redis.call_as("OTRO", "CONFIG", "SET", "requirepass", "SECRETO")
            server.stop()
            assert not any("SECRETO" in line for line in server.lines)


def free_port_of(redis: RedisServer, password: str) -> int:
    """Have Redis listen at a free port, too."""
    (port,) = free_ports(1)
    redis.call_as(password, "CONFIG", "SET", "port", port)
    return port


def test_a_file_of_a_password_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    options = ("--cluster", "redis://h", "--cluster-password-file", str(tmp_path / "empty"))
    for command in (("serve", "--port", "0"), ("cluster", "status")):
        done = run(*command, *options)
        assert done.returncode == 3
        (line,) = done.stderr.decode().splitlines()
        assert line == f"Error: no se puede usar {tmp_path}/empty: nothing is in it."


# Restarting.


def instance(redis: RedisServer, name: str) -> str:
    return str(status(redis)[name]["instance"])


def test_a_restart_is_one_at_a_time_and_each_is_a_new_one(redis: RedisServer) -> None:
    with members(redis, "ana", "eva") as servers:
        before = {name: server["instance"] for name, server in status(redis).items()}
        told = cluster(redis, "restart").splitlines()
        assert [line.split(" (")[0] for line in told] == [
            *("ana: reiniciando...", "ana: listo de nuevo"),
            *("eva: reiniciando...", "eva: listo de nuevo"),
        ]
        after = {name: server["instance"] for name, server in status(redis).items()}
        assert after.keys() == before.keys()
        assert not set(after.values()) & set(before.values())
        assert [server.process.poll() for server in servers] == [None, None]  # the same processes


def test_a_restarted_server_is_as_it_was(redis: RedisServer, tmp_path: Path) -> None:
    path = tmp_path / "echo"
    with member(redis, "ana", "--unix", str(path), "--port", "0") as server:
        descriptors = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        for _ in range(3):
            cluster(redis, "restart", "ana")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"hola\n")
                said = b""
                while not said.endswith(b"HOLA\n"):
                    said += client.recv(1000)
            port = int(status(redis)["ana"]["addresses"][0].rpartition(":")[2])
            with Talker(port) as talker:
                assert talker.ask("ñandú") == "ÑANDÚ"
        proc = Path(f"/proc/{server.process.pid}")
        until(lambda: len(list((proc / "fd").iterdir())) <= descriptors)
        masks = dict(
            line.split(":\t")
            for line in (proc / "status").read_text().splitlines()
            if "Sig" in line
        )
        blocked, ignored = int(masks["SigBlk"], 16), int(masks["SigIgn"], 16)
        for number in (signal.SIGTERM, signal.SIGINT):
            assert not (blocked | ignored) >> (number - 1) & 1
        assert server.stop() == 0
        assert not path.exists()


def test_a_signal_during_a_restart_is_an_end(redis: RedisServer) -> None:
    with member(redis, "ana", "--drain-timeout", "600") as server:
        # A client that does not read keeps the drain from being over.
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            flood(client)
            command = json.dumps({"id": "1", "verb": "restart"})
            redis.call("SET", f"tcpecho:command:{instance(redis, 'ana')}", command)
            server.wait_for("lo reemplaza uno nuevo")
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGINT)
            server.wait_for("Servidor detenido")
        assert server.finish() == 0
        assert not any("Servidor TCP activo" in line for line in server.lines[2:])


def flood(client: socket.socket) -> None:
    """Send until nothing more is taken, and read nothing."""
    client.settimeout(1)
    with suppress(TimeoutError):
        while True:
            client.sendall(b"hola\n" * 10_000)


def test_inherited_sockets_are_handed_on(redis: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=10) as listening:
        port = listening.getsockname()[1]
        script = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); "
            "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}; "
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", script, str(listening.fileno()), *PROGRAM, "serve"),
                *("--cluster", redis.url, "--cluster-name", "ana", "--no-console"),
            ],
            cwd=ROOT,
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: "ana" in status(redis))
        for _ in range(2):
            cluster(redis, "restart", "ana")
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
                client.sendall(b"hola\n")
                assert client.recv(100) == b"HOLA\n"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out.decode()
    finally:
        process.kill()
        process.communicate()


def test_a_restart_stops_at_the_first_that_does_not_come_back(
    redis: RedisServer, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with members(redis, "eva") as (other,):
        before = instance(redis, "eva")
        lost = ServerProcess(
            *("--cluster", redis.url, "--cluster-name", "ana", "--no-console"),
            *("--unix", str(folder / "echo")),
        )
        try:
            until(lambda: "ana" in status(redis))
            shutil.rmtree(folder)  # so the next one cannot listen there
            line = cluster(redis, "restart", "--timeout", "5", code=4)
            assert line.startswith("Error: ana no volvió a estar listo en 5 s;")
            assert line.endswith(": eva.")
            lost.process.communicate(timeout=PATIENCE)
            assert lost.process.returncode == 3
        finally:
            lost.process.kill()
            lost.process.communicate()
        assert instance(redis, "eva") == before
        assert other.process.poll() is None


KEEP = """
import socket, sys, time
redis = socket.socket(socket.AF_UNIX)
redis.connect(sys.argv[1])
while True:
    redis.sendall(f"PEXPIRE {sys.argv[2]} 3400\\r\\n".encode())
    redis.recv(99)
    print(flush=True)
    time.sleep(0.05)  # the pace of its heartbeats
"""
"""Keeps a record alive whose server hangs."""


def test_a_server_that_hangs_takes_no_command_and_nobody_else_is_asked(
    redis: RedisServer,
) -> None:
    with members(redis, "ana", "eva") as (one, _):
        before = instance(redis, "eva")
        key = f"tcpecho:member:{instance(redis, 'ana')}"
        keep = subprocess.Popen(
            [sys.executable, "-c", KEEP, str(redis.path), key], stdout=subprocess.PIPE
        )
        assert keep.stdout is not None
        try:
            keep.stdout.readline()  # only now: its record lives for three seconds
            one.process.send_signal(signal.SIGSTOP)
            line = cluster(redis, "restart", code=4)
        finally:
            keep.kill()
            keep.communicate()
            one.process.send_signal(signal.SIGCONT)
        assert line == "Error: ana no tomó la orden en 5 s; no se le pidió a nadie más."
        until(lambda: "eva" in status(redis))
        assert instance(redis, "eva") == before


def test_a_server_of_several_processes_is_one_member_and_replaces_its_workers(
    redis: RedisServer,
) -> None:
    several = member(redis, "varios", "--processes", "2")
    with several as one, members(redis, "ana") as (other,), Talker(other.port) as there:
        before = status(redis)["varios"]
        with Talker(one.port) as first, Talker(one.port) as second:
            ours = {first.address, second.address}
            until(lambda: set(first.listing()) == {*ours, f"{there.address} ana"})
            until(lambda: set(there.listing()) == {there.address, *(f"{o} varios" for o in ours)})
            told = cluster(redis, "restart", "varios").splitlines()
            assert told[1].startswith("varios: listo de nuevo")
            assert first.ask("hola") == "HOLA"  # its old worker serves it until it leaves
        after = status(redis)["varios"]
        assert after["instance"] == before["instance"]
        assert after["generation"] == before["generation"] + 1
        cluster(redis, "drain", "varios")
        assert one.finish() == 0


# The console.


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one", "several"])
def test_the_console_lists_the_clients_of_all_servers(
    redis: RedisServer, processes: tuple[str, ...]
) -> None:
    options = ("--cluster", redis.url, "--cluster-name", "uno", "--dialect", "admin", *processes)
    with (
        at_terminal("serve", "--port", "0", "--quiet", *options) as child,
        members(redis, "dos") as (other,),
    ):
        child.expect(r"activo en localhost:(\d+)")
        port = int(matched(child))
        child.expect("uno;")
        child.sendline("listar")
        child.expect("No hay clientes conectados")
        with Talker(port) as here, Talker(other.port) as there:

            def is_listed() -> bool:
                child.sendline("listar")
                child.expect(r"Clientes conectados: (\d)")
                if matched(child) != "2":
                    return False
                child.expect(r"\r\n  \d+  (\S+) +desde [\d:]+  mensajes: [0–]  bytes: 0\r\n")
                assert matched(child) == here.address
                child.expect(r"  –  (.+?)\r\n")  # at first it is only known that there is one
                return bool(matched(child) == f"{there.address} dos")

            until(is_listed)
        child.sendline("cerrarservidor")
        child.expect("Servidor detenido")
        assert exit_code(child) == 0


# Watching.


def test_a_watch_at_a_terminal_is_drawn_anew_until_ctrl_c(redis: RedisServer) -> None:
    with (
        members(redis, "ana"),
        at_terminal("cluster", "status", "--watch", "--cluster", redis.url) as child,
    ):
        child.expect(r"ana +0  activo")
        child.expect(re.escape("\x1b[H\x1b[J"))
        child.expect(r"ana +0  activo")
        child.sendintr()
        assert exit_code(child) == 0


def test_a_watch_goes_on_while_redis_is_away(redis: RedisServer) -> None:
    with at_terminal("cluster", "status", "--watch", "--cluster", redis.url) as child:
        child.expect("Ningún servidor")
        redis.kill()
        child.expect("no se puede llegar a")
        redis.start()
        child.expect("Ningún servidor")
        child.sendintr()
        assert exit_code(child) == 0


def test_a_watch_in_a_pipe_is_one_json_object_a_line(redis: RedisServer) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "cluster", "status", "--watch", "--json", "--cluster", redis.url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    for _ in range(3):
        assert json.loads(process.stdout.readline()) == {"cluster": redis.url, "servers": []}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_a_narrow_terminal_has_the_addresses_below(redis: RedisServer) -> None:
    with members(redis, "ana") as (server,):
        child = pexpect.spawn(
            *(PROGRAM[0], [*PROGRAM[1:], "cluster", "status", "--cluster", redis.url]),
            encoding="utf-8",
            cwd=str(ROOT),
            timeout=PATIENCE,
            dimensions=(24, 40),
            env={name: value for name, value in os.environ.items() if name != "COLUMNS"},
        )
        told = child.read().splitlines()
        assert told[0] == "NOMBRE  CLIENTES  FASE"
        assert told[1] == "ana            0  activo"
        assert told[2] == f"  localhost:{server.port}"


# Clocks, and TLS.


def test_clocks_that_differ_by_an_hour_change_nothing(redis: RedisServer) -> None:
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("libfaketime is not installed")
    late = subprocess.Popen(
        [
            *(*PROGRAM, "serve", "--port", "0", "--dialect", "admin"),
            *("--cluster", redis.url, "--cluster-name", "late", "--no-console"),
            *("--log-format", "json"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME": "-3600s",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    try:
        assert late.stdout is not None
        listening = json.loads(late.stdout.readline())
        seen = time.strptime(listening["timestamp"][:19], "%Y-%m-%dT%H:%M:%S")
        assert 3000 < time.time() - calendar.timegm(seen) < 4200  # its clock is an hour late
        port = int(listening["listener"].rpartition(":")[2])
        with members(redis, "ana") as (server,):
            with Talker(server.port) as here, Talker(port) as there:
                until(lambda: here.listing() == [here.address, f"{there.address} late"])
                until(lambda: there.listing() == [there.address, f"{here.address} ana"])
                uptimes = [server["uptime"] for server in status(redis).values()]
                assert all(0 <= uptime < 600 for uptime in uptimes)
            cluster(redis, "drain", "late")
        late.communicate(timeout=PATIENCE)
        assert late.returncode == 0
    finally:
        late.kill()
        late.communicate()


def test_redis_over_tls_is_checked_and_believes_our_certificate(
    tmp_path: Path, authority: Any
) -> None:
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "server", "client", "other")}
    authority.ca.cert_pem.write_to_path(files["ca"])
    authority.other.cert_pem.write_to_path(files["other"])
    for name, host in (("server", "localhost"), ("client", "ana@example.org")):
        authority.ca.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(files[name])
    (port,) = free_ports(1)
    options = (
        *("--tls-port", str(port), "--tls-cert-file", files["server"]),
        *("--tls-key-file", files["server"], "--tls-ca-cert-file", files["ca"]),
    )
    with running_redis(tmp_path, *options) as redis:
        url = f"rediss://localhost:{port}"
        ours = ("--cluster-cert", files["client"], "--cluster-key", files["client"])
        with serving("--cluster", url, "--cluster-ca", files["ca"], *ours) as server:
            server.wait_for(f"Miembro del clúster {re.escape(str(ClusterLocation.parse(url)))}")
        with serving("--cluster", url, "--cluster-ca", files["other"], *ours) as server:
            server.wait_for("Sin contacto con el clúster .*: ")
        done = run("cluster", "status", "--cluster", url, "--cluster-ca", files["ca"])
        assert done.returncode == 3, done.stderr.decode()  # without our certificate
        done = run("cluster", "status", "--cluster", url, "--cluster-ca", redis.url[7:])
        assert done.returncode in (2, 3)


@pytest.fixture
def authority() -> Any:
    trustme = pytest.importorskip("trustme")

    class Authorities:
        ca, other = trustme.CA(), trustme.CA()

    return Authorities
