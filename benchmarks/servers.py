"""The servers that are compared, and how each is started at its best."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "build"
PEERS = HERE / "peers"

# asyncio asks for 256 KiB in each recv(). With glibc's defaults every such buffer is mapped and
# unmapped again, which makes a small message four times as dear; this keeps it on the heap.
HEAP = {"MALLOC_MMAP_THRESHOLD_": "4194304", "MALLOC_TRIM_THRESHOLD_": "16777216"}


@dataclass(frozen=True)
class Server:
    """One candidate: its name in the tables, and how to start it."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    full: bool = False
    """Whether it does the work of the exercise, or only upper-cases what it reads."""
    unicode: bool = False
    """Whether a bare one upper-cases more than ASCII."""


def ours(*options: str) -> list[str]:
    """This project's server on a free port, with room for every load."""
    serve = ["serve", "--host", "127.0.0.1", "--port", "0", "--no-console"]
    serve += ["--max-connections", "1000000"]  # as many as there are descriptors
    return [sys.executable, "-m", "tcpecho_trio", *serve, *options]


def python(script: str, *arguments: str) -> list[str]:
    """A peer written in Python."""
    return [sys.executable, str(PEERS / script), *arguments]


def available(wanted: Callable[[str], bool]) -> list[Server]:
    """Every wanted server that can run here; what has to be compiled is compiled."""
    servers = [
        Server("tcpecho_trio", ours("--quiet"), full=True),
        Server("uvloop Protocol", python("protocol.py", "uvloop", "bare")),
        Server("uvloop Protocol, same work", python("protocol.py", "uvloop", "full"), full=True),
        Server("asyncio Protocol", python("protocol.py", "asyncio", "bare"), HEAP),
        Server(
            "asyncio Protocol, same work", python("protocol.py", "asyncio", "full"), HEAP, full=True
        ),
        Server("asyncio streams", python("streams.py", "bare"), HEAP),
        Server("asyncio streams, same work", python("streams.py", "full"), HEAP, full=True),
        Server("threads", python("threads.py")),
        Server("Trio tutorial", python("tutorial.py")),
        Server("C epoll", [str(BUILD / "epoll")]),
        Server("Go, one processor", [str(BUILD / "go")], {"GOMAXPROCS": "1"}, unicode=True),
    ]
    servers = [server for server in servers if wanted(server.name)]
    names = [server.name for server in servers]
    if "C epoll" in names:
        compile_c(PEERS / "epoll.c", "epoll")
    if "Go, one processor" in names:
        if shutil.which("go"):
            BUILD.mkdir(exist_ok=True)
            go = ["go", "build", "-o", str(BUILD / "go"), str(PEERS / "echo.go")]
            subprocess.run(go, check=True)
        else:
            servers.pop()
    return servers


def compile_c(source: Path, name: str) -> str:
    """Compile a C program; return its path."""
    BUILD.mkdir(exist_ok=True)
    program = BUILD / name
    # Put in its place whole: another run may be using it, or compiling it, too.
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        built = Path(folder, name)
        subprocess.run(["cc", "-O2", "-o", str(built), str(source)], check=True)
        built.replace(program)
    return str(program)


class Running:
    """A server process on one processor, and what the kernel counts for it."""

    def __init__(self, server: Server, processor: int) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", str(processor), *server.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **server.environment},
        )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().replace(":", " ").split()
        self.port = next(int(word) for word in words if word.isdigit())

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def cpu(self) -> float:
        """Seconds on a processor, of all threads together, also those that have ended."""
        # The clock that clock_getcpuclockid(3) names; Python only has it for threads.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def private(self) -> int:
        """KiB that belong to this process alone (proc(5), smaps_rollup)."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
