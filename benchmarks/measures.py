"""What is measured of a server: messages, idle connections, new connections."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import socket
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import HERE, Running, Server, compile_c

SERVER_PROCESSOR, LOAD_PROCESSOR = 0, 1
IDLE_CONNECTIONS = 4000
SCRAPED_CONNECTIONS = 1000


@dataclass(frozen=True)
class Load:
    """Connections, each with so many messages under way at a time."""

    name: str
    connections: int
    depth: int
    message: bytes
    idle: int = 0


def line(size: int) -> bytes:
    """A line of ASCII text, `size` bytes with its LF."""
    return (b"hola servidor, que tal " * size)[: size - 1] + b"\n"


# The same number of characters as the ASCII line of 32 bytes, two in three of them not ASCII.
ENYE = ("ñañá éü señor " * 3)[:31].encode() + b"\n"

LOADS = {
    load.name: load
    for load in (
        Load("1×32 B", 1, 1, line(32)),
        Load("10×32 B", 10, 1, line(32)),
        Load("100×64 B", 100, 1, line(64)),
        Load("10×1 KiB", 10, 1, line(1024)),
        Load("1000×64 B", 1000, 1, line(64)),
        Load("pipelined 10×64 B×100", 10, 100, line(64)),
        Load("bulk 1×64 KiB×4", 1, 4, line(64) * 1024),
        Load("10×32 ñ", 10, 1, ENYE),
        Load("100×64 B, 10000 idle", 100, 1, line(64), idle=10_000),
    )
}


def raise_descriptor_limit() -> int:
    """Let this process and its children open as many files as they may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def messages(server: Server, load: Load, seconds: float) -> dict[str, float]:
    """Messages a second, CPU µs a message of the server, and latency in µs."""
    program = compiled("load", server)
    with (
        Running(server, SERVER_PROCESSOR) as running,
        tempfile.TemporaryDirectory() as folder,
    ):
        request, reply, first = (Path(folder, name) for name in ("request", "reply", "first"))
        request.write_bytes(load.message)
        first.write_bytes(server.first)
        # A bare bytes.upper() leaves what is not ASCII as it was.
        whole = server.full or server.unicode
        said = load.message.decode().upper().encode() if whole else load.message.upper()
        reply.write_bytes(said)
        counts = [str(load.connections), str(load.depth), str(seconds)]
        files = [str(request), str(reply), str(load.idle), *([str(first)] if server.first else [])]
        command = [program, running.where, *counts, *files]
        result, cpu = counted(command, running)
    total = result.pop("messages")
    return {
        "messages_per_second": total / result.pop("seconds"),
        "cpu_us_per_message": cpu * 1e6 / total if total else math.nan,
        **result,
    }


def connections(server: Server, seconds: float, parallel: int = 50) -> dict[str, float]:
    """Connections a second (connect, a message, close), CPU µs each, and latency in µs."""
    program = compiled("connect", server)
    with Running(server, SERVER_PROCESSOR) as running:
        command = [program, str(running.port), str(parallel), str(seconds)]
        result, cpu = counted(command, running)
    total = result.pop("connections")
    return {
        "connections_per_second": total / result.pop("seconds"),
        "cpu_us_per_connection": cpu * 1e6 / total if total else math.nan,
        **result,
    }


def newcomers(server: Server, seconds: float) -> dict[str, float]:
    """From connect to the first reply, in µs, while 500 others talk as fast as they can."""
    load, connect = compiled("load", server), compiled("connect", server)
    with (
        Running(server, SERVER_PROCESSOR) as running,
        tempfile.TemporaryDirectory() as folder,
    ):
        message, reply = Path(folder, "message"), Path(folder, "reply")
        message.write_bytes(line(64))
        reply.write_bytes(line(64).upper())
        port, pinned = str(running.port), ["taskset", "-c", str(LOAD_PROCESSOR)]
        busy = [*pinned, load, port, "500", "1", str(3 * seconds + 1), str(message), str(reply)]
        with subprocess.Popen(busy, stdout=subprocess.PIPE, text=True) as talking:
            assert talking.stdout is not None
            assert talking.stdout.readline() == "warm\n"
            result, _ = counted([connect, port, "1", str(seconds)], running)
            talking.kill()
    return {name: result[name] for name in ("p50", "p99", "max")}


