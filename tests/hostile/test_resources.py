"""Descriptors, memory and attention: what one client can take from the others."""

from __future__ import annotations

import contextlib
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tcpecho_trio.dialects import SERVER_FULL
from tests.support.processes import PROGRAM, ROOT
from tests.support.victim import (
    PATIENCE,
    Victim,
    attacked,
    fill,
    processor_time,
    read_all,
    read_exactly,
    reset,
    told_rarely,
)

SIPPED = 4096
"""A receive buffer so small that the server soon notices who does not read."""


@contextlib.contextmanager
def clients(server: Victim, count: int) -> Iterator[list[socket.socket]]:
    """So many, each with one answer already."""
    with contextlib.ExitStack() as stack:
        connected = [stack.enter_context(server.connect()) for _ in range(count)]
        for client in connected:
            client.sendall(b"hola\n")
        for client in connected:
            assert read_exactly(client, 5) == b"HOLA\n"
        yield connected


def unread(server: Victim) -> socket.socket:
    """A client with little room for what it does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SIPPED)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", server.port))
    return client


def test_more_connections_than_the_cap(way: str) -> None:
    with attacked("--max-connections", "5", way=way) as server:
        with clients(server, 5) as connected:
            for _ in range(20):
                with server.connect() as refused:
                    refused.sendall(b"anybody there?\n")
                    assert read_all(refused) == SERVER_FULL.encode()
            connected[0].sendall(b"DESCONEXION\n")
            assert read_all(connected[0]) == "Conexión cerrada\n".encode()
            connected[0].close()
            server.wait_for("closed")
            assert server.ask(b"hola") == b"HOLA"  # the slot is free again at once
        assert told_rarely(server.events("refused"))  # of twenty


def test_out_of_descriptors_clients_are_served_and_the_processor_is_idle() -> None:
    limited = ["bash", "-c", f"ulimit -n 100; exec {' '.join(PROGRAM)} serve --port 0 --no-console"]
    process = subprocess.Popen(
        limited, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    port = int(re.findall(rb"localhost:(\d+)", process.stdout.readline())[0])
    with contextlib.ExitStack() as stack:
        # More than it serves, and more than it can refuse at a time.
        everybody = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(200)
        ]
        while "No se pueden aceptar" not in (line := process.stdout.readline().decode()):
            assert line
        first = everybody[0]
        first.sendall(b"hola\n")
        assert read_exactly(first, 5) == b"HOLA\n"
        before = processor_time(process.pid)
        first.settimeout(1)
        with pytest.raises(TimeoutError):  # a second in which nothing happens
            first.recv(1)
        assert processor_time(process.pid) - before < 0.3
    answer = b""
    while answer != b"HOLA":  # as soon as the others' closes have come through
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", port), PATIENCE) as later,
        ):
            later.sendall(b"hola")
            answer = later.recv(100)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.count(b"No se pueden aceptar") == 0  # it is told once in ten seconds


def test_a_thousand_resets_before_accept(server: Victim) -> None:
    for _ in range(10):
        server.process.send_signal(signal.SIGSTOP)  # so that nobody is accepted meanwhile
        queued = [server.connect() for _ in range(100)]
        for client in queued:
            client.send(b"hola\n")
            reset(client)
        server.process.send_signal(signal.SIGCONT)
    server.check()


@pytest.mark.parametrize("said", [b"", b"hola\nDESCONE", b"\xe2\x82", b"x" * 100_000])
def test_a_thousand_resets_after_accept_and_mid_message(server: Victim, said: bytes) -> None:
    with server.connect() as bystander:
        for _ in range(250):
            with server.connect() as client:
                client.sendall(said)
                reset(client)
        bystander.sendall(b"hola\n")
        assert read_exactly(bystander, 5) == b"HOLA\n"


def test_a_thousand_resets_mid_reply(server: Victim) -> None:
    with server.connect() as bystander:
        for _ in range(1000):
            client = server.connect()
            client.sendall(b"hola mundo\n" * 5000)
            read_exactly(client, 5)
            reset(client)
        bystander.sendall(b"hola\n")
        assert read_exactly(bystander, 5) == b"HOLA\n"


def test_a_peer_that_says_nothing_is_let_go_at_the_idle_timeout(way: str) -> None:
    with (
        attacked("--idle-timeout", "1.5", way=way) as server,
        server.connect() as silent,
        server.connect() as talking,
    ):
        for _ in range(8):
            talking.settimeout(0.2)
            with pytest.raises(TimeoutError):  # a fifth of a second
                talking.recv(1)
            talking.settimeout(PATIENCE)
            talking.sendall(b"hola\n")
            assert read_exactly(talking, 5) == b"HOLA\n"
        assert read_all(silent) == b""
        silent.shutdown(socket.SHUT_WR)
        assert server.wait_for_end(silent) == "idle"
        assert read_all(talking) == b""
        talking.shutdown(socket.SHUT_WR)
        assert server.wait_for_end(talking) == "idle"


def test_what_came_while_nobody_could_look_is_no_silence(way: str) -> None:
    with attacked("--idle-timeout", "1", way=way) as server, server.connect() as client:
        client.sendall(b"hola\n")
        assert read_exactly(client, 5) == b"HOLA\n"
        server.process.send_signal(signal.SIGSTOP)
        client.sendall(b"adios\n")
        client.settimeout(1.5)
        with pytest.raises(TimeoutError):  # longer than the idle timeout
            client.recv(1)
        client.settimeout(PATIENCE)
        server.process.send_signal(signal.SIGCONT)
        assert read_exactly(client, 6) == b"ADIOS\n"


def test_a_peer_that_never_reads_is_cut_at_the_write_timeout(way: str) -> None:
    with attacked("--write-timeout", "1", way=way) as server, unread(server) as client:
        fill(client)
        assert server.wait_for_end(client) == "write_timeout"
        with pytest.raises(ConnectionError):
            read_all(client)


def test_a_peer_that_sips_a_byte_now_and_then_is_cut_too(way: str) -> None:
    with attacked("--write-timeout", "1", way=way) as server, unread(server) as client:
        fill(client)
        client.settimeout(PATIENCE)

        def sip() -> None:
            while not server.events("closed"):
                client.recv(1)
                time.sleep(0.05)  # that is the pace of this client

        sipping = threading.Thread(target=sip)
        sipping.start()
        assert server.wait_for_end(client) == "write_timeout"
        sipping.join()


def test_a_slow_but_live_reader_is_kept(way: str) -> None:
    text = b"hola mundo\n" * 20_000

    def send(client: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):  # a reader that stalled is cut, and reads again
            client.sendall(text)

    with attacked("--write-timeout", "1", way=way) as server:
        for _ in range(10):
            with unread(server) as client:
                sending = threading.Thread(target=send, args=(client,))
                sending.start()
                received = b""
                start = last = time.monotonic()
                longest_pause = 0.0
                with contextlib.suppress(ConnectionError):
                    while len(received) < len(text):
                        received += client.recv(2048)
                        if time.monotonic() - start < 3:
                            time.sleep(0.01)  # for three times the write timeout, 200 KB a second
                        now = time.monotonic()
                        longest_pause, last = max(longest_pause, now - last), now
                sending.join()
            if longest_pause < 0.25:
                break  # else a busy machine has made it a reader that stalls
        assert received == text.upper()


def test_peers_that_never_read_cost_a_bounded_amount_and_nobody_notices(way: str) -> None:
    with attacked("--write-timeout", "60", "--quiet", "--drain-timeout", "0", way=way) as server:
        before = server.memory()
        with contextlib.ExitStack() as stack:
            for _ in range(30):
                client = stack.enter_context(unread(server))
                client.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    while True:
                        client.send("\u0390".encode() * 100_000)  # its reply is three times as long
            assert server.ask(b"hola\n" * 1000) == b"HOLA\n" * 1000
            # The bound of docs/security.md: a quarter of a MiB each.
            assert (server.memory() - before) / 30 < 256 * 1024
            server.stop()


POLITE, FLOOD = 100, b"una linea cualquiera\n" * 3000


def round_trips(connected: list[socket.socket], rounds: int) -> list[float]:
    """Everybody asks at once, again and again; how long each answer took, in seconds."""
    times = []
    with selectors.DefaultSelector() as selector:
        for client in connected:
            selector.register(client, selectors.EVENT_READ)
        for _ in range(rounds):
            start = time.perf_counter()
            for client in connected:
                client.send(b"hola\n")
            waiting = len(connected)
            while waiting:
                for key, _ in selector.select():
                    assert isinstance(key.fileobj, socket.socket)
                    assert key.fileobj.recv(100) == b"HOLA\n"
                    times.append(time.perf_counter() - start)
                    waiting -= 1
    return sorted(times)


def test_a_flooder_beside_a_hundred_polite_clients(way: str) -> None:
    flooder = (
        "import socket, sys, threading\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        f"data = {FLOOD[:21]!r} * 3000\n"
        "def send():\n"
        "    while True: s.sendall(data)\n"
        "threading.Thread(target=send, daemon=True).start()\n"
        "print('flooding', flush=True)\n"
        "while s.recv(1 << 20): pass\n"
    )
    with attacked("--quiet", way=way) as server, clients(server, POLITE) as connected:
        round_trips(connected, 10)
        ratios = []
        for _ in range(5):  # side by side, and the best of five: the machine has others to serve
            alone = round_trips(connected, 20)
            flood = subprocess.Popen(
                [sys.executable, "-c", flooder, str(server.port)], stdout=subprocess.PIPE
            )
            assert flood.stdout is not None
            with flood:
                flood.stdout.readline()
                beside = round_trips(connected, 20)
                flood.kill()
            ratios.append(beside[len(beside) * 99 // 100] / alone[len(alone) * 99 // 100])
        assert min(ratios) < 5, ratios
