"""What a platform engineer's surroundings do to a server: probes, balancers, rotators, doubts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tcpecho_trio.dialects import ADMIN, WIRE_ERRORS
from tcpecho_trio.proxy_protocol import encode_v1
from tests.support.processes import at_terminal, exit_code, matched, run, serving
from tests.support.victim import Victim, attacked, read_all, read_exactly, reset


def ask(server: Victim, port: int, said: bytes, host: str = "127.0.0.1") -> bytes:
    with socket.create_connection((host, port)) as client:
        client.settimeout(60)
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


# Probes


@pytest.mark.parametrize("rude", [False, True])
def test_a_probe_that_leaves_without_a_byte_is_not_told_of(way: str, rude: bool) -> None:
    with attacked(way=way) as server:
        for _ in range(12):
            probe = server.connect()
            reset(probe) if rude else probe.close()
        assert server.ask(b"hola\n") == b"HOLA\n"
        server.wait_for("closed", lambda event: event["reason"] == "eof")
        assert server.stop() == 0
        assert len(server.events("connected")) == len(server.events("closed")) == 1
        assert server.events("stopped")[0]["served"] == 1


def test_probes_are_told_of_where_that_is_wanted() -> None:
    with attacked("--log-probes") as server:
        for _ in range(3):
            server.connect().close()
        assert server.ask(b"hola\n") == b"HOLA\n"
        server.wait_for("closed", lambda event: event["reason"] == "eof")
        reasons = [event["reason"] for event in server.events("closed")]
        assert sorted(reasons) == ["eof", "probe", "probe", "probe"]


def test_a_client_that_stays_and_says_nothing_is_told_of() -> None:
    with attacked() as server:
        with server.connect() as client:
            name = "{}:{}".format(*client.getsockname())
            server.wait_for("connected", lambda event: event["client"] == name)
        server.wait_for("closed", lambda event: event["client"] == name)


# The shutdown delay


def test_in_the_shutdown_delay_newcomers_are_served_and_a_second_signal_ends_it() -> None:
    with attacked("--shutdown-delay", "3600") as server:
        server.process.send_signal(signal.SIGTERM)
        delayed = server.wait_for("shutdown_delayed")
        assert (delayed["reason"], delayed["seconds"]) == ("sigterm", 3600)
        assert server.ask(b"hola\n") == b"HOLA\n"
        assert server.events("draining") == []
        server.process.send_signal(signal.SIGTERM)
        assert server.finish() == 0
        assert server.events("draining")[0]["reason"] == "sigterm"
        assert server.events("cutting") == []


def test_the_shutdown_delay_ends_by_itself() -> None:
    with attacked("--shutdown-delay", "0.2") as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.finish() == 0
        names = [event["event"] for event in server.events()]
        assert names[-3:] == ["shutdown_delayed", "draining", "stopped"]


def test_the_console_does_not_wait_for_the_shutdown_delay() -> None:
    with attacked("--shutdown-delay", "3600") as server:
        assert server.process.stdin is not None
        server.process.stdin.write(b"cerrarservidor\n")
        server.process.stdin.flush()
        assert server.finish() == 0
        assert server.events("shutdown_delayed") == []


def test_the_service_manager_is_told_as_the_shutdown_delay_begins(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        server = Victim(
            *("--shutdown-delay", "3600"),
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        try:
            assert manager.recv(100) == b"READY=1"
            server.process.send_signal(signal.SIGTERM)
            while (state := manager.recv(100)) == b"WATCHDOG=1":
                pass  # where the suite runs under a watchdog
            assert state == b"STOPPING=1"
            assert server.ask(b"hola\n") == b"HOLA\n"
            assert server.stop() == 0
        finally:
            server.close()


# Listeners


@pytest.mark.parametrize("host", ["::", "*"])
def test_all_addresses_are_ipv4_and_ipv6_on_one_port(host: str) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with attacked("--host", host) as server:
        for address in ("127.0.0.1", "::1"):
            assert ask(server, server.port, b"hola\n", address) == b"HOLA\n"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_one_process_has_a_plain_door_and_one_for_the_proxy() -> None:
    listen = (
        *("--listen", "tcp://127.0.0.1:0"),
        *("--listen", "tcp://127.0.0.1:0?proxy=required&dialect=admin"),
    )
    with attacked(*listen) as server:
        server.wait_for("listening", lambda event: len(server.events("listening")) == 3)
        _, plain, behind = (
            int(event["listener"].rpartition(":")[2]) for event in server.events("listening")
        )
        assert ask(server, plain, b"LISTAR\n") == b"LISTAR\n"
        header = encode_v1(("203.0.113.7", 4000), ("198.51.100.1", 5000))
        listing = ask(server, behind, header + b"LISTAR\n").decode()
        assert listing == f"{ADMIN.greeting}Clientes conectados:\n203.0.113.7:4000\n"
        with socket.create_connection(("127.0.0.1", behind)) as client:
            client.sendall(b"hola\n")
            with pytest.raises(ConnectionResetError):
                read_exactly(client, 5)


@pytest.mark.parametrize(
    "url",
    [
        "tcp://127.0.0.1:0?proxy=perhaps",
        "tcp://127.0.0.1:0?dialect=klingon",
        "tcp://127.0.0.1:0?dialect=echo&dialect=admin",
        "tcp://127.0.0.1:0?nonsense",
        "tcp://127.0.0.1:0?x=y",
        "tcp://127.0.0.1:0#x",
    ],
)
def test_what_no_listener_can_be_is_wrong_usage(url: str) -> None:
    done = run("serve", "--listen", url)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("Error: --listen: ")


def test_a_socket_path_with_control_bytes_is_told_escaped(tmp_path: Path) -> None:
    with serving("--unix", str(tmp_path / "a\nb\x1b[31m.sock")) as server:
        assert server.wait_for(r"a\\x0ab\\x1b\[31m\.sock")
    assert all(line.isprintable() for line in server.lines)


# Refusals


def test_a_refusal_on_the_wire_is_in_the_servers_language() -> None:
    with attacked("--lang", "en", "--max-connections", "1") as server, server.connect() as one:
        one.sendall(b"hola\n")
        assert read_exactly(one, 5) == b"HOLA\n"
        assert server.ask(b"hola\n") == WIRE_ERRORS["en"].full.encode()
        one.close()
        server.wait_for("closed")


# Signals


def test_a_rotators_signal_harms_nobody() -> None:
    with attacked() as server:
        for _ in range(3):
            server.process.send_signal(signal.SIGUSR1)
        assert server.ask(b"hola\n") == b"HOLA\n"


# Logs


def test_a_flood_of_lists_cannot_fill_the_log(way: str) -> None:
    with attacked("--dialect", "admin", way=way, greeting=ADMIN.greeting) as server:
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            for _ in range(60):  # a line of each list
                stack.enter_context(server.connect())
            client = stack.enter_context(server.connect())
            reading = stack.enter_context(client.makefile("rb"))
            client.sendall(b"LISTAR\n" * 9000)
            for _ in range(62 * 9000):
                assert reading.readline()
        assert server.stop() == 0
        seconds = time.monotonic() - began
        spoken = len(server.events("received")) + len(server.events("replied"))
        assert spoken <= 2 * 120 * (seconds + 1)  # a hundred a second, and a chunk on top


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
def test_json_is_utf8_whatever_the_environment_says(variables: dict[str, str]) -> None:
    server = Victim(env={**os.environ, **variables})
    try:
        assert server.ask("año\n".encode()) == "AÑO\n".encode()
        server.wait_for("received", lambda event: event["text"] == "año")
        assert server.stop() == 0
        assert "año".encode() in b"".join(server.lines)
        for line in server.lines:
            json.loads(line.decode("utf-8"))
    finally:
        server.close()


# The terminal


def test_the_console_survives_ctrl_d_at_a_terminal() -> None:
    with at_terminal("serve", "--port", "0") as child:
        child.expect(r"localhost:(\d+)")
        port = int(matched(child))
        child.expect("cerrarservidor")
        for _ in range(3):
            child.sendeof()
        child.sendline("listar")
        child.expect("No hay clientes conectados")
        with socket.create_connection(("localhost", port)) as client:
            client.sendall(b"hola\n")
            assert read_exactly(client, 5) == b"HOLA\n"
        child.sendline("cerrarservidor")
        assert exit_code(child) == 0
