"""The client beside nc, ncat and socat: the same text through the same server, in a pipe.

And its start: from nothing to the first reply, beside what importing Trio takes alone. Each
client is a whole process, from its start to its end, and its figures are the kernel's
(wait4(2)).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.measures import LOAD_PROCESSOR, SERVER_PROCESSOR
from benchmarks.servers import Running, Server, ours

LINES = {
    "ASCII": "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor\n",
    "español": "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia, y añoró su cañón\n",
}
"""The text that is sent, over and over; no line is a command."""

WAYS = {
    "file → /dev/null": "ASCII",
    "pipe → pipe": "ASCII",
    "file → /dev/null, español": "español",
}
"""How each client is connected, and to which text."""


@dataclass(frozen=True)
class Client:
    """One candidate: its name in the tables, and its command; `PORT` stands for the port."""

    name: str
    command: tuple[str, ...]


OUR_CLIENT = (sys.executable, "-m", "tcpecho_trio", "client", "--host", "127.0.0.1")


def piping() -> list[Client]:
    """Ours, and each of the others that is installed, told to half-close at its end of input."""
    clients = [Client("tcpecho_trio", (*OUR_CLIENT, "--port", "PORT"))]
    if nc := _openbsd_nc():
        clients.append(Client("nc -N", (nc, "-N", "127.0.0.1", "PORT")))
    if ncat := shutil.which("ncat"):
        clients.append(Client("ncat", (ncat, "127.0.0.1", "PORT")))
    if socat := shutil.which("socat"):
        # -t: how long it waits for replies after the end of its input.
        clients.append(Client("socat", (socat, "-t", "60", "-", "TCP:127.0.0.1:PORT")))
    return clients


def starting() -> list[Client]:
    """Ours with one message, and what it cannot do without."""
    return [
        Client("client -m hola", (*OUR_CLIENT, "--port", "PORT", "-m", "hola")),
        Client("import trio", (sys.executable, "-c", "import trio")),
        Client("python", (sys.executable, "-c", "pass")),
    ]


def _openbsd_nc() -> str | None:
    """An nc that can half-close, which not every one can."""
    nc = shutil.which("nc")
    if nc and b"-N" in subprocess.run([nc, "-h"], capture_output=True, check=False).stderr:
        return nc
    return None


@contextmanager
def text(way: str, megabytes: int) -> Iterator[Path]:
    """A file with that much of the text that this way needs."""
    line = LINES[WAYS[way]].encode()
    block = line * (1_000_000 // len(line))
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(megabytes * 1_000_000 // len(block)):
            file.write(block)
        file.flush()
        yield Path(file.name)


def pipe(client: Client, way: str, file: Path) -> dict[str, float]:
    """Seconds, CPU seconds, MB/s and MiB of memory of one client with all of the text.

    Raises:
      RuntimeError: it failed, or not every byte came back.
    """
    size = file.stat().st_size
    with Running(Server("", ours("--quiet")), SERVER_PROCESSOR) as server, file.open("rb") as said:
        if way != "pipe → pipe":
            figures = _run(client, server.port, said, subprocess.DEVNULL)
        else:
            with (
                subprocess.Popen(["cat", str(file)], stdout=subprocess.PIPE) as cat,
                subprocess.Popen(
                    ["wc", "-c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                ) as count,
            ):
                assert cat.stdout is not None
                assert count.stdin is not None
                assert count.stdout is not None
                figures = _run(client, server.port, cat.stdout, count.stdin)
                count.stdin.close()
                returned = int(count.stdout.read())
            if returned != size:
                raise RuntimeError(f"{client.name}: {returned} bytes came back of {size}")
    return {**figures, "MB_per_second": size / 1e6 / figures["seconds"]}


def start(client: Client, port: int) -> dict[str, float]:
    """Milliseconds and CPU milliseconds of one short process."""
    figures = _run(client, port, subprocess.DEVNULL, subprocess.DEVNULL)
    return {"cpu_ms": figures["cpu_seconds"] * 1000, "wall_ms": figures["seconds"] * 1000}


def _run(
    client: Client, port: int, said: IO[bytes] | int, heard: IO[bytes] | int
) -> dict[str, float]:
    """Run one client to its end, on a processor of its own."""
    command = [part.replace("PORT", str(port)) for part in client.command]
    began = time.perf_counter()
    process = subprocess.Popen(
        ["taskset", "-c", str(LOAD_PROCESSOR), *command], stdin=said, stdout=heard
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{client.name} ended with {process.returncode}")
    return {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "seconds": seconds,
        "MiB": used.ru_maxrss / 1024,
    }
