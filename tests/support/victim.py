"""The server that is attacked: a process, its journal as it is written, its clients."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import AT_ONCE, PROGRAM, ROOT
from tests.support.processes import PATIENCE as PATIENCE

SHORTAGE = os.environ.get("TCPECHO_TRIO_SHORTAGE", "")
"""What a shell says before it starts a server that is attacked: ``nox -s shortages``."""

FEW_CLIENTS = pytest.mark.skipif(
    "ulimit -v" in SHORTAGE, reason="short of memory it refuses that many: test_memory_limit.py"
)
"""For tests of more clients than have room under that shortage."""

RESET = struct.pack("ii", 1, 0)

Event = dict[str, Any]


class Victim:
    """A server process whose journal is read by a thread as it comes.

    Args:
      options: of ``serve``; port 0 and a JSON journal are given.
      greeting: what its dialect says first.
      program: what it is started by.
      pass_fds: descriptors that it inherits.
      env: its environment, if it is not ours.
    """

    def __init__(
        self,
        *options: str,
        greeting: str = "",
        program: Sequence[str] = PROGRAM,
        pass_fds: Sequence[int] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        self._greeting = greeting.encode()
        self._context: ssl.SSLContext | None = None
        self.process = subprocess.Popen(
            [
                *short_of(SHORTAGE, program),
                "serve",
                "--port",
                "0",
                "--log-format",
                "json",
                *options,
            ],
            pass_fds=pass_fds,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        self.lines: list[bytes] = []
        self._events: list[Event] = []  # those of them that have been parsed
        self._ended = False
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            address = self.wait_for("listening")["listener"]
        except BaseException:
            self.close()
            raise
        self.port = int(re.findall(r":(\d+)$", address)[0])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._told:
                self.lines.append(line)
                self._told.notify_all()
        with self._told:
            self._ended = True  # nothing more will be told
            self._told.notify_all()

    def events(self, name: str | None = None) -> list[Event]:
        """What the journal has told so far."""
        with self._told:
            self._events += map(json.loads, self.lines[len(self._events) :])
            return [event for event in self._events if name in (None, event["event"])]

    def wait_for(self, name: str, wanted: Callable[[Event], bool] = lambda _: True) -> Event:
        """The first such event, already told or still to come."""
        with self._told:
            found: list[Event] = []

            def is_told() -> bool:
                found[:] = [event for event in self.events(name) if wanted(event)]
                return bool(found) or self._ended

            self._told.wait_for(is_told, PATIENCE)
            assert found, f"no {name}: {self.lines[-5:]}"
            return found[0]

    def wait_for_end(self, client: socket.socket) -> str:
        """Why the server ended this client's connection."""
        peer = "{}:{}".format(*client.getsockname())
        return str(self.wait_for("closed", lambda event: event["client"] == peer)["reason"])

    def encrypt(self, context: ssl.SSLContext) -> None:
        """From here on clients speak TLS."""
        self._context = context

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        """A client, greeted if need be."""
        client = socket.create_connection((host, self.port))
        client.settimeout(PATIENCE)
        if self._context is not None:
            client = self._context.wrap_socket(client, server_hostname="localhost")
        assert read_exactly(client, len(self._greeting)) == self._greeting
        return client

    def ask(self, sent: bytes) -> bytes:
        """One connection: send, half-close, and everything that comes back."""
        with self.connect() as client:
            sending = threading.Thread(target=self._send, args=(client, sent))
            sending.start()
            received = read_all(client)
            sending.join()
            return received

    def _send(self, client: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the server may close before it has read all
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def check(self) -> None:
        """It serves newcomers at once, and has logged nothing that a terminal would obey."""
        with self.connect() as fresh:
            fresh.settimeout(AT_ONCE)
            fresh.sendall(b"sigues bien\n")
            assert read_exactly(fresh, 12) == b"SIGUES BIEN\n"
        for event in self.events():
            for value in event.values():
                assert str(value).isprintable(), event
                assert len(str(value)) <= 200
        assert self.events("crashed") == []

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self) -> int:
        """Wait for its end."""
        code = self.process.wait(PATIENCE)
        self._reader.join()
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        assert said == b"", f"code {code}, and on stderr: {said.decode()}"
        return code

    def close(self) -> None:
        """Whatever happened, leave nothing behind."""
        self.process.kill()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        self.process.wait()

    def peak_memory(self) -> int:
        """Bytes of memory at most so far (VmHWM, proc(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024

    def memory(self) -> int:
        """Bytes of memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


def short_of(shortage: str, program: Sequence[str]) -> list[str]:
    """The program, in surroundings that give it less."""
    return ["bash", "-c", f'{shortage}; exec "$@"', "bash", *program] if shortage else [*program]


@contextlib.contextmanager
def attacked(*options: str, way: str = "pump", greeting: str = "") -> Iterator[Victim]:
    """A server of one's own, which has to be alive and well afterwards unless it has ended."""
    portable = ("--portable",) if way == "portable" else ()
    victim = Victim(*options, *portable, greeting=greeting)
    try:
        yield victim
        if victim.process.poll() is None:
            victim.check()
            assert victim.stop() == 0
    finally:
        victim.close()


def told_rarely(events: list[Event]) -> bool:
    """Whether something was told, and not again within ten seconds: a busy machine takes longer."""
    times = [datetime.fromisoformat(event["timestamp"]) for event in events]
    return bool(times) and all(b - a > timedelta(seconds=9) for a, b in itertools.pairwise(times))


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has taken, of all its threads."""
    # The clock that clock_getcpuclockid(3) names; Python only has it for threads.
    return time.clock_gettime((~pid << 3) | 2)


def read_all(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = b""
    while data := client.recv(1 << 16):
        received += data
    return received


def read_exactly(client: socket.socket, size: int) -> bytes:
    """That many bytes, however they are cut."""
    received = b""
    while len(received) < size:
        data = client.recv(size - len(received))
        assert data, f"closed after {received!r}"
        received += data
    return received


def reset(client: socket.socket) -> None:
    """Close with a reset (SO_LINGER of 0 seconds, socket(7))."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def fill(client: socket.socket, data: bytes = b"hola\n" * 10_000) -> int:
    """Send and never read, until the server has stopped reading too; how much it took."""
    client.settimeout(0.3)
    taken = 0
    with contextlib.suppress(TimeoutError):
        while True:
            taken += client.send(data)
    return taken
