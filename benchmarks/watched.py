"""What it costs to be watched: the endpoint for the administrator, and who looks at it.

Whoever looks is a process of its own on the processor of the load. A page is what a browser with
the live page does: it reads the events, and asks for status and clients every two seconds.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measures
from benchmarks.servers import Running, Server, ours

CLIENTS = 1000
"""Who is connected while the metrics are asked for."""

SCRAPES = 50

FOLDER = Path(tempfile.mkdtemp(prefix="bench-admin-"))

PAGE = """
import socket, sys, threading, time

def ask(path, follow=False):
    with socket.socket(socket.AF_UNIX) as web:
        web.connect(sys.argv[1])
        close = b"" if follow else b"Connection: close\\r\\n"
        web.sendall(b"GET " + path + b" HTTP/1.1\\r\\nHost: localhost\\r\\n" + close + b"\\r\\n")
        received = 0
        while data := web.recv(1 << 16):
            received += len(data)
            if follow and received == len(data):
                print("open", flush=True)

threading.Thread(target=ask, args=(b"/events", True), daemon=True).start()
while True:
    ask(b"/api/status")
    ask(b"/api/clients?limit=200")
    time.sleep(2)
"""


@dataclass(frozen=True)
class Watched(Server):
    """A server, and whether somebody has a page of it open."""

    page: bool = False


def watched() -> list[Server]:
    """This server, unseen and seen. The first one has no endpoint and counts no messages."""
    path = str(FOLDER / "admin")
    admin = ("--quiet", "--admin", f"unix://{path}")
    log = ("--quiet", "--access-log", str(FOLDER / "access.log"))
    return [
        Server("without", ours("--quiet"), full=True),
        Server("--access-log", ours(*log), full=True),
        Server("--admin, nobody looks", ours(*admin), full=True),
        Watched("--admin, a page is open", ours(*admin), full=True, page=True),
    ]


def messages(server: Server, load: measures.Load, seconds: float) -> dict[str, float]:
    """Messages, with a page open where there shall be one."""
    return measures.messages(server, load, seconds, around=_page)


@contextlib.contextmanager
def _page(server: Server, _: Running) -> Iterator[None]:
    if not (isinstance(server, Watched) and server.page):
        yield
        return
    path = FOLDER / "admin"
    command = ["taskset", "-c", str(measures.LOAD_PROCESSOR), sys.executable, "-c", PAGE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as page:
        try:
            assert page.stdout is not None
            assert page.stdout.readline() == "open\n"
            yield
        finally:
            page.kill()


def scrapes(server: Server) -> dict[str, float]:
    """CPU ms of a scrape beside idle clients, and per cent of a core at one scrape a second."""
    with (
        Running(server, measures.SERVER_PROCESSOR) as running,
        contextlib.ExitStack() as open_until_here,
    ):
        for _ in range(CLIENTS):
            client = socket.create_connection(("127.0.0.1", running.port))
            open_until_here.enter_context(client)
            client.sendall(b"hola\n")
            if client.recv(100) != b"HOLA\n":
                raise RuntimeError("a wrong reply")
        web = http.client.HTTPConnection("localhost")
        web.sock = open_until_here.enter_context(socket.socket(socket.AF_UNIX))
        web.sock.connect(str(FOLDER / "admin"))
        for number in range(SCRAPES + 5):
            if number == 5:  # it is warm
                began = running.cpu()
            web.request("GET", "/metrics")
            answer = web.getresponse()
            if answer.status != http.client.OK or not answer.read():
                raise RuntimeError("no metrics")
        milliseconds = (running.cpu() - began) * 1000 / SCRAPES
        return {"cpu_ms_per_scrape": milliseconds, "percent_of_a_core": milliseconds / 10}
