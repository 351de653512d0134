"""The servers that are compared, and how each is started at its best."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "build"
PEERS = HERE / "peers"

OURS = "tcpecho_trio"

# asyncio asks for 256 KiB in each recv(). With glibc's defaults every such buffer is mapped and
# unmapped again, which makes a small message four times as dear; this keeps it on the heap.
HEAP = {"MALLOC_MMAP_THRESHOLD_": "4194304", "MALLOC_TRIM_THRESHOLD_": "16777216"}


PAGE = """
import socket, sys
page = socket.socket(socket.AF_UNIX)
page.connect(sys.argv[1])
page.sendall(b"GET /events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
page.recv(65536)
print(flush=True)
while page.recv(65536):
    pass
"""
"""What the live page does: it takes the server's events as they come."""


UVLOOP_TUNED = "uvloop Protocol, tuned heap"


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
    tls: bool = False
    """Whether it is talked to over TLS."""
    first: bytes = b""
    """What each client sends before everything else: a PROXY header."""
    path: str = ""
    """The Unix socket where it listens; empty for a port that it prints."""
    admin: str = ""
    """The Unix socket of its administrator's endpoint; empty for none."""
    page_open: bool = False
    """Whether somebody looks at its live page meanwhile."""


def ours(*options: str, where: Sequence[str] = ("--host", "127.0.0.1", "--port", "0")) -> list[str]:
    """This project's server, on a free port if nothing else is said, with room for every load."""
    serve = ["serve", *where, "--no-console"]
    serve += ["--max-connections", "1000000"]  # as many as there are descriptors
    return [sys.executable, "-m", "tcpecho_trio", *serve, *options]


def python(script: str, *arguments: str) -> list[str]:
    """A peer written in Python."""
    return [sys.executable, str(PEERS / script), *arguments]


def peers() -> list[Server]:
    """This server and the others, on plain sockets."""
    return [
        Server(OURS, ours("--quiet"), full=True),
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


def in_a_cluster() -> list[Server]:
    """This server alone, as a member of a cluster, and as one whose Redis is away."""
    alone = Server(OURS, ours("--quiet"), full=True)
    away = f"unix://{BUILD}/nobody"
    members = [
        Server(f"{OURS} --cluster, Redis away", ours("--quiet", "--cluster", away), full=True)
    ]
    if shutil.which("redis-server") is not None:
        here = f"unix://{redis()}"
        members.insert(
            0, Server(f"{OURS} --cluster", ours("--quiet", "--cluster", here), full=True)
        )
    return [alone, *members]


def redis() -> Path:
    """The Unix socket of a Redis that runs until this process ends."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", ""]
    process = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    atexit.register(shutil.rmtree, folder)
    atexit.register(process.wait)
    atexit.register(process.kill)
    while not path.exists():
        time.sleep(0.01)
    return path


def tls_peers() -> list[Server]:
    """This server and the others, over TLS 1.3 with one certificate (ECDSA, P-256)."""
    certificate, key = map(str, certificate_and_key())
    files = {"TLS_CERT": certificate, "TLS_KEY": key}
    options = ("--quiet", "--tls-cert", certificate, "--tls-key", key)
    servers = [
        Server(OURS, ours(*options), full=True),
        # Over TLS uvloop, too, takes a buffer of 256 KiB for what it reads: as it comes, and at its
        # best.
        Server("uvloop Protocol", python("protocol.py", "uvloop", "bare"), files),
        Server(UVLOOP_TUNED, python("protocol.py", "uvloop", "bare"), files | HEAP),
        Server("asyncio Protocol", python("protocol.py", "asyncio", "bare"), files | HEAP),
        Server("Go, one processor", [str(BUILD / "go")], files | {"GOMAXPROCS": "1"}, unicode=True),
        Server(f"{OURS} --portable", ours(*options, "--portable"), full=True),
    ]
    return [replace(server, tls=True) for server in servers]


def ways() -> list[Server]:
    """This server as it can be told to be; the last is what the portable one is compared with."""
    folder = tempfile.mkdtemp(prefix="bench-")
    path, admin = str(Path(folder, "socket")), str(Path(folder, "admin"))
    administered = ours("--quiet", "--admin", f"unix://{admin}")
    proxy = b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 5000\r\n"
    return [
        Server(OURS, ours("--quiet"), full=True),
        Server("--dialect inspect", ours("--quiet", "--dialect", "inspect"), full=True),
        Server(
            "--proxy-protocol required",
            ours("--quiet", "--proxy-protocol", "required"),
            full=True,
            first=proxy,
        ),
        Server("--unix", ours("--quiet", where=("--unix", path)), full=True, path=path),
        Server("the journal on", ours(), full=True),
        Server("the journal on, JSON", ours("--log-format", "json"), full=True),
        Server(
            "--access-log", ours("--quiet", "--access-log", str(Path(folder, "log"))), full=True
        ),
        Server("--admin", administered, full=True, admin=admin),
        Server("--admin, its page open", administered, full=True, admin=admin, page_open=True),
        Server("--portable", ours("--quiet", "--portable"), full=True),
        Server("Trio tutorial", python("tutorial.py")),
    ]


def available(servers: Sequence[Server]) -> list[Server]:
    """Those that can run here; what has to be compiled is compiled."""
    commands = [server.command for server in servers]
    if [str(BUILD / "epoll")] in commands:
        compile_c(PEERS / "epoll.c", "epoll")
    if [str(BUILD / "go")] not in commands:
        return list(servers)
    if not shutil.which("go"):
        return [server for server in servers if server.command != [str(BUILD / "go")]]
    BUILD.mkdir(exist_ok=True)
    go = ["go", "build", "-o", str(BUILD / "go"), str(PEERS / "echo.go")]
    subprocess.run(go, check=True)
    return list(servers)


def certificate_and_key() -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    BUILD.mkdir(exist_ok=True)
    certificate, key = BUILD / "certificate.pem", BUILD / "key.pem"
    if not certificate.exists():
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]
        files = ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
        subprocess.run(["openssl", "req", "-x509", *curve, *files], check=True, capture_output=True)
    return certificate, key


def compile_c(source: Path, name: str, *options: str) -> str:
    """Compile a C program; return its path."""
    BUILD.mkdir(exist_ok=True)
    program = BUILD / name
    # Put in its place whole: another run may be using it, or compiling it, too.
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        built = Path(folder, name)
        command = ["cc", "-O2", "-o", str(built), str(source), *options]
        subprocess.run(command, check=True)
        built.replace(program)
    return str(program)


class Running:
    """A server on some processors, and what the kernel counts for it and its workers."""

    def __init__(self, server: Server, *processors: int) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, processors)), *server.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **server.environment},
        )
        assert self.process.stdout is not None
        # Ours says where it listens, in its own words; the others say their port.
        found = None
        while found is None and (line := self.process.stdout.readline()):
            found = re.search(r"(?:^|127\.0\.0\.1:)(\d+)|unix:", line)
        self.port = int(found[1] or 0) if found else 0
        self.where = server.path or str(self.port)
        self._page: subprocess.Popen[str] | None = None
        if server.page_open:
            command = ["taskset", "-c", str(1 - processors[0]), sys.executable, "-c", PAGE]
            self._page = subprocess.Popen(
                [*command, server.admin], stdout=subprocess.PIPE, text=True
            )
            assert self._page.stdout is not None
            self._page.stdout.readline()  # it is being told

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._page is not None:
            self._page.kill()
            self._page.communicate()
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def cpu(self) -> float:
        """Seconds on a processor, of all threads together, also those that have ended."""
        # The clock that clock_getcpuclockid(3) names; Python only has it for threads.
        pids = (self.process.pid, *self.children())
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)

    def children(self) -> list[int]:
        """The processes that it has started and that live."""
        pid = self.process.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]

    def workers(self) -> list[int]:
        """Its processes that serve: itself, or its children but for the guardian, their leader."""
        return [pid for pid in self.children() if os.getpgid(pid) != pid] or [self.process.pid]

    def private(self) -> int:
        """KiB that belong to this process alone (proc(5), smaps_rollup)."""
        return self.private_of(self.process.pid)

    def private_of(self, pid: int) -> int:
        """The same for one of its workers."""
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