def compiled(name: str, server: Server) -> str:
    """The path of a load generator that talks to a server as it wants to be talked to."""
    source = HERE / f"{name}.c"
    if server.tls:
        return compile_c(source, f"{name}-tls", "-DTLS", "-lssl", "-lcrypto")
    return compile_c(source, name)


def alone(server: Server, count: int = 3000) -> dict[str, float]:
    """CPU µs of a connection that comes alone, says one line, and stays."""
    with Running(server, SERVER_PROCESSOR) as running, contextlib.ExitStack() as open_until_here:
        everywhere = os.sched_getaffinity(0)
        open_until_here.callback(os.sched_setaffinity, 0, everywhere)
        os.sched_setaffinity(0, {LOAD_PROCESSOR})
        began = 0.0
        for number in range(count + 100):
            if number == 100:  # it is warm
                began = running.cpu()
            client = socket.create_connection(("127.0.0.1", running.port))
            open_until_here.enter_context(client)
            client.sendall(b"hola\n")
            if client.recv(100) != b"HOLA\n":
                raise RuntimeError(f"{server.name}: a wrong reply")
        return {"cpu_us_per_connection": (running.cpu() - began) * 1e6 / count}


def scrapes(server: Server, count: int = 20) -> dict[str, float]:
    """What one scrape of the metrics a second costs, in per cent of a processor, and its size.

    So many clients are connected and have said a line.
    """
    with Running(server, SERVER_PROCESSOR) as running, contextlib.ExitStack() as open_until_here:
        for _ in range(SCRAPED_CONNECTIONS):
            client = socket.create_connection(("127.0.0.1", running.port))
            open_until_here.enter_context(client)
            client.sendall(b"hola\n")
            if client.recv(100) != b"HOLA\n":
                raise RuntimeError(f"{server.name}: a wrong reply")
        size, began = 0, 0.0
        for number in range(count + 3):
            if number == 3:  # it is warm
                began = running.cpu()
            with socket.socket(socket.AF_UNIX) as scraper:
                scraper.connect(server.admin)
                scraper.sendall(
                    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                size = 0
                while data := scraper.recv(65536):
                    size += len(data)
        return {"cpu_percent": (running.cpu() - began) * 100 / count, "bytes": float(size)}


def counted(command: list[str], running: Running) -> tuple[dict[str, float], float]:
    """Run a load on its own processor; its result, and the server's CPU seconds meanwhile."""
    pinned = ["taskset", "-c", str(LOAD_PROCESSOR), *command]
    with subprocess.Popen(pinned, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "warm\n"
        before = running.cpu()
        assert load.stdout.readline() == "done\n"
        cpu = running.cpu() - before
        result: dict[str, float | None] = json.loads(load.stdout.readline())
    # What nobody has measured is not a number, and nobody takes it for a very small one.
    return {name: math.nan if value is None else value for name, value in result.items()}, cpu


def idle_memory(server: Server) -> float:
    """Private KiB of the server for each connection that has said nothing yet."""
    with Running(server, SERVER_PROCESSOR) as running:

        def connect() -> socket.socket:
            client = socket.create_connection(("127.0.0.1", running.port))
            if not server.tls:
                return client
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context.wrap_socket(client)

        def answered(client: socket.socket) -> None:
            client.sendall(b"hola\n")
            assert client.recv(100) == b"HOLA\n"

        first = connect()
        answered(first)
        before = running.private()
        count = IDLE_CONNECTIONS // (4 if server.tls else 1)
        clients = [connect() for _ in range(count)]
        answered(clients[-1])  # accepted in order: all the others have been accepted, too
        after = running.private()
        for client in (first, *clients):
            client.close()
    return (after - before) / count
