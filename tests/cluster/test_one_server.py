"""To the outside several processes are one server: its limits, lists, logs, words and its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
import trio

from tcpecho_trio.cluster.supervised_server import SupervisedServer
from tcpecho_trio.cluster.supervisor import Supervisor
from tcpecho_trio.proxy_protocol import encode_v1
from tcpecho_trio.server import Events, Lifecycle, Settings
from tests.cluster.fleet import connect_all, crowd, fleet, waiting
from tests.support.certificates import Certificates
from tests.support.processes import PROGRAM, ROOT, at_terminal, exit_code, matched
from tests.support.victim import PATIENCE, read_all, read_exactly

GREETING = "Conexión exitosa. Usa 'LISTAR' para ver clientes."
ADMIN = ("--dialect", "admin", "--quiet")
INSPECT = ("--dialect", "inspect", "--quiet")


def receive(client: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionError):
        return client.recv(1000)
    return b""


# Limits and numbers


def test_a_limit_of_ten_over_three_processes_lets_in_ten_of_thirty() -> None:
    with fleet("--quiet", "--max-connections", "10", processes=3) as server:
        clients = connect_all(server.port, 30)
        for client in clients:
            client.settimeout(PATIENCE)
            client.sendall(b"hola\n")
        replies = [receive(client) for client in clients]
        served = [c for c, reply in zip(clients, replies, strict=True) if reply == b"HOLA\n"]
        refused = [reply for reply in replies if reply.startswith(b"ERROR: ")]
        # If two want the last place at once it may stay free; never is there one too many.
        assert 9 <= len(served) <= 10
        assert len(served) + len(refused) + replies.count(b"") == 30
        for client in clients:
            client.close()
        while receive_one(server.port) != b"HOLA\n":  # refusals linger for a second
            pass


def receive_one(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"hola\n")
        return receive(client)


def test_numbers_are_unique_whoever_accepts() -> None:
    with fleet(*INSPECT, processes=3) as server:
        reports = [server.report() for _ in range(60)]
        assert len({report["connection"] for report in reports}) == 60
        assert {report["server"]["worker"] for report in reports} <= {1, 2, 3}


async def test_of_500_connections_that_are_opened_quickly_nobody_has_more_than_60_percent() -> None:
    with fleet(*INSPECT) as server:
        async with crowd(server, 500, introduced=False) as talkers:
            shares = dict.fromkeys(server.pids(), 0)
            for talker in talkers:
                await talker.wait_for(1)
            counted = await waiting(listed_by_worker, server.process.pid, server.pids())
            shares.update(counted)
        assert sum(shares.values()) == 500
        assert max(shares.values()) <= 300, shares


def listed_by_worker(_supervisor: int, pids: dict[int, int]) -> dict[int, int]:
    """How many established TCP connections each worker has (proc(5))."""
    established = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "01":
                established.add(fields[9])
    return {
        worker: sum(
            target[8:-1] in established
            for file in Path(f"/proc/{pid}/fd").iterdir()
            if (target := str(file.readlink())).startswith("socket:")
        )
        for worker, pid in pids.items()
    }


# Lists


def test_a_client_s_word_lists_the_clients_of_all_processes() -> None:
    with fleet(*ADMIN, processes=3, greeting=GREETING) as server:
        clients = [server.connect() for _ in range(12)]
        names = {"{}:{}".format(*client.getsockname()) for client in clients}
        for client in clients:
            client.sendall(b"LISTAR\n")
        for client in clients:
            with client.makefile("rb") as replies:
                assert replies.readline() == b"Clientes conectados:\n"
                first = replies.readline().decode().strip()
                rest = {replies.readline().decode().strip() for _ in range(11)}
            assert {first, *rest} == names
        for client in clients:
            client.close()


def test_a_list_does_not_wait_for_a_process_that_hangs() -> None:
    with fleet(*ADMIN, greeting=GREETING) as server:
        clients = [server.connect() for _ in range(6)]
        hung = next(iter(server.pids().values()))
        os.kill(hung, signal.SIGSTOP)
        try:
            for client in clients:
                client.sendall(b"LISTAR\n")
            answered, _, _ = select.select(clients, [], [], PATIENCE)
            assert server.events("worker_hung") == []  # which would have answered for it
            assert answered[0].recv(1000).startswith(b"Clientes conectados:\n127")
        finally:
            os.kill(hung, signal.SIGCONT)
        for client in clients:
            client.close()


# Words and signals that end all


def test_a_client_s_word_ends_all_processes_with_one_line_of_totals() -> None:
    with fleet(*ADMIN, greeting=GREETING, processes=3) as server:
        clients = [server.connect() for _ in range(9)]
        for client in clients:
            client.sendall(b"hola\n")
            assert read_exactly(client, 5) == b"HOLA\n"
        clients[0].sendall(b"DESCONEXION\n")
        assert read_all(clients[0]).decode() == "SERVIDOR CERRÁNDOSE...\n"
        for client in clients[1:]:
            assert read_all(client) == b""
        assert server.finish() == 0
        (draining,) = server.events("draining")
        assert draining["reason"] == "remote"
        assert draining["client"] == "{}:{}".format(*clients[0].getsockname())
        (stopped,) = server.events("stopped")
        assert (stopped["served"], stopped["aborted"]) == (9, 0)
        assert stopped["bytes_in"] == 9 * 5 + 12
        assert server.events("worker_died") == []
        for client in clients:
            client.close()


@pytest.mark.parametrize("how", ["cerrarservidor", "SIGINT", "SIGTERM"])
def test_console_and_signals_end_all(how: str) -> None:
    with fleet("--quiet") as server:
        clients = [server.connect() for _ in range(4)]
        if how == "cerrarservidor":
            assert server.process.stdin is not None
            server.process.stdin.write(b"cerrarservidor\n")
            server.process.stdin.flush()
        else:
            server.process.send_signal(getattr(signal, how))
        for client in clients:
            assert read_all(client) == b""
            client.close()
        assert server.finish() == 0
        assert len(server.events("draining")) == len(server.events("stopped")) == 1
        assert server.events("draining")[0]["clients"] == 4


def test_the_totals_count_who_was_lost_with_a_process() -> None:
    with fleet("--quiet", processes=1) as server:
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.sendall(b"hola\n")
            assert read_exactly(client, 5) == b"HOLA\n"
        os.kill(server.pids()[1], signal.SIGKILL)
        server.wait_for_count("worker_ready", 2)
        assert server.ask(b"adios\n") == b"ADIOS\n"
        assert server.stop() == 0
        (stopped,) = server.events("stopped")
        assert (stopped["served"], stopped["aborted"]) == (1, 3)
        for client in clients:
            client.close()


def test_the_shutdown_delay_is_the_supervisor_s() -> None:
    with fleet("--quiet", "--shutdown-delay", "600") as server:
        # A service manager may send it to every process of the group.
        for pid in (server.process.pid, *server.pids().values()):
            os.kill(pid, signal.SIGTERM)
        server.wait_for("shutdown_delayed")
        server.check()
        assert len(server.pids()) == 2
        assert server.events("worker_replaced") == []
        server.process.send_signal(signal.SIGTERM)
        assert server.finish() == 0
        assert len(server.events("shutdown_delayed")) == len(server.events("draining")) == 1


def test_at_a_terminal_ctrl_c_ends_it_and_listar_lists_all() -> None:
    options = ("serve", "--port", "0", "--processes", "2")
    with at_terminal(*options) as child, contextlib.ExitStack() as stack:
        child.expect(r"activo en localhost:(\d+)")
        port = int(matched(child))
        child.expect("ayuda")
        for _ in range(5):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"hola\n")
            assert read_exactly(client, 5) == b"HOLA\n"
        child.sendline("listar")
        child.expect("Clientes conectados: 5")
        for _ in range(5):
            child.expect(r"127\.0\.0\.1:\d+ +desde")
        child.sendintr()
        child.expect("Servidor detenido: 5 clientes atendidos, 0 cortados")
        assert exit_code(child) == 0


# Logs


def test_json_lines_are_whole_under_a_flood_from_all_processes() -> None:
    with fleet("--dialect", "standard", processes=3) as server:
        stop = threading.Event()

        def flood() -> None:
            with server.connect() as client:
                while not stop.is_set():
                    client.sendall(b"una l\xc3\xadnea\n" * 50)
                    read_exactly(client, 50 * 11)

        threads = [threading.Thread(target=flood) for _ in range(9)]
        for thread in threads:
            thread.start()
        server.wait_for("more_messages", lambda _: len(server.events("more_messages")) > 4)
        stop.set()
        for thread in threads:
            thread.join()
        assert server.stop() == 0
        workers = {json.loads(line).get("worker") for line in server.lines}
        assert workers == {None, 1, 2, 3}
        counted = len(server.events("received")) + sum(
            event["count"] for event in server.events("more_messages")
        )
        assert counted == server.events("stopped")[0]["messages_in"]


def test_the_access_log_is_one_file_and_can_be_rotated(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with fleet("--quiet", "--access-log", str(log)) as server:
        for _ in range(30):
            assert server.ask(b"hola\n") == b"HOLA\n"
        # What the workers have collected is written within a moment.
        while len(log.read_text().splitlines()) < 30:
            time.sleep(0.01)  # a file tells nobody that it has grown
        log.rename(tmp_path / "access.log.1")
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for("access_log_reopened")
        for _ in range(30):
            assert server.ask(b"adios\n") == b"ADIOS\n"
        assert server.stop() == 0
    lines = [
        [json.loads(line) for line in file.read_text().splitlines()]
        for file in (tmp_path / "access.log.1", log)
    ]
    assert [len(part) for part in lines] == [30, 30]
    numbers = [line["connection"] for part in lines for line in part]
    assert len(set(numbers)) == 60
    assert {line["worker"] for part in lines for line in part} <= {1, 2}


# Where it listens


def test_every_kind_of_endpoint_is_shared(tmp_path: Path) -> None:
    path = str(tmp_path / "echo.sock")
    options = (
        *("--listen", "tcp://127.0.0.1:0?dialect=echo"),
        *("--listen", f"unix://{path}?dialect=admin"),
        *("--listen", "tcp://127.0.0.1:0?proxy=required"),
    )
    with fleet(*INSPECT, *options) as server:
        names = [event["listener"] for event in server.events("listening")]
        echo, _, proxied = (int(re.findall(r"(\d+)$", n)[0]) for n in (*names[1:2], "0", names[3]))
        assert names[2] == f"unix://{path}"
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", echo), PATIENCE) as client:
                client.sendall(b"hola\n")
                assert read_exactly(client, 5) == b"hola\n"
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(path)
                assert read_exactly(client, len(GREETING.encode())) == GREETING.encode()
                client.sendall(b"LISTAR\n")
                assert b"Clientes conectados:\n" in read_exactly(client, 22)
            with socket.create_connection(("127.0.0.1", proxied), PATIENCE) as client:
                client.sendall(b"PROXY TCP4 203.0.113.7 198.51.100.1 5 6\r\nREPORT\n")
                with client.makefile("rb") as replies:
                    assert json.loads(replies.readline())["client"] == "203.0.113.7:5"
        assert Path(path).is_socket()
        second = subprocess.run(
            [*PROGRAM, "serve", "--unix", path, "--processes", "2"],
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
        assert second.returncode == 3
    assert not Path(path).exists()
    assert not Path(f"{path}.lock").exists()


def test_behind_a_proxy_over_tls_every_process_sees_the_real_client(
    certificates: Certificates,
) -> None:
    files = certificates.files
    options = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    with fleet(*INSPECT, "--listen", "tls://127.0.0.1:0?proxy=required", *options) as server:
        address = ("127.0.0.1", int(server.events("listening")[-1]["listener"].rpartition(":")[2]))
        context = ssl.create_default_context(cafile=certificates.ca_file)
        workers = set()
        with contextlib.ExitStack() as stack:
            for port in range(1, 21):
                bare = stack.enter_context(socket.create_connection(address))
                bare.settimeout(PATIENCE)
                bare.sendall(encode_v1(("203.0.113.7", port), ("198.51.100.1", 5)))
                client = stack.enter_context(context.wrap_socket(bare, server_hostname="localhost"))
                client.sendall(b"REPORT\n")
                with client.makefile("rb") as replies:
                    report = json.loads(replies.readline())
                assert (report["client"], report["proxy"]["version"]) == (f"203.0.113.7:{port}", 1)
                assert report["tls"]["version"] == "TLSv1.3"
                workers.add(report["server"]["worker"])
            assert workers == {1, 2}
            # Without a header nobody comes in, whichever process it is that looks.
            for _ in range(4):
                with (
                    socket.create_connection(address, PATIENCE) as bare,
                    pytest.raises((ssl.SSLError, ConnectionError)),
                ):
                    context.wrap_socket(bare, server_hostname="localhost")
        assert server.stop() == 0
        assert {e["fault"] for e in server.events("proxy_refused")} == {"not_proxy"}


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", str(port), "--processes", "2"],
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.decode().count("\n") == 1
    assert str(port) in done.stderr.decode()


def test_sockets_of_a_service_manager_are_shared_and_it_is_told_when_all_are_ready(
    tmp_path: Path,
) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        socket.create_server(("127.0.0.1", 0), backlog=200) as opened,
    ):
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        script = f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{opened.fileno()}'
        service = subprocess.Popen(
            ["bash", "-c", script, "bash", *PROGRAM, "serve", "--processes", "2", "--no-console"],
            pass_fds=[opened.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "400000"},
            cwd=ROOT,
        )
        try:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            port = opened.getsockname()[1]
            for _ in range(10):
                assert receive_one(port) == b"HOLA\n"
            service.send_signal(signal.SIGHUP)
            while not (said := manager.recv(100)).startswith(b"RELOADING=1\nMONOTONIC_USEC="):
                assert said == b"WATCHDOG=1"
            while (said := manager.recv(100)) != b"READY=1":
                assert said == b"WATCHDOG=1"
            assert receive_one(port) == b"HOLA\n"
            service.send_signal(signal.SIGTERM)
            while (said := manager.recv(100)) != b"STOPPING=1":
                assert said == b"WATCHDOG=1"
        finally:
            out, err = service.communicate()
        assert (service.returncode, err) == (0, b""), out


def test_who_waits_in_the_backlog_when_it_ends_is_served() -> None:
    """However many processes close the socket, the last of them accepts who is there."""
    with fleet("--quiet") as server:
        stopped = list(server.pids().values())
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        clients = connect_all(server.port, 40)
        for client in clients:
            client.sendall(b"hola\n")
        server.process.send_signal(signal.SIGTERM)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        for client in clients:
            client.settimeout(PATIENCE)
            assert read_exactly(client, 5) == b"HOLA\n"
            client.close()
        assert server.finish() == 0


def test_who_resets_at_once_costs_no_place() -> None:
    with fleet("--quiet", "--max-connections", "5") as server:
        for _ in range(50):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        while receive_one(server.port) != b"HOLA\n":
            pass


def supervised() -> Supervisor:
    """A supervisor in this process; its workers are others."""
    return Supervisor(
        Settings(host="127.0.0.1", port=0),
        Lifecycle(),
        Events(),
        processes=2,
        command=[*PROGRAM, "serve", "--processes", "2"],
        environ={**os.environ, "PYTHONPATH": str(ROOT)},
        journal=lambda name, fields: None,
        access=lambda line: None,
    )


async def test_faults_can_be_changed_for_all_and_a_client_dismissed() -> None:
    """What an administrator's endpoint builds on: questions that every worker answers."""
    supervisor = supervised()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: supervisor.run(tls=False, task_status=task_status))
        port = int(supervisor.names[0].rpartition(":")[2])
        client = await trio.open_tcp_stream("127.0.0.1", port)
        await client.send_all(b"hola\n")
        assert await client.receive_some() == b"HOLA\n"
        connections = await supervisor.ask("connections")
        ((worker, number),) = [
            (worker, one["number"]) for worker, there in connections.items() for one in there
        ]
        assert await supervisor.clients() == ["{}:{}".format(*client.socket.getsockname())]
        counters = await supervisor.ask("counters")
        assert counters[worker]["clients"] == 1
        assert await supervisor.ask("faults", faults=["close:3"]) == {1: 1, 2: 1}
        async with await trio.open_tcp_stream("127.0.0.1", port) as suffering:
            await suffering.send_all(b"hola\n")
            assert await suffering.receive_some() == b"HOL"
        assert sum((await supervisor.ask("dismiss", number=number)).values()) == 1
        assert await client.receive_some() == b""
        await client.aclose()
        supervisor.lifecycle.drain()
        await supervisor.lifecycle.wait_stopped()


async def test_what_tells_a_cluster_of_the_server_ends_with_it() -> None:
    """It looks at the memory that the workers share, which is gone then."""
    supervisor = supervised()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: supervisor.run(tls=False, task_status=task_status))
        nursery.start_soon(SupervisedServer(supervisor).watch)
        supervisor.lifecycle.drain()
